#include "quic/packet_protection.h"

#include "base/assert.h"
#include "quic/ipsec_mb.h"

#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>

namespace culvert::quic {
namespace {

// ngtcp2 carries keys as `void*`. Bit 0 set marks one of ours; GnuTLS's are pointers to
// aligned memory, where it is clear. Each packet therefore finds its library without a
// table, and a connection may hold keys of both.
constexpr std::uintptr_t kOurs = 1;

bool is_ours(const void* handle) {
  return (reinterpret_cast<std::uintptr_t>(handle) & kOurs) != 0;
}

void* tag(void* key) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(key) | kOurs);
}

template <typename Key>
Key* untag(void* handle) {
  return reinterpret_cast<Key*>(reinterpret_cast<std::uintptr_t>(handle) & ~kOurs);
}

int encrypt(std::uint8_t* dest, const ngtcp2_crypto_aead* aead,
            const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* plaintext,
            std::size_t plaintext_size, const std::uint8_t* nonce, std::size_t nonce_size,
            const std::uint8_t* aad, std::size_t aad_size) {
  if (!is_ours(context->native_handle)) {
    return ngtcp2_crypto_encrypt_cb(dest, aead, context, plaintext, plaintext_size, nonce,
                                    nonce_size, aad, aad_size);
  }
  if (nonce_size != ipsec_mb::kNonceSize) return NGTCP2_ERR_CALLBACK_FAILURE;
  ipsec_mb::encrypt(*untag<ipsec_mb::GcmKey>(context->native_handle), dest,
                    {plaintext, plaintext_size}, ipsec_mb::Nonce(nonce, nonce_size),
                    {aad, aad_size});
  return 0;
}

int decrypt(std::uint8_t* dest, const ngtcp2_crypto_aead* aead,
            const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* ciphertext,
            std::size_t ciphertext_size, const std::uint8_t* nonce, std::size_t nonce_size,
            const std::uint8_t* aad, std::size_t aad_size) {
  if (!is_ours(context->native_handle)) {
    return ngtcp2_crypto_decrypt_cb(dest, aead, context, ciphertext, ciphertext_size, nonce,
                                    nonce_size, aad, aad_size);
  }
  if (nonce_size != ipsec_mb::kNonceSize) return NGTCP2_ERR_CALLBACK_FAILURE;
  return ipsec_mb::decrypt(*untag<ipsec_mb::GcmKey>(context->native_handle), dest,
                           {ciphertext, ciphertext_size}, ipsec_mb::Nonce(nonce, nonce_size),
                           {aad, aad_size})
             ? 0
             : NGTCP2_ERR_DECRYPT;
}

int header_mask(std::uint8_t* dest, const ngtcp2_crypto_cipher* cipher,
                const ngtcp2_crypto_cipher_ctx* context, const std::uint8_t* sample) {
  if (!is_ours(context->native_handle)) {
    return ngtcp2_crypto_hp_mask_cb(dest, cipher, context, sample);
  }
  // ngtcp2 promises room for a whole block (NGTCP2_HP_SAMPLELEN) at `dest`.
  static_assert(NGTCP2_HP_SAMPLELEN == ipsec_mb::kBlockSize);
  ipsec_mb::mask(*untag<ipsec_mb::HeaderKey>(context->native_handle), dest,
                 ipsec_mb::Sample(sample, NGTCP2_HP_SAMPLELEN));
  return 0;
}

void delete_aead(ngtcp2_conn* connection, ngtcp2_crypto_aead_ctx* context, void* user_data) {
  if (!is_ours(context->native_handle)) {
    ngtcp2_crypto_delete_crypto_aead_ctx_cb(connection, context, user_data);
    return;
  }
  ipsec_mb::GcmKeyPtr(untag<ipsec_mb::GcmKey>(context->native_handle)).reset();
  context->native_handle = nullptr;
}

void delete_cipher(ngtcp2_conn* connection, ngtcp2_crypto_cipher_ctx* context, void* user_data) {
  if (!is_ours(context->native_handle)) {
    ngtcp2_crypto_delete_crypto_cipher_ctx_cb(connection, context, user_data);
    return;
  }
  ipsec_mb::HeaderKeyPtr(untag<ipsec_mb::HeaderKey>(context->native_handle)).reset();
  context->native_handle = nullptr;
}

// What the negotiated 1-RTT protection needs to be ours.
struct Suite {
  gnutls_mac_algorithm_t hash;
  std::size_t key_size;  // 0: leave it to GnuTLS
};

