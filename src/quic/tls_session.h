// TLS 1.3 for QUIC over GnuTLS with raw public keys in both directions (RFC 7250): the
// certificate of each side is its Ed25519 key. Internal to quic/.
#pragma once

#include "base/result.h"
#include "crypto/keys.h"
#include "quic/config.h"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::quic {

// Our key in GnuTLS's form; one per endpoint, shared by its sessions.
class TlsCredentials {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TlsCredentials>> create(
      const crypto::SecretKey& identity);
  ~TlsCredentials();
  TlsCredentials(const TlsCredentials&) = delete;
  TlsCredentials& operator=(const TlsCredentials&) = delete;

  [[nodiscard]] gnutls_certificate_credentials_t handle() const { return handle_; }

 private:
  TlsCredentials() = default;
  gnutls_certificate_credentials_t handle_ = nullptr;
};

struct TlsOptions {
  bool is_server = false;
  // Client: one. A peer that names none of these is refused. Empty: none is named, none asked.
  std::vector<std::string> alpns;
  std::optional<crypto::EndpointId> peer;  // client: whom we must meet; server: learn
  ProtectionBackend protection = ProtectionBackend::gnutls;
  const KeyLogSink* key_log = nullptr;  // outlives the session
  // Client: as ngtcp2 up to 1.22.0 writes the peer's transport parameters to qlog through a
  // buffer that they fit only without one (CVE-2026-40170).
  bool refuses_preferred_address = false;
};

// One TLS session, belonging to one connection.
class TlsSession {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TlsSession>> create(const TlsCredentials& credentials,
                                                                  const TlsOptions& options);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Joins both libraries: each finds the other from now on. `connection` outlives the
  // session's last use.
  void attach(ngtcp2_conn& connection);
  // The key the peer has proven to hold; meaningful once the handshake completed.
  [[nodiscard]] const crypto::EndpointId& peer() const { return peer_; }
  // The library says that the handshake is complete. False: it is not, whatever the library made of
  // it: the peer has proven no key, or the application protocol is none that the options named.
  [[nodiscard]] bool complete();
  [[nodiscard]] bool is_complete() const { return is_complete_; }
  // As agreed on: at a server once it has read the ClientHello, at a client at the end of the
  // handshake. Empty before.
  [[nodiscard]] const std::string& alpn() const { return alpn_; }
  [[nodiscard]] bool has_refused_preferred_address() const {
    return has_refused_preferred_address_;
  }
  [[nodiscard]] Status export_keying_material(std::string_view label, ByteView context,
                                              ByteSpan out) const;

 private:
  TlsSession() = default;
  [[nodiscard]] static TlsSession& of(gnutls_session_t session);
  static int verify(gnutls_session_t session);
  [[nodiscard]] std::string selected_alpn() const;
  [[nodiscard]] bool has_known_alpn() const;
  static int check_extensions(gnutls_session_t session, unsigned type, unsigned when,
                              unsigned incoming, const gnutls_datum_t* message);
  static int check_before_parsing(gnutls_session_t session, unsigned type, unsigned when,
                                  unsigned incoming, const gnutls_datum_t* message);
  static int check_parameters(void* self, unsigned extension, const unsigned char* data,
                              unsigned size);
  static int log_key(gnutls_session_t session, const char* label, const gnutls_datum_t* secret);

  gnutls_session_t handle_ = nullptr;
  ngtcp2_conn* connection_ = nullptr;
  ngtcp2_crypto_conn_ref connection_ref_{};  // what ngtcp2's glue finds in the session
  std::vector<std::string> alpns_;
  std::optional<crypto::EndpointId> expected_peer_;
  crypto::EndpointId peer_;
  bool is_peer_proven_ = false;
  bool is_complete_ = false;
  std::string alpn_;
  bool has_refused_preferred_address_ = false;
  const KeyLogSink* key_log_ = nullptr;
};

}  // namespace culvert::quic
