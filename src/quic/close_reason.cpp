#include "quic/close_reason.h"

#include "base/limits.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::quic {
namespace {

// TLS alerts (RFC 8446 6.2) that say "I do not accept who you are".
bool is_authentication_alert(std::uint64_t alert) {
  switch (alert) {
    case 42:   // bad_certificate: also our own verdict on a wrong EndpointId
    case 43:   // unsupported_certificate
    case 44:   // certificate_revoked
    case 45:   // certificate_expired
    case 46:   // certificate_unknown
    case 48:   // unknown_ca: how iroh refuses a wrong EndpointId
    case 49:   // access_denied
    case 51:   // decrypt_error: the signature over the handshake is wrong
    case 116:  // certificate_required
      return true;
    default:
      return false;
  }
}

constexpr std::uint64_t kNoApplicationProtocol = 120;

Error tls_error(std::uint64_t alert, bool is_by_peer) {
  if (is_authentication_alert(alert)) {
    return {ErrorKind::authentication,
            is_by_peer
                ? fmt::format("the peer does not accept our key (TLS alert {})", alert)
                : fmt::format("the peer's key is not the expected one (TLS alert {})", alert),
            {}};
  }
  if (alert == kNoApplicationProtocol) {
    return {ErrorKind::protocol, "no application protocol in common with the peer", {}};
  }
  return {ErrorKind::protocol,
          fmt::format("the TLS handshake failed {} (alert {})", is_by_peer ? "at the peer" : "here",
                      alert),
          {}};
}

// Not established yet: it could not be reached. Otherwise: it was lost.
ErrorKind kind_of_loss(bool was_established) {
  return was_established ? ErrorKind::lost : ErrorKind::unreachable;
}

}  // namespace

std::string printable_reason(ByteView phrase) {
  std::string text(as_text(phrase.first(std::min(phrase.size(), limits::kReasonBytes))));
  for (char& c : text) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return text;
}

Closed closed_by_peer(const ngtcp2_ccerr& error, bool was_established) {
  Closed closed;
  closed.is_by_peer = true;
  closed.reason = printable_reason({error.reason, error.reasonlen});
  const std::uint64_t code = error.error_code;
  if (error.type == NGTCP2_CCERR_TYPE_APPLICATION) {
    closed.application_code = code;
    closed.error = {code == 0 ? ErrorKind::cancelled : ErrorKind::lost,
                    fmt::format("the peer closed the connection (code {})", code),
                    {}};
  } else if (code >= NGTCP2_CRYPTO_ERROR && code < NGTCP2_CRYPTO_ERROR + 0x100) {
    closed.error = tls_error(code - NGTCP2_CRYPTO_ERROR, true);
  } else if (code == NGTCP2_NO_ERROR || code == NGTCP2_APPLICATION_ERROR) {
    // APPLICATION_ERROR stands for an application's close before the handshake completed.
    closed.error = {kind_of_loss(was_established), "the peer closed the connection", {}};
  } else if (code == NGTCP2_CONNECTION_REFUSED) {
    closed.error = {ErrorKind::unreachable, "the peer takes no more connections now", {}};
    closed.is_refusal_for_now = true;
  } else {
    closed.error = {
        ErrorKind::protocol, fmt::format("the peer closed with QUIC error {:#x}", code), {}};
  }
  if (!closed.reason.empty()) closed.error.what += ": " + closed.reason;
  return closed;
}

Closed closed_by_displacement() {
  Closed closed;
  closed.error = {ErrorKind::limit, "it had not authenticated, and others needed its place", {}};
  return closed;
}

Closed closed_by_excess() {
  Closed closed;
  closed.error = {
      ErrorKind::limit, "the peer sends more out of order than there is memory for", {}};
  return closed;
}

Closed closed_by_false_acknowledgement() {
  Closed closed;
  closed.error = {ErrorKind::protocol, "the peer acknowledges packets that it did not get", {}};
  return closed;
}

Closed closed_by_error(int library_error, std::uint8_t tls_alert, bool was_established) {
  Closed closed;
  switch (library_error) {
    case NGTCP2_ERR_IDLE_CLOSE:
      closed.error = {kind_of_loss(was_established),
                      was_established ? "nothing was heard from the peer for the idle timeout"
                                      : "the peer did not answer",
                      {}};
      break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      closed.error = {ErrorKind::unreachable, "the handshake with the peer took too long", {}};
      break;
    case NGTCP2_ERR_CRYPTO:
      closed.error = tls_error(tls_alert, false);
      break;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      closed.error = {ErrorKind::protocol, "the peer does not speak QUIC version 1", {}};
      break;
    case NGTCP2_ERR_DROP_CONN:
      closed.error = {kind_of_loss(was_established), "the connection was dropped", {}};
      break;
    case NGTCP2_ERR_AEAD_LIMIT_REACHED:
    case NGTCP2_ERR_PKT_NUM_EXHAUSTED:
    case NGTCP2_ERR_NO_VIABLE_PATH:
      closed.error = {ErrorKind::lost, ngtcp2_strerror(library_error), {}};
      break;
    case NGTCP2_ERR_NOMEM:
    case NGTCP2_ERR_CALLBACK_FAILURE:
    case NGTCP2_ERR_INTERNAL:
      closed.error = {ErrorKind::internal, ngtcp2_strerror(library_error), {}};
      break;
    default:
      closed.error = {
          ErrorKind::protocol,
          fmt::format("the peer broke the QUIC protocol: {}", ngtcp2_strerror(library_error)),
          {}};
  }
  return closed;
}

Closed closed_by_stateless_reset(bool was_established) {
  Closed closed;
  closed.is_by_peer = true;
  closed.error = {kind_of_loss(was_established),
                  "the peer no longer knows this connection (it restarted?)",
                  {}};
  return closed;
}

}  // namespace culvert::quic