// Known from the Handshake level on. ngtcp2's GnuTLS glue keeps GnuTLS's numbers in the
// native handles of algorithms.
Suite suite_of(ngtcp2_conn* connection) {
  constexpr Suite kNotOurs{GNUTLS_MAC_UNKNOWN, 0};
  // Version 2 has other labels (RFC 9369 3.3.2).
  if (ngtcp2_conn_get_negotiated_version(connection) != NGTCP2_PROTO_VER_V1) return kNotOurs;
  const ngtcp2_crypto_ctx* context = ngtcp2_conn_get_crypto_ctx(connection);
  const auto hash = static_cast<gnutls_mac_algorithm_t>(
      reinterpret_cast<std::uintptr_t>(context->md.native_handle));
  switch (reinterpret_cast<std::uintptr_t>(context->aead.native_handle)) {
    case GNUTLS_CIPHER_AES_128_GCM:
      return {hash, 16};
    case GNUTLS_CIPHER_AES_256_GCM:
      return {hash, 32};
    default:
      return kNotOurs;
  }
}

using InstallKey = int (*)(ngtcp2_conn*, const std::uint8_t* secret, std::size_t secret_size,
                           const ngtcp2_crypto_aead_ctx*, const std::uint8_t* iv,
                           std::size_t iv_size, const ngtcp2_crypto_cipher_ctx*);

// 1-RTT keys of one direction.
bool install_ours(ngtcp2_conn* connection, const Suite& suite, ByteView secret,
                  InstallKey install) {
  PacketKeys keys;
  if (!derive_packet_keys(suite.hash, secret, suite.key_size, keys)) return false;
  auto key = ipsec_mb::make_gcm_key(keys.key());
  auto header_key = ipsec_mb::make_header_key(keys.header_key());
  if (!key || !header_key) return false;
  const ngtcp2_crypto_aead_ctx aead{.native_handle = tag(key.get())};
  const ngtcp2_crypto_cipher_ctx cipher{.native_handle = tag(header_key.get())};
  if (install(connection, secret.data(), secret.size(), &aead, keys.iv.data(), keys.iv.size(),
              &cipher) != 0) {
    return false;
  }
  // The connection owns the keys from here: it has succeeded. It frees them by delete_aead
  // and delete_cipher.
  [[maybe_unused]] const auto* kept_key = key.release();
  [[maybe_unused]] const auto* kept_header_key = header_key.release();
  return true;
}

// GnuTLS calls this with the traffic secrets of each level; either may be null.
int handle_secrets(gnutls_session_t session, gnutls_record_encryption_level_t tls_level,
                   const void* read_secret, const void* write_secret, std::size_t secret_size) {
  auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
  ngtcp2_conn* connection = reference->get_conn(reference);
  const auto* read = static_cast<const std::uint8_t*>(read_secret);
  const auto* write = static_cast<const std::uint8_t*>(write_secret);
  const ngtcp2_encryption_level level =
      ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(tls_level);

  if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) {
    if (const Suite suite = suite_of(connection); suite.key_size != 0) {
      if (read != nullptr &&
          !install_ours(connection, suite, {read, secret_size}, ngtcp2_conn_install_rx_key)) {
        return -1;
      }
      if (write != nullptr &&
          !install_ours(connection, suite, {write, secret_size}, ngtcp2_conn_install_tx_key)) {
        return -1;
      }
      return 0;
    }
  }
  if (read != nullptr &&
      ngtcp2_crypto_derive_and_install_rx_key(connection, nullptr, nullptr, nullptr, level, read,
                                              secret_size) != 0) {
    return -1;
  }
  if (write != nullptr &&
      ngtcp2_crypto_derive_and_install_tx_key(connection, nullptr, nullptr, nullptr, level, write,
                                              secret_size) != 0) {
    return -1;
  }
  return 0;
}

// One direction of a key update. The header key stays (RFC 9001 6.1).
ipsec_mb::GcmKeyPtr update_direction(const Suite& suite, ByteView current, std::uint8_t* secret,
                                     std::uint8_t* iv) {
  PacketKeys keys;
  if (!derive_next_secret(suite.hash, current, secret) ||
      !derive_packet_keys(suite.hash, {secret, current.size()}, suite.key_size, keys)) {
    return nullptr;
  }
  std::ranges::copy(keys.iv, iv);
  return ipsec_mb::make_gcm_key(keys.key());
}

