#include "http/tls_stream.h"

#include "base/address.h"
#include "base/assert.h"

#include <fmt/format.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace culvert::http {
namespace {

constexpr const char* kPriority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
constexpr std::size_t kRecordBytes = 16'384;  // RFC 8446 5.1

gnutls_datum_t datum(std::string_view text) {
  return {reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())),
          static_cast<unsigned>(text.size())};
}

// GnuTLS finds that out by a signature, and lets Ed25519 pass.
bool is_key_of(gnutls_certificate_credentials_t credentials) {
  gnutls_x509_privkey_t key = nullptr;
  gnutls_x509_crt_t* chain = nullptr;
  unsigned count = 0;
  std::array<unsigned char, 32> of_key{};
  std::array<unsigned char, 32> of_certificate{};
  std::size_t key_size = of_key.size();
  std::size_t certificate_size = of_certificate.size();
  const bool is_key =
      gnutls_certificate_get_x509_key(credentials, 0, &key) == 0 &&
      gnutls_certificate_get_x509_crt(credentials, 0, &chain, &count) == 0 && count > 0 &&
      gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, of_key.data(), &key_size) == 0 &&
      gnutls_x509_crt_get_key_id(chain[0], GNUTLS_KEYID_USE_SHA256, of_certificate.data(),
                                 &certificate_size) == 0 &&
      of_key == of_certificate;
  for (unsigned i = 0; i < count; ++i) gnutls_x509_crt_deinit(chain[i]);
  gnutls_free(chain);
  gnutls_x509_privkey_deinit(key);
  return is_key;
}

bool is_again(std::ptrdiff_t code) {
  return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
}

}  // namespace

Result<std::unique_ptr<TlsCredentials>> TlsCredentials::of_client(const Trust& trust) {
  std::unique_ptr<TlsCredentials> credentials(new TlsCredentials);
  const int made = gnutls_certificate_allocate_credentials(&credentials->handle_);
  CULVERT_ASSERT(made == 0);
  if (trust.has_system_roots) {
    if (const int count = gnutls_certificate_set_x509_system_trust(credentials->handle_);
        count <= 0) {
      return fail(ErrorKind::configuration,
                  "this system has no root certificates: install its ca-certificates, or name a "
                  "file of your own");
    }
  }
  if (trust.authorities_pem.empty()) return credentials;
  const gnutls_datum_t pem = datum(trust.authorities_pem);
  const int count =
      gnutls_certificate_set_x509_trust_mem(credentials->handle_, &pem, GNUTLS_X509_FMT_PEM);
  if (count <= 0) {
    return fail(ErrorKind::configuration,
                fmt::format("no certificate of an authority in PEM{}{}", count < 0 ? ": " : "",
                            count < 0 ? gnutls_strerror(count) : ""));
  }
  return credentials;
}

Result<std::unique_ptr<TlsCredentials>> TlsCredentials::of_server(
    std::string_view chain_pem, const Secret<std::string>& key_pem) {
  std::unique_ptr<TlsCredentials> credentials(new TlsCredentials);
  const int made = gnutls_certificate_allocate_credentials(&credentials->handle_);
  CULVERT_ASSERT(made == 0);
  const gnutls_datum_t chain = datum(chain_pem);
  const gnutls_datum_t key = datum(key_pem.reveal());
  const int set =
      gnutls_certificate_set_x509_key_mem(credentials->handle_, &chain, &key, GNUTLS_X509_FMT_PEM);
  if (set < 0) {
    return fail(ErrorKind::configuration,
                fmt::format("no certificate with its key in PEM: {}", gnutls_strerror(set)));
  }
  if (!is_key_of(credentials->handle_)) {
    return fail(ErrorKind::configuration, "the key is not that of the certificate");
  }
  return credentials;
}

TlsCredentials::~TlsCredentials() {
  gnutls_certificate_free_credentials(handle_);
}

// --- the stream ----------------------------------------------------------------------------

std::unique_ptr<TlsStream> TlsStream::connect(Host& host, std::unique_ptr<StreamPort> below,
                                              std::shared_ptr<const TlsCredentials> credentials,
                                              std::string server, Duration patience,
                                              StreamHandler& handler) {
  if (server.ends_with('.')) server.pop_back();
  return std::unique_ptr<TlsStream>(new TlsStream(host, std::move(below), std::move(credentials),
                                                  std::move(server), patience, handler));
}

std::unique_ptr<TlsStream> TlsStream::accept(Host& host, std::unique_ptr<StreamPort> below,
                                             std::shared_ptr<const TlsCredentials> credentials,
                                             Duration patience, StreamHandler& handler) {
  std::unique_ptr<TlsStream> stream(new TlsStream(host, std::move(below), std::move(credentials),
                                                  std::nullopt, patience, handler));
  stream->state_ = State::shaking;
  stream->below_->want_readable();
  return stream;
}

