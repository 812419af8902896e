// AEAD and header protection of QUIC packets (RFC 9001 5) and which library does them.
// 1-RTT packets under AES-GCM can go through libipsec-mb (ipsec_mb.h); everything else
// (Initial, Handshake, Retry, ChaCha20-Poly1305, QUIC versions other than 1) is done by
// ngtcp2's GnuTLS glue whatever the backend. Internal to quic/.
#pragma once

#include "base/bytes.h"
#include "quic/config.h"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace culvert::quic {

// The fastest backend this build and this CPU have.
[[nodiscard]] ProtectionBackend best_protection();

// Sets encrypt, decrypt, hp_mask, update_key and both delete_crypto_*_ctx. A backend that is
// not available means gnutls, here and in install_secret_hook. Backends are local to one
// side; the peer cannot tell.
void install_protection(ngtcp2_callbacks& callbacks, ProtectionBackend backend);

// Makes the session install its 1-RTT keys for `backend`; the connection's callbacks come
// from install_protection with the same value. Call it after
// ngtcp2_crypto_gnutls_configure_{client,server}_session, whose hook it replaces; the
// session's pointer is a ngtcp2_crypto_conn_ref.
void install_secret_hook(gnutls_session_t session, ProtectionBackend backend);

// What protects packets of one direction, derived from a traffic secret (RFC 9001 5.1).
// Wiped when destroyed.
struct PacketKeys {
  static constexpr std::size_t kIvSize = 12;
  static constexpr std::size_t kMaxKeySize = 32;  // AES-256, ChaCha20

  PacketKeys() = default;
  ~PacketKeys();
  PacketKeys(const PacketKeys&) = delete;
  PacketKeys& operator=(const PacketKeys&) = delete;

  [[nodiscard]] ByteView key() const { return ByteView(key_bytes).first(key_size); }
  [[nodiscard]] ByteView header_key() const { return ByteView(header_key_bytes).first(key_size); }

  std::size_t key_size = 0;
  std::array<std::uint8_t, kMaxKeySize> key_bytes{};
  std::array<std::uint8_t, kIvSize> iv{};
  std::array<std::uint8_t, kMaxKeySize> header_key_bytes{};
};

// Labels "quic key", "quic iv" and "quic hp". `key_size` is that of the AEAD, 16 or 32.
// False if the TLS library fails.
[[nodiscard]] bool derive_packet_keys(gnutls_mac_algorithm_t hash, ByteView secret,
                                      std::size_t key_size, PacketKeys& out);

// The secret after a key update (RFC 9001 6.1), label "quic ku"; as long as `secret`.
[[nodiscard]] bool derive_next_secret(gnutls_mac_algorithm_t hash, ByteView secret,
                                      std::uint8_t* out);

// HKDF-Expand-Label with an empty context (RFC 8446 7.1). `label` without "tls13 ".
[[nodiscard]] bool expand_label(gnutls_mac_algorithm_t hash, ByteView secret,
                                std::string_view label, ByteSpan out);

}  // namespace culvert::quic
