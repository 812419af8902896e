// The part of ConnectionImpl that ends: how it closes, and what it says of that.
#include "quic/close_reason.h"
#include "quic/connection_impl.h"

#include <utility>

namespace culvert::quic {
namespace {

// RFC 9000 10.2: closing and draining last at least three PTOs.
constexpr std::uint64_t kClosingPtos = 3;

}  // namespace

void ConnectionImpl::report(Closed closed) {
  host_.log().debug("quic", "connection over by_peer={} what={}", closed.is_by_peer,
                    closed.error.text());
  events_.push(std::move(closed));
}

void ConnectionImpl::fail_with(int library_error) {
  if (!life_.is_open()) return;
  const std::uint8_t alert = ngtcp2_conn_get_tls_alert(connection_);
  report(closed_by_error(library_error, alert, is_established()));
  switch (library_error) {
    case NGTCP2_ERR_IDLE_CLOSE:  // RFC 9000 10.1: without a word
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_DROP_CONN:
      life_.end();
      return;
    case NGTCP2_ERR_CRYPTO:
      if (tls_->has_refused_preferred_address()) {
        host_.log().warn("quic",
                         "the server offers a preferred address, which cannot be written to qlog; "
                         "leave out --qlog-dir");
      }
      life_.packet().set_tls_alert(alert);
      break;
    default:
      life_.packet().set_library_error(library_error);
  }
  begin_close();
}

void ConnectionImpl::close(Instant now, std::uint64_t code, std::string_view reason) {
  clock_.advance(now);
  if (!life_.is_open()) return;
  life_.packet().set_application_error(code, reason);
  begin_close();
  stir();
}

void ConnectionImpl::displace(Instant now) {
  clock_.advance(now);
  if (life_.displace()) {
    report(closed_by_displacement());
    life_.packet().set_transport_error(NGTCP2_CONNECTION_REFUSED);
    begin_close();
  }
  stir();
}

void ConnectionImpl::give_ticket(ByteView ticket) {
  if (!life_.is_open() || is_client()) return;
  answer_.hurry();
  // Fails only for want of memory; then the client has none.
  static_cast<void>(ngtcp2_conn_submit_new_token(connection_, ticket.data(), ticket.size()));
  stir();
}

void ConnectionImpl::begin_close() {
  life_.begin_close(drained_at());
  host_.on_over(*this);
}

void ConnectionImpl::begin_drain() {
  life_.begin_drain(drained_at());
  host_.on_over(*this);
}

Instant ConnectionImpl::drained_at() const {
  return from_library(library_now() + kClosingPtos * ngtcp2_conn_get_pto(connection_));
}

bool ConnectionImpl::write_close_packet(TxBuilder& out) {
  const ByteSpan tail = out.tail(ngtcp2_conn_get_path_max_tx_udp_payload_size(connection_));
  if (tail.empty()) return true;
  ngtcp2_pkt_info info{};
  const ngtcp2_ssize size =
      ngtcp2_conn_write_connection_close(connection_, paths_.departure(), &info, tail.data(),
                                         tail.size(), &life_.packet().error(), library_now());
  if (size <= 0) {  // nothing was ever sent, or nothing may be: there is nobody to tell
    life_.end();
    return false;
  }
  const ByteView packet = tail.first(static_cast<std::size_t>(size));
  commit(out, info.ecn, packet.size());
  life_.on_close_written(paths_.last_sent(), packet);
  return false;
}

}  // namespace culvert::quic
