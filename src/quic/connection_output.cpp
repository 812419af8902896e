// The part of ConnectionImpl that writes packets.
#include "base/probe.h"
#include "quic/connection_impl.h"

#include <algorithm>

namespace culvert::quic {

bool ConnectionImpl::has_data_to_send() const {
  return !streams_.sendable.is_empty() || !datagrams_.outgoing().is_empty();
}

Instant ConnectionImpl::paced_until() const {
  return allowance_.may_send() || !has_data_to_send() ? kNever
                                                      : clock_.to_ours(allowance_.next_send());
}

bool ConnectionImpl::is_holding_answer() const {
  return is_established() && answer_.may_wait() && !has_data_to_send();
}

bool ConnectionImpl::poll_transmit(Instant now, std::size_t budget_bytes, TxBuilder& out) {
  const ngtcp2_tstamp timestamp = to_timestamp(advance(now));
  if (life_.must_close()) return write_close_packet(out);
  if (life_.is_close_due()) return !life_.packet().resend(out);
  if (!life_.is_open()) return false;
  if (!write_repeats(now, out)) return true;
  if (now < answer_.due() && is_holding_answer()) {
    CULVERT_PROBE("quic.an acknowledgement waits for what goes along with it");
    return false;
  }
  answer_.on_written();

  // A pacing timer of ngtcp2's BBR that has run out is served here, or it would stay due for ever.
  if (ngtcp2_conn_get_expiry(connection_) <= timestamp) {
    loss_timer_.note_timer_ran_out();
    if (const int rv = ngtcp2_conn_handle_expiry(connection_, timestamp); rv != 0) {
      fail_with(rv);
      return life_.must_close() && write_close_packet(out);
    }
    bbr_control_.note_timeouts(clock_.last());
  }
  update_allowances(clock_.last());
  const std::size_t quantum = allowance_.is_paced_here()
                                  ? allowance_.burst_bytes()
                                  : ngtcp2_conn_get_send_quantum(connection_);
  const std::size_t max_payload = max_datagram_payload();
  std::size_t spent = 0;
  std::size_t unpaced = 0;
  std::uint64_t in_flight = bytes_in_flight();
  const std::uint64_t limited_until =
      bbr_control_.is_attached() ? bbr_control_.app_limited_until() : 0;
  bool may_probe = true;
  for (;;) {
    const std::size_t path_size = bbr_control_.black_hole().limit(
        clock_.last(), ngtcp2_conn_get_path_max_tx_udp_payload_size(connection_));
    ByteSpan tail;
    // A path MTU probe is larger than what the path is known to carry; room for one in the
    // first packet of each call is enough.
    if (may_probe && !bbr_control_.black_hole().is_suspected())
      tail = out.tail(ngtcp2_conn_get_max_tx_udp_payload_size(connection_));
    if (tail.empty()) tail = out.tail(path_size);
    may_probe = false;
    ngtcp2_pkt_info info{};
    ngtcp2_ssize size = 0;
    // Behind another packet, which has taken along what else there was to say.
    if (spent > 0 && bbr_control_.decoys().is_due() && !tail.empty() && allowance_.may_send() &&
        has_data_to_send() && is_established()) {
      size = write_decoy(timestamp, tail);
    }
    if (!tail.empty() && size >= 0) {
      size = scheduler_.write_packet(
          *connection_,
          {.path = paths_.departure(), .info = &info, .bytes = tail, .now = timestamp},
          allowance_.may_send(), max_payload);
    }
    if (size > 0) {
      const auto bytes = static_cast<std::size_t>(size);
      const bool is_probe = bytes > path_size;
      if (is_probe) in_flight += bytes - path_size;  // paced as an ordinary packet
      commit(out, info.ecn, bytes, is_probe ? Batching::alone : Batching::shared);
      if (!is_probe && is_worth_repeating() &&
          repeats_.keep(now, allowance_.round_trip(), paths_.last_sent(),
                        static_cast<Ecn>(info.ecn & 3U), tail.first(bytes),
                        bbr_control_.path_loss().copies())) {
        bbr_control_.note_repeated();
      }
      if (!is_probe) bbr_control_.black_hole().on_sent(clock_.last(), bytes);
      spent += bytes;
      unpaced += bytes;
    }
    const bool is_idle =
        size == 0 ? !tail.empty() : has_said_all(static_cast<std::size_t>(size), path_size);
    const bool is_over = size <= 0 || is_idle || spent >= budget_bytes;
    if (is_over || unpaced >= quantum) {
      if (bbr_control_.is_attached() && unpaced > 0) {
        bbr_control_.decoys().on_sent(host_.rng(), 1 + unpaced / path_size);
      }
      note_sent(timestamp, in_flight);
      unpaced = 0;
    }
    if (size < 0) {
      fail_with(static_cast<int>(size));
      return life_.must_close() && write_close_packet(out);
    }
    if (!is_over) continue;
    if (bbr_control_.is_attached()) {
      // What is left where the window has room is kept back by the peer's flow control: that tells
      // no more of the path than having nothing to send.
      const std::uint64_t next = has_data_to_send() ? path_size : 0;
      const bool is_app_limited =
          is_idle && allowance_.may_send() && in_flight + next < bbr_control_.window_bytes();
      bbr_control_.note_end_of_data(is_app_limited, limited_until);
      bbr_control_.set_flows(streams_.sendable.count(congestion::CubicWindow::kMostFlows));
    }
    if (size == 0 && !tail.empty()) loss_timer_.note_nothing_to_send();
    return !is_idle;
  }
}

// An empty DATAGRAM, which nobody misses. Whoever takes none loses a packet of its data for a round
// trip.
ngtcp2_ssize ConnectionImpl::write_decoy(ngtcp2_tstamp timestamp, ByteSpan scratch) {
  congestion::Decoys& decoys = bbr_control_.decoys();
  decoys.expect_number();
  ngtcp2_pkt_info info{};
  ngtcp2_ssize size = ngtcp2_conn_writev_datagram(
      connection_, paths_.departure(), &info, scratch.data(), scratch.size(), nullptr,
      NGTCP2_WRITE_DATAGRAM_FLAG_NONE, congestion::Decoys::kDatagramId, nullptr, 0, timestamp);
  if (size == NGTCP2_ERR_INVALID_STATE || size == NGTCP2_ERR_INVALID_ARGUMENT) {
    size = scheduler_.write_packet(
        *connection_,
        {.path = paths_.departure(), .info = &info, .bytes = scratch, .now = timestamp}, true, 0);
  }
  if (decoys.is_expecting()) {
    decoys.give_up();
  } else {
    CULVERT_PROBE("quic.a packet has a number and is not sent");
  }
  return size;
}

// What ngtcp2 sends by itself goes into packets of its own, which it writes first, or along with
// what is ours. So a small packet leaves nothing behind, but where a timer makes it write several;
// and a request or an answer need not ask it again.
bool ConnectionImpl::has_said_all(std::size_t bytes, std::size_t path_size) const {
  return scheduler_.has_ended_small_write() && bytes <= path_size / 2 &&
         !loss_timer_.may_owe_probes() && gate_.has_ended_handshake() && !has_data_to_send();
}

// Not to an address that has not shown that it gets anything: ngtcp2 counts what it may be sent
// (RFC 9000 9.3), and knows of no copies.
bool ConnectionImpl::is_worth_repeating() const {
  return scheduler_.has_ended_small_write() && is_established() && bbr_control_.is_attached() &&
         (is_client() || gate_.is_home(paths_.last_sent().remote));
}

bool ConnectionImpl::write_repeats(Instant now, TxBuilder& out) {
  while (const auto copy = repeats_.front(now)) {
    if (copy->path != paths_.last_sent()) {  // it has moved since
      repeats_.drop_front();
      continue;
    }
    const ByteSpan tail = out.tail(copy->bytes.size());
    if (tail.empty()) return false;
    CULVERT_PROBE("quic.a small packet goes out twice");
    std::ranges::copy(copy->bytes, tail.begin());
    out.commit(copy->path, copy->ecn, copy->bytes.size());
    allowance_.on_sent(copy->bytes.size());
    tally_.on_repeated(copy->bytes.size());
    repeats_.end_front(now);
  }
  return true;
}

std::uint64_t ConnectionImpl::bytes_in_flight() const {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_, &info);
  return info.bytes_in_flight;
}

// Only what counts as in flight is paced: acknowledgements alone are not (RFC 9002 7.7), or who
// receives much could send nothing of its own.
void ConnectionImpl::note_sent(ngtcp2_tstamp timestamp, std::uint64_t& in_flight_before) {
  if (allowance_.is_paced_here()) {
    const std::uint64_t in_flight = bytes_in_flight();
    // It shrinks where writing ends the handshake, whose packets are then forgotten.
    if (in_flight > in_flight_before) allowance_.on_sent(in_flight - in_flight_before);
    in_flight_before = in_flight;
  } else {
    ngtcp2_conn_update_pkt_tx_time(connection_, timestamp);
  }
}

void ConnectionImpl::commit(TxBuilder& out, std::uint32_t ecn, std::size_t size,
                            Batching batching) {
  out.commit(paths_.note_sent(), static_cast<Ecn>(ecn & 3U), size, batching);
  tally_.on_sent(size);
}

}  // namespace culvert::quic
