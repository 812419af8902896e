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
  events_.emplace_back(std::move(closed));
}

void ConnectionImpl::fail_with(int library_error) {
  if (life_ != Life::open) return;
  const std::uint8_t alert = ngtcp2_conn_get_tls_alert(connection_);
  report(closed_by_error(library_error, alert, is_established_));
  switch (library_error) {
    case NGTCP2_ERR_IDLE_CLOSE:  // RFC 9000 10.1: without a word
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_DROP_CONN:
      life_ = Life::drained;
      return;
    case NGTCP2_ERR_CRYPTO:
      if (tls_->has_refused_preferred_address()) {
        host_.log().warn("quic",
                         "the server offers a preferred address, which cannot be written to qlog; "
                         "leave out --qlog-dir");
      }
      close_packet_.set_tls_alert(alert);
      break;
    default:
      close_packet_.set_library_error(library_error);
  }
  begin_close();
}

void ConnectionImpl::close(Instant now, std::uint64_t code, std::string_view reason) {
  clock_.advance(now);
  if (life_ != Life::open) return;
  close_packet_.set_application_error(code, reason);
  begin_close();
  stir();
}

void ConnectionImpl::displace(Instant now) {
  clock_.advance(now);
  is_displaced_ = true;
  if (life_ == Life::open) {
    report(closed_by_displacement());
    close_packet_.set_transport_error(NGTCP2_CONNECTION_REFUSED);
    begin_close();
  } else if (life_ != Life::must_close) {
    life_ = Life::drained;
  }
  stir();
}

void ConnectionImpl::give_ticket(ByteView ticket) {
  if (life_ != Life::open || is_client_) return;
  answer_.hurry();
  // Fails only for want of memory; then the client has none.
  static_cast<void>(ngtcp2_conn_submit_new_token(connection_, ticket.data(), ticket.size()));
  stir();
}

void ConnectionImpl::begin_close() {
  begin_end(Life::must_close);
}

void ConnectionImpl::begin_drain() {
  begin_end(Life::draining);
}

void ConnectionImpl::begin_end(Life life) {
  life_ = life;
  host_.on_over(*this);
  drained_at_ = from_library(library_now() + kClosingPtos * ngtcp2_conn_get_pto(connection_));
}

bool ConnectionImpl::write_close_packet(TxBuilder& out) {
  const ByteSpan tail = out.tail(ngtcp2_conn_get_path_max_tx_udp_payload_size(connection_));
  if (tail.empty()) return true;
  ngtcp2_pkt_info info{};
  const ngtcp2_ssize size =
      ngtcp2_conn_write_connection_close(connection_, tx_path_.path(), &info, tail.data(),
                                         tail.size(), &close_packet_.error(), library_now());
  if (size <= 0) {  // nothing was ever sent, or nothing may be: there is nobody to tell
    life_ = Life::drained;
    return false;
  }
  life_ = is_displaced_ ? Life::drained : Life::closing;
  const ByteView packet = tail.first(static_cast<std::size_t>(size));
  commit(out, *tx_path_.path(), info.ecn, packet.size());
  close_packet_.on_written(sent_path_value_, packet);
  return false;
}

}  // namespace culvert::quic