int update_key(ngtcp2_conn* connection, std::uint8_t* rx_secret, std::uint8_t* tx_secret,
               ngtcp2_crypto_aead_ctx* rx_aead, std::uint8_t* rx_iv,
               ngtcp2_crypto_aead_ctx* tx_aead, std::uint8_t* tx_iv,
               const std::uint8_t* current_rx_secret, const std::uint8_t* current_tx_secret,
               std::size_t secret_size, void* user_data) {
  const Suite suite = suite_of(connection);
  if (suite.key_size == 0) {
    return ngtcp2_crypto_update_key_cb(connection, rx_secret, tx_secret, rx_aead, rx_iv, tx_aead,
                                       tx_iv, current_rx_secret, current_tx_secret, secret_size,
                                       user_data);
  }
  auto rx = update_direction(suite, {current_rx_secret, secret_size}, rx_secret, rx_iv);
  auto tx = update_direction(suite, {current_tx_secret, secret_size}, tx_secret, tx_iv);
  if (!rx || !tx) return NGTCP2_ERR_CALLBACK_FAILURE;
  rx_aead->native_handle = tag(rx.release());
  tx_aead->native_handle = tag(tx.release());
  return 0;
}

}  // namespace

ProtectionBackend best_protection() {
  return ipsec_mb::is_available() ? ProtectionBackend::ipsec_mb : ProtectionBackend::gnutls;
}

bool is_available(ProtectionBackend backend) {
  return backend == ProtectionBackend::gnutls || ipsec_mb::is_available();
}

void install_protection(ngtcp2_callbacks& callbacks, ProtectionBackend backend) {
  const bool is_gnutls = backend == ProtectionBackend::gnutls || !is_available(backend);
  callbacks.encrypt = is_gnutls ? ngtcp2_crypto_encrypt_cb : encrypt;
  callbacks.decrypt = is_gnutls ? ngtcp2_crypto_decrypt_cb : decrypt;
  callbacks.hp_mask = is_gnutls ? ngtcp2_crypto_hp_mask_cb : header_mask;
  callbacks.update_key = is_gnutls ? ngtcp2_crypto_update_key_cb : update_key;
  callbacks.delete_crypto_aead_ctx =
      is_gnutls ? ngtcp2_crypto_delete_crypto_aead_ctx_cb : delete_aead;
  callbacks.delete_crypto_cipher_ctx =
      is_gnutls ? ngtcp2_crypto_delete_crypto_cipher_ctx_cb : delete_cipher;
}

void install_secret_hook(gnutls_session_t session, ProtectionBackend backend) {
  if (backend == ProtectionBackend::gnutls || !is_available(backend)) return;
  gnutls_handshake_set_secret_function(session, handle_secrets);
}

PacketKeys::~PacketKeys() {
  gnutls_memset(key_bytes.data(), 0, key_bytes.size());
  gnutls_memset(iv.data(), 0, iv.size());
  gnutls_memset(header_key_bytes.data(), 0, header_key_bytes.size());
}

bool derive_packet_keys(gnutls_mac_algorithm_t hash, ByteView secret, std::size_t key_size,
                        PacketKeys& out) {
  CULVERT_ASSERT(key_size <= PacketKeys::kMaxKeySize);
  out.key_size = key_size;
  return expand_label(hash, secret, "quic key", ByteSpan(out.key_bytes).first(key_size)) &&
         expand_label(hash, secret, "quic iv", out.iv) &&
         expand_label(hash, secret, "quic hp", ByteSpan(out.header_key_bytes).first(key_size));
}

bool derive_next_secret(gnutls_mac_algorithm_t hash, ByteView secret, std::uint8_t* out) {
  return expand_label(hash, secret, "quic ku", {out, secret.size()});
}

bool expand_label(gnutls_mac_algorithm_t hash, ByteView secret, std::string_view label,
                  ByteSpan out) {
  constexpr std::string_view kPrefix = "tls13 ";
  constexpr std::size_t kMaxLabelSize = 16;  // ours have at most 9 ("client in")
  CULVERT_ASSERT(label.size() <= kMaxLabelSize && out.size() <= 0xff);
  // struct HkdfLabel: uint16 length, opaque label<7..255>, opaque context<0..255>.
  std::array<std::uint8_t, 2 + 1 + kPrefix.size() + kMaxLabelSize + 1> info{};
  auto end = info.begin();
  *end++ = 0;
  *end++ = static_cast<std::uint8_t>(out.size());
  *end++ = static_cast<std::uint8_t>(kPrefix.size() + label.size());
  end = std::ranges::copy(kPrefix, end).out;
  end = std::ranges::copy(label, end).out;
  *end++ = 0;

  // GnuTLS only reads both; its type just lacks the const.
  const gnutls_datum_t secret_datum{const_cast<unsigned char*>(secret.data()),
                                    static_cast<unsigned>(secret.size())};
  const gnutls_datum_t info_datum{info.data(), static_cast<unsigned>(end - info.begin())};
  return gnutls_hkdf_expand(hash, &secret_datum, &info_datum, out.data(), out.size()) == 0;
}

}  // namespace culvert::quic