TlsStream::TlsStream(Host& host, std::unique_ptr<StreamPort> below,
                     std::shared_ptr<const TlsCredentials> credentials,
                     std::optional<std::string> server, Duration patience, StreamHandler& handler)
    : host_(host),
      credentials_(std::move(credentials)),
      below_(std::move(below)),
      handler_(&handler),
      peer_(server ? *server : below_->remote_text()) {
  const unsigned role = server ? GNUTLS_CLIENT : GNUTLS_SERVER;
  int done = gnutls_init(&session_, role | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
                                        (server ? 0U : unsigned{GNUTLS_NO_TICKETS}));
  CULVERT_ASSERT(done == 0);
  done = gnutls_priority_set_direct(session_, kPriority, nullptr);
  CULVERT_ASSERT(done == 0);
  done = gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_->handle());
  CULVERT_ASSERT(done == 0);
  if (server) {
    // RFC 6066 3: names only.
    if (!IpAddress::parse(peer_)) {
      gnutls_server_name_set(session_, GNUTLS_NAME_DNS, peer_.data(), peer_.size());
    }
    gnutls_session_set_verify_cert(session_, peer_.c_str(), 0);
  }
  gnutls_transport_set_ptr(session_, this);
  gnutls_transport_set_pull_function(session_, &TlsStream::pull);
  gnutls_transport_set_push_function(session_, &TlsStream::push);
  patience_ = host_.after(patience, [this](Instant now) {
    fail(now, ErrorKind::unreachable,
         state_ == State::connecting ? "no connection in time"
                                     : "no end of the TLS handshake in time");
  });
  below_->set_handler(*this);
}

TlsStream::~TlsStream() {
  const bool is_in_order = state_ == State::open || state_ == State::ended;
  if (is_in_order && !is_ending_ && !has_pending_) say_end();
  gnutls_deinit(session_);
}

std::ptrdiff_t TlsStream::pull(void* stream, void* data, std::size_t size) {
  TlsStream& self = *static_cast<TlsStream*>(stream);
  const std::array into{ByteSpan(static_cast<std::uint8_t*>(data), size)};
  const IoResult result = self.below_->try_read(into);
  if (result.bytes > 0) return static_cast<std::ptrdiff_t>(result.bytes);
  if (result.status == IoStatus::end) return 0;
  gnutls_transport_set_errno(self.session_,
                             result.status == IoStatus::failed ? ECONNRESET : EAGAIN);
  return -1;
}

std::ptrdiff_t TlsStream::push(void* stream, const void* data, std::size_t size) {
  TlsStream& self = *static_cast<TlsStream*>(stream);
  const std::array from{ByteView(static_cast<const std::uint8_t*>(data), size)};
  const IoResult result = self.below_->try_write(from);
  if (result.bytes > 0) return static_cast<std::ptrdiff_t>(result.bytes);
  gnutls_transport_set_errno(self.session_,
                             result.status == IoStatus::failed ? ECONNRESET : EAGAIN);
  return -1;
}

void TlsStream::on_stream_connected(Instant now) {
  state_ = State::shaking;
  shake(now);
}

void TlsStream::on_stream_failed(Instant now, const Error& error) {
  if (state_ == State::connecting) return fail(now, error.kind, error.what);
  if (state_ == State::shaking) return fail(now, ErrorKind::unreachable, error.what);
  state_ = State::failed;
  handler_->on_stream_failed(now, error);
}

void TlsStream::on_stream_readable(Instant now) {
  if (state_ == State::shaking) return shake(now);
  if (std::exchange(wants_readable_, false)) handler_->on_stream_readable(now);
}

void TlsStream::on_stream_writable(Instant now) {
  if (state_ == State::shaking) return shake(now);
  if (!flush() && !has_write_failed_) return;
  if (is_ending_ && !has_said_end_) say_end();
  if (std::exchange(wants_writable_, false)) handler_->on_stream_writable(now);
}

void TlsStream::shake(Instant now) {
  int done = 0;
  do done = gnutls_handshake(session_);
  while (done < 0 && !is_again(done) && gnutls_error_is_fatal(done) == 0);
  if (is_again(done)) {
    return gnutls_record_get_direction(session_) == 0 ? below_->want_readable()
                                                      : below_->want_writable();
  }
  if (done < 0) {
    const Error error = handshake_error(done);
    gnutls_alert_send_appropriate(session_, done);  // it may not get through
    return fail(now, error.kind, error.what);
  }
  state_ = State::open;
  patience_.reset();
  if (wants_readable_) want_readable();
  if (wants_writable_) want_writable();
  handler_->on_stream_connected(now);
}

