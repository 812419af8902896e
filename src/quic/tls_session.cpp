#include "quic/tls_session.h"

#include "base/encoding.h"
#include "quic/packet_protection.h"

#include <fmt/format.h>
#include <gnutls/crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace culvert::quic {
namespace {

// TLS 1.3 with raw Ed25519 keys only. AES-128 first: the fastest here, and as strong as
// the 128-bit keys that authenticate the peer.
constexpr std::string_view kPriority =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:-SIGN-ALL:+SIGN-EDDSA-ED25519:"
    "-CTYPE-ALL:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK:%DISABLE_TLS13_COMPAT_MODE";
// iroh clients prefer AES-256; the server's order decides.
constexpr std::string_view kServerPreference = ":%SERVER_PRECEDENCE";

// DER around a 32-byte Ed25519 key (RFC 8410 7 and 4).
constexpr std::array<std::uint8_t, 16> kPkcs8Prefix{0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                                    0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
constexpr std::array<std::uint8_t, 12> kSpkiPrefix{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                   0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr std::size_t kKeySize = crypto::PublicKey::kSize;

gnutls_datum_t datum(ByteSpan bytes) {
  return {.data = bytes.data(), .size = static_cast<unsigned>(bytes.size())};
}

std::unexpected<Error> tls_failure(std::string_view step, int code) {
  return fail(ErrorKind::internal,
              fmt::format("TLS set-up failed at {}: {}", step, gnutls_strerror(code)));
}

}  // namespace

Result<std::unique_ptr<TlsCredentials>> TlsCredentials::create(const crypto::SecretKey& identity) {
  std::unique_ptr<TlsCredentials> credentials(new TlsCredentials());
  if (const int rv = gnutls_certificate_allocate_credentials(&credentials->handle_); rv != 0) {
    return tls_failure("credentials", rv);
  }
  std::array<std::uint8_t, kPkcs8Prefix.size() + kKeySize> secret;
  std::ranges::copy(kPkcs8Prefix, secret.begin());
  std::ranges::copy(identity.seed(), secret.begin() + kPkcs8Prefix.size());
  std::array<std::uint8_t, kSpkiPrefix.size() + kKeySize> spki;
  std::ranges::copy(kSpkiPrefix, spki.begin());
  std::ranges::copy(identity.public_key().bytes(), spki.begin() + kSpkiPrefix.size());

  const gnutls_datum_t secret_datum = datum(secret);
  const gnutls_datum_t spki_datum = datum(spki);
  const int rv =
      gnutls_certificate_set_rawpk_key_mem(credentials->handle_, &spki_datum, &secret_datum,
                                           GNUTLS_X509_FMT_DER, nullptr, 0, nullptr, 0, 0);
  gnutls_memset(secret.data(), 0, secret.size());
  if (rv < 0) return tls_failure("key", rv);
  return credentials;
}

TlsCredentials::~TlsCredentials() {
  if (handle_ != nullptr) gnutls_certificate_free_credentials(handle_);
}

Result<std::unique_ptr<TlsSession>> TlsSession::create(const TlsCredentials& credentials,
                                                       const TlsOptions& options) {
  std::unique_ptr<TlsSession> session(new TlsSession());
  session->expected_peer_ = options.peer;
  session->key_log_ = options.key_log;

  unsigned role = GNUTLS_CLIENT;
  if (options.is_server) role = GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET;
  if (const int rv =
          gnutls_init(&session->handle_, role | GNUTLS_ENABLE_RAWPK | GNUTLS_NO_END_OF_EARLY_DATA);
      rv != 0) {
    return tls_failure("session", rv);
  }
  gnutls_session_t handle = session->handle_;

  std::string priority(kPriority);
  if (options.is_server) priority += kServerPreference;
  if (const int rv = gnutls_priority_set_direct(handle, priority.c_str(), nullptr); rv != 0) {
    return tls_failure("priority", rv);
  }
  const int configured = options.is_server ? ngtcp2_crypto_gnutls_configure_server_session(handle)
                                           : ngtcp2_crypto_gnutls_configure_client_session(handle);
  if (configured != 0) return tls_failure("QUIC", GNUTLS_E_INTERNAL_ERROR);
  session->connection_ref_.user_data = session.get();
  session->connection_ref_.get_conn = [](ngtcp2_crypto_conn_ref* ref) {
    return static_cast<TlsSession*>(ref->user_data)->connection_;
  };
  gnutls_session_set_ptr(handle, &session->connection_ref_);
  install_secret_hook(handle, options.protection);
  gnutls_session_set_verify_function(handle, &TlsSession::verify);
  // Always: GnuTLS's own function would obey SSLKEYLOGFILE from the environment.
  gnutls_session_set_keylog_function(handle, &TlsSession::log_key);
  if (options.is_server) gnutls_certificate_server_set_request(handle, GNUTLS_CERT_REQUIRE);
  if (const int rv = gnutls_credentials_set(handle, GNUTLS_CRD_CERTIFICATE, credentials.handle());
      rv != 0) {
    return tls_failure("credentials", rv);
  }

  std::vector<gnutls_datum_t> alpns;
  for (const std::string& alpn : options.alpns) {
    // GnuTLS copies the names; its type just lacks the const.
    alpns.push_back({.data = reinterpret_cast<unsigned char*>(const_cast<char*>(alpn.data())),
                     .size = static_cast<unsigned>(alpn.size())});
  }
  session->alpns_ = options.alpns;
  // MANDATORY refuses a peer that names none of ours, but not one that leaves the extension
  // out: that is check_extensions's.
  unsigned flags = GNUTLS_ALPN_MANDATORY;
  if (options.is_server) flags |= GNUTLS_ALPN_SERVER_PRECEDENCE;
  if (const int rv = alpns.empty()
                         ? 0
                         : gnutls_alpn_set_protocols(handle, alpns.data(),
                                                     static_cast<unsigned>(alpns.size()), flags);
      rv != 0) {
    return tls_failure("ALPN", rv);
  }
  // What settles it is the ClientHello at the server. At the client it is EncryptedExtensions,
  // whose hook runs before GnuTLS has parsed them; Finished is the last message of all.
  const auto settled_by =
      options.is_server ? GNUTLS_HANDSHAKE_CLIENT_HELLO : GNUTLS_HANDSHAKE_FINISHED;
  if (options.refuses_preferred_address && !options.is_server) {  // a session has one hook
    gnutls_handshake_set_hook_function(handle, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH,
                                       &TlsSession::check_before_parsing);
  } else {
    gnutls_handshake_set_hook_function(handle, settled_by, GNUTLS_HOOK_POST,
                                       &TlsSession::check_extensions);
  }
  return session;
}

TlsSession::~TlsSession() {
  if (handle_ != nullptr) gnutls_deinit(handle_);
}

void TlsSession::attach(ngtcp2_conn& connection) {
  connection_ = &connection;
  ngtcp2_conn_set_tls_native_handle(&connection, handle_);
}

TlsSession& TlsSession::of(gnutls_session_t session) {
  const auto* connection = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
  return *static_cast<TlsSession*>(connection->user_data);
}

// Called with the peer's certificate; GnuTLS itself checks that the peer holds the key
// (CertificateVerify). Non-zero ends the handshake with bad_certificate.
int TlsSession::verify(gnutls_session_t session) {
  TlsSession& self = of(session);
  if (gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_RAWPK) return -1;
  unsigned count = 0;
  const gnutls_datum_t* certificates = gnutls_certificate_get_peers(session, &count);
  if (certificates == nullptr || count != 1) return -1;
  const ByteView spki(certificates[0].data, certificates[0].size);
  if (spki.size() != kSpkiPrefix.size() + kKeySize ||
      !std::ranges::equal(spki.first(kSpkiPrefix.size()), kSpkiPrefix)) {
    return -1;
  }
  const auto peer = crypto::EndpointId::from_bytes(spki.subspan(kSpkiPrefix.size()));
  if (!peer) return -1;
  if (self.expected_peer_ && *peer != *self.expected_peer_) return -1;
  self.peer_ = *peer;
  self.is_peer_proven_ = true;
  return 0;
}

// Called once the extensions of the peer are read. Alert 120 (RFC 7301 3.2, RFC 9001 8.1) where
// the application protocol is none of ours; 109 (RFC 9001 8.2) where there are no transport
// parameters: ngtcp2 1.11 finds that out when the handshake completes, and before would abort
// at the first packet that a server writes.
int TlsSession::check_extensions(gnutls_session_t session, unsigned, unsigned, unsigned,
                                 const gnutls_datum_t*) {
  TlsSession& self = of(session);
  self.alpn_ = self.selected_alpn();
  if (!self.has_known_alpn()) return GNUTLS_E_NO_APPLICATION_PROTOCOL;
  return ngtcp2_conn_get_remote_transport_params(self.connection_) != nullptr
             ? 0
             : GNUTLS_E_MISSING_EXTENSION;
}

// A client's, for every message: what check_extensions looks at, and the server's parameters
// before ngtcp2 has them.
int TlsSession::check_before_parsing(gnutls_session_t session, unsigned type, unsigned when,
                                     unsigned incoming, const gnutls_datum_t* message) {
  if (type == GNUTLS_HANDSHAKE_FINISHED && when == GNUTLS_HOOK_POST) {
    return check_extensions(session, type, when, incoming, message);
  }
  if (type != GNUTLS_HANDSHAKE_ENCRYPTED_EXTENSIONS || when != GNUTLS_HOOK_PRE) return 0;
  TlsSession& self = of(session);
  // What it cannot parse GnuTLS refuses itself.
  static_cast<void>(gnutls_ext_raw_parse(&self, &TlsSession::check_parameters, message, 0));
  return self.has_refused_preferred_address_ ? GNUTLS_E_ILLEGAL_PARAMETER : 0;
}

int TlsSession::check_parameters(void* self, unsigned extension, const unsigned char* data,
                                 unsigned size) {
  constexpr unsigned kTransportParameters = 0x39;  // RFC 9001 8.2
  ngtcp2_transport_params params;
  if (extension != kTransportParameters ||
      ngtcp2_transport_params_decode(&params, data, size) != 0) {
    return 0;
  }
  if (params.preferred_addr_present != 0) {
    static_cast<TlsSession*>(self)->has_refused_preferred_address_ = true;
  }
  return 0;
}

bool TlsSession::complete() {
  if (!is_peer_proven_ || !has_known_alpn()) return false;
  is_complete_ = true;
  return true;
}

bool TlsSession::has_known_alpn() const {
  return alpns_.empty() || std::ranges::find(alpns_, alpn_) != alpns_.end();
}

int TlsSession::log_key(gnutls_session_t session, const char* label, const gnutls_datum_t* secret) {
  const TlsSession& self = of(session);
  if (self.key_log_ == nullptr || !*self.key_log_) return 0;
  gnutls_datum_t client_random{};
  gnutls_datum_t server_random{};
  gnutls_session_get_random(session, &client_random, &server_random);
  (*self.key_log_)(fmt::format("{} {} {}\n", label,
                               hex_encode({client_random.data, client_random.size}),
                               hex_encode({secret->data, secret->size})));
  return 0;
}

std::string TlsSession::selected_alpn() const {
  gnutls_datum_t protocol{};
  if (gnutls_alpn_get_selected_protocol(handle_, &protocol) != 0) return {};
  return std::string(as_text({protocol.data, protocol.size}));
}

Status TlsSession::export_keying_material(std::string_view label, ByteView context,
                                          ByteSpan out) const {
  const int rv = gnutls_prf_rfc5705(handle_, label.size(), label.data(), context.size(),
                                    reinterpret_cast<const char*>(context.data()), out.size(),
                                    reinterpret_cast<char*>(out.data()));
  if (rv != 0) {
    return fail(ErrorKind::internal,
                fmt::format("the TLS exporter failed: {}", gnutls_strerror(rv)));
  }
  return {};
}

}  // namespace culvert::quic