Error TlsStream::handshake_error(int code) const {
  if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
    gnutls_datum_t text{};
    const unsigned status = gnutls_session_get_verify_cert_status(session_);
    std::string why = "its certificate is not believed";
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0) {
      why += fmt::format(": {}", std::string_view(reinterpret_cast<char*>(text.data), text.size));
      gnutls_free(text.data);
      while (why.ends_with(' ') || why.ends_with('\0')) why.pop_back();
    }
    return {ErrorKind::authentication, why, peer_};
  }
  if (code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_PULL_ERROR ||
      code == GNUTLS_E_PUSH_ERROR) {
    return {ErrorKind::unreachable, "the connection ended within the TLS handshake", peer_};
  }
  if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
    const char* name = gnutls_alert_get_name(gnutls_alert_get(session_));
    return {ErrorKind::protocol,
            fmt::format("refuses the TLS handshake: {}", name != nullptr ? name : "unknown alert"),
            peer_};
  }
  return {ErrorKind::protocol, fmt::format("no TLS handshake: {}", gnutls_strerror(code)), peer_};
}

void TlsStream::fail(Instant now, ErrorKind kind, std::string what) {
  state_ = State::failed;
  patience_.reset();
  handler_->on_stream_failed(now, Error{kind, std::move(what), peer_});
}

IoResult TlsStream::try_read(std::span<const ByteSpan> into) {
  std::size_t moved = 0;
  for (const ByteSpan& span : into) {
    if (state_ != State::open || span.empty()) continue;
    const auto got = gnutls_record_recv(session_, span.data(), span.size());
    if (got > 0) {
      moved += static_cast<std::size_t>(got);
      if (static_cast<std::size_t>(got) < span.size()) break;
      continue;
    }
    if (got == 0) {
      state_ = State::ended;
    } else if (!is_again(got) &&
               (gnutls_error_is_fatal(static_cast<int>(got)) != 0 || got == GNUTLS_E_REHANDSHAKE)) {
      state_ = State::failed;  // also an end below that the other end did not say
    }
    break;
  }
  if (moved > 0) return {moved, IoStatus::ok};
  switch (state_) {
    case State::ended:
      return {0, IoStatus::end};
    case State::failed:
      return {0, IoStatus::failed};
    default:
      return {0, IoStatus::would_block};
  }
}

// A record that the stream below takes in part is kept by GnuTLS, and counts as taken.
IoResult TlsStream::try_write(std::span<const ByteView> from) {
  if (is_ending_ || has_write_failed_ || state_ == State::failed) return {0, IoStatus::failed};
  if (state_ == State::connecting || state_ == State::shaking) return {0, IoStatus::would_block};
  if (!flush()) return {0, has_write_failed_ ? IoStatus::failed : IoStatus::would_block};
  std::size_t moved = 0;
  for (ByteView view : from) {
    while (!view.empty()) {
      const std::size_t size = std::min(view.size(), kRecordBytes);
      const auto sent = gnutls_record_send(session_, view.data(), size);
      if (is_again(sent)) {
        has_pending_ = true;
        below_->want_writable();
        return {moved + size, IoStatus::ok};
      }
      if (sent <= 0) {
        has_write_failed_ = true;
        return {moved, moved > 0 ? IoStatus::ok : IoStatus::failed};
      }
      moved += static_cast<std::size_t>(sent);
      view = view.subspan(static_cast<std::size_t>(sent));
    }
  }
  return {moved, IoStatus::ok};
}

bool TlsStream::flush() {
  if (!has_pending_) return true;
  const auto sent = gnutls_record_send(session_, nullptr, 0);
  if (is_again(sent)) {
    below_->want_writable();
    return false;
  }
  has_pending_ = false;
  has_write_failed_ = sent < 0;
  return sent >= 0;
}

void TlsStream::want_readable() {
  wants_readable_ = true;
  if (state_ == State::connecting || state_ == State::shaking) return;
  if (state_ == State::open && gnutls_record_check_pending(session_) == 0) {
    return below_->want_readable();
  }
  soon_ = host_.after(Duration::zero(), [this](Instant now) { on_stream_readable(now); });
}

void TlsStream::want_writable() {
  wants_writable_ = true;
  if (state_ == State::connecting || state_ == State::shaking) return;
  below_->want_writable();
}

void TlsStream::shutdown_write() {
  if (std::exchange(is_ending_, true) || state_ == State::failed) return;
  if (flush() || has_write_failed_) say_end();
}

void TlsStream::say_end() {
  if (is_again(gnutls_bye(session_, GNUTLS_SHUT_WR))) return below_->want_writable();
  has_said_end_ = true;
  below_->shutdown_write();
}

void TlsStream::reset() {
  state_ = State::failed;
  below_->reset();
}

bool TlsStream::export_keying_material(std::string_view label, ByteView context,
                                       ByteSpan out) const {
  if (state_ == State::connecting || state_ == State::shaking) return false;
  return gnutls_prf_rfc5705(session_, label.size(), label.data(), context.size(),
                            reinterpret_cast<const char*>(context.data()), out.size(),
                            reinterpret_cast<char*>(out.data())) == 0;
}

}  // namespace culvert::http
