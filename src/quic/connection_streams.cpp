// The part of ConnectionImpl that deals with streams and DATAGRAMs.
#include "base/limits.h"
#include "base/probe.h"
#include "quic/connection_impl.h"

#include <algorithm>
#include <utility>

namespace culvert::quic {
namespace {

// A reader that waits for space is woken when this much is free: less would make it read
// in slices of one acknowledged packet.
constexpr std::size_t kWorthwhileSpace = 64 * 1024;
// Streams looked at for STOP_SENDING after each batch of input.
constexpr std::size_t kStoppedStreamsLookedAt = 8;

constexpr std::size_t kShortHeaderBytes = 1 + 4;  // first byte, longest packet number
constexpr std::size_t kAeadTagBytes = 16;

// Payload of a DATAGRAM frame (with length, RFC 9221 4) of at most `frame_bytes`.
std::size_t payload_of_frame(std::uint64_t frame_bytes) {
  if (frame_bytes <= 1 + 2) return 0;
  const std::uint64_t payload = frame_bytes - 1 - 2;
  return static_cast<std::size_t>(payload <= 16'383 ? payload : frame_bytes - 1 - 4);
}

}  // namespace

// --- events ------------------------------------------------------------------------------

std::optional<Event> ConnectionImpl::poll_event() {
  events_.let_go();
  if (events_.is_empty() && may_have_stopped_) look_for_stopped_streams();
  std::optional<Event> event = events_.take();
  if (!event) return std::nullopt;
  if (const auto* closed = std::get_if<StreamClosed>(&*event)) {
    credit_.on_stream_over(closed->stream->credit);
    credit_.budget().let_go(std::exchange(closed->stream->held, 0));
    events_.keep(streams_.remove(*closed->stream));
    if (closed->stream->is_closed_by_transport) {
      if (!closed->stream->is_local) give_place_back();
    } else if (life_.is_open()) {  // ngtcp2 goes on without us
      ngtcp2_conn_set_stream_user_data(connection_, closed->stream->id, nullptr);
    }
  }
  return event;
}

void ConnectionImpl::give_place_back() {
  if (!life_.is_open()) return;
  if (places_.give_back()) {
    ngtcp2_conn_extend_max_streams_bidi(connection_, 1);
  } else {
    CULVERT_PROBE("quic.a place that the peer should not have any more");
  }
}

void ConnectionImpl::look_for_stopped_streams() {
  may_have_stopped_ = false;
  if (!life_.is_open()) return;
  const std::size_t count = std::min(streams_.size(), kStoppedStreamsLookedAt);
  for (std::size_t i = 0; i < count; ++i) {
    Stream& stream = *streams_.next_in_turn();
    if (stream.is_output_over || stream.is_fin_sent || stream.is_closed_by_transport) continue;
    if (has_peer_stopped(*connection_, stream.id, library_now())) on_stopped_by_peer(stream, 0);
  }
}

void ConnectionImpl::on_stopped_by_peer(Stream& stream, std::uint64_t code) {
  if (stream.is_output_over || stream.is_close_reported) return;
  CULVERT_PROBE("quic.the peer wants no more of a stream");
  stream.is_output_over = true;
  discard_output(stream);
  streams_.sendable.remove(stream);
  streams_.writable.remove(stream);
  events_.push(StopSending{.stream = &stream, .code = code});
  report_if_over(stream);
}

Stream* ConnectionImpl::poll_readable() {
  Stream* stream = streams_.readable.pop_front();
  if (stream != nullptr) report_if_over(*stream);
  return stream;
}

Stream* ConnectionImpl::poll_writable() {
  Stream* stream = streams_.writable.pop_front();
  if (stream != nullptr) stream->wants_space = false;
  return stream;
}

// A stream whose input the application dropped does not wait for ngtcp2: when data had
// arrived out of order, 1.11 forgets it and then waits for it for ever. The peer's place
// does wait, so that nobody can pile up such streams.
void ConnectionImpl::report_if_over(Stream& stream) {
  const bool is_output_done =
      stream.is_output_over || (stream.is_fin_sent && stream.output.unacked_bytes() == 0);
  const bool is_over = stream.is_closed_by_transport || (stream.is_input_dropped && is_output_done);
  if (!is_over || stream.is_close_reported || stream.input.size() != 0 ||
      stream.readable_hook.is_linked) {
    return;
  }
  stream.is_close_reported = true;
  streams_.sendable.remove(stream);
  streams_.writable.remove(stream);
  events_.push(StreamClosed{&stream});
}

// --- what the application does -----------------------------------------------------------

Stream* ConnectionImpl::open_stream() {
  Stream* stream = open_stream_to_resume();
  if (stream != nullptr) {
    extend_stream(*stream, credit_.on_opened(clock_.last(), stream->credit));
  }
  return stream;
}

Stream* ConnectionImpl::open_stream_to_resume() {
  if (!life_.is_open() || !is_established()) return nullptr;
  StreamId id = -1;
  if (ngtcp2_conn_open_bidi_stream(connection_, &id, nullptr) != 0) {
    CULVERT_PROBE("quic.the peer grants no stream");
    places_.want();
    return nullptr;
  }
  Stream& stream = streams_.add(id, true, limits::kSendBufferMin);
  stream.owner = this;
  ngtcp2_conn_set_stream_user_data(connection_, id, &stream);
  limit_output(stream);
  return &stream;
}

void ConnectionImpl::submit(Stream& stream) {
  if (stream.is_close_reported || stream.is_closed_by_transport || stream.is_output_over) {
    discard_output(stream);
    return;
  }
  account_output(stream);
  if (!life_.is_open()) return;  // it may go on elsewhere, with what was just written
  const bool has_fin_to_send = stream.is_fin_queued && !stream.is_fin_sent;
  if (!stream.is_flow_blocked && (stream.output.has_unsent() || has_fin_to_send)) {
    streams_.sendable.push_back(stream);
  }
  offer_space(stream);
  stir();
}

void ConnectionImpl::finish(Stream& stream) {
  stream.is_fin_queued = true;
  submit(stream);
}

void ConnectionImpl::reset(Stream& stream, std::uint64_t code) {
  if (stream.is_close_reported || stream.is_closed_by_transport || stream.is_output_over) return;
  stream.is_output_over = true;
  if (life_.is_open()) {
    answer_.hurry();
    ngtcp2_conn_shutdown_stream_write(connection_, 0, stream.id, code);
  }
  discard_output(stream);
  streams_.sendable.remove(stream);
  streams_.writable.remove(stream);
  report_if_over(stream);
  stir();
}

void ConnectionImpl::stop_sending(Stream& stream, std::uint64_t code) {
  if (stream.is_input_dropped || stream.is_close_reported) return;
  stream.is_input_dropped = true;
  if (life_.is_open()) {
    answer_.hurry();
    if (!stream.is_closed_by_transport) {
      ngtcp2_conn_shutdown_stream_read(connection_, 0, stream.id, code);
    }
  }
  drop_input(stream);
  streams_.readable.remove(stream);
  report_if_over(stream);
  stir();
}

void ConnectionImpl::consume(Stream& stream, std::size_t count) {
  stream.input.consume(count);
  if (const std::size_t inherited = std::min(count, stream.credit.inherited); inherited != 0) {
    extend_stream(stream, credit_.on_inherited_consumed(clock_.last(), stream.credit, inherited));
    count -= inherited;
  }
  if (count > 0) {
    extend_stream(stream, credit_.on_consumed(clock_.last(), stream.credit, count));
    extend_connection();
  }
  report_if_over(stream);
  stir();
}

void ConnectionImpl::carry_messages(Stream& stream) {
  stream.carries_messages = true;
  limit_output(stream);
  extend_stream(stream, credit_.ensure_window(clock_.last(), stream.credit, limits::kMessageRoom));
  stir();
}

void ConnectionImpl::allow_streams(std::uint64_t count) {
  places_.allow(count);
  answer_.hurry();
  stir();
  if (!life_.is_open()) return;
  if (const std::uint64_t more = places_.take_grant(); more > 0) {
    ngtcp2_conn_extend_max_streams_bidi(connection_, static_cast<std::size_t>(more));
  }
}

void ConnectionImpl::share_budget(std::shared_ptr<buffers::SessionBudget> budget) {
  for (const auto& stream : streams_.all()) {
    credit_.budget().let_go(stream->held);
    budget->hold(stream->held);
  }
  datagrams_.recount(credit_.budget(), *budget);
  library_memory_.recount(credit_.budget(), *budget);
  credit_.share(std::move(budget));
  answer_.hurry();
  extend_connection();
  stir();
}

// --- credit ------------------------------------------------------------------------------

void ConnectionImpl::extend_connection() {
  if (!life_.is_open()) return;
  if (const std::uint64_t more = credit_.extend(clock_.last()); more > 0) {
    ngtcp2_conn_extend_max_offset(connection_, more);
  }
}

void ConnectionImpl::extend_stream(Stream& stream, std::uint64_t count) {
  if (count == 0 || !life_.is_open() || stream.is_closed_by_transport || stream.is_fin_received) {
    return;
  }
  ngtcp2_conn_extend_max_stream_offset(connection_, stream.id, count);
}

void ConnectionImpl::drop_input(Stream& stream) {
  credit_.on_stream_over(stream.credit);
  stream.input.discard();
  extend_connection();
}

// --- what the peer does ------------------------------------------------------------------

void ConnectionImpl::on_stream_opened(StreamId id) {
  Stream& stream = streams_.add(id, false, limits::kSendBufferMin);
  stream.owner = this;
  limit_output(stream);
  ngtcp2_conn_set_stream_user_data(connection_, id, &stream);
  events_.push(StreamOpened{&stream});
}

void ConnectionImpl::on_stream_data(StreamId, Stream* stream, bool is_fin, ByteView data) {
  if (stream->is_input_dropped) {
    credit_.on_dropped(data.size());
    extend_connection();
    return;
  }
  extend_stream(*stream, credit_.on_received(clock_.last(), stream->credit, data.size()));
  extend_connection();
  if (stream->input_skip != 0) data = skip_known(*stream, data);
  stream->input.append(data);
  if (is_fin) stream->is_fin_received = true;
  streams_.readable.push_back(*stream);
}

void ConnectionImpl::on_stream_acked(Stream& stream, std::uint64_t count) {
  settle_acknowledged(streams_.acknowledged.add(stream, static_cast<std::size_t>(count)));
}

void ConnectionImpl::settle_acknowledged(const std::optional<AcknowledgedRun<Stream>::Run>& run) {
  if (!run) return;
  Stream& stream = *run->stream;
  if (stream.is_output_over) return;
  stream.output.acknowledge(run->count);
  account_output(stream);
  offer_space(stream);
  if (stream.is_input_dropped) report_if_over(stream);
}

void ConnectionImpl::on_stream_reset(Stream& stream, std::uint64_t code) {
  if (stream.is_input_dropped || stream.is_close_reported) return;
  stream.is_reset_received = true;
  events_.push(StreamReset{.stream = &stream, .code = code});
  streams_.readable.push_back(stream);
}

void ConnectionImpl::on_stream_closed(Stream& stream, std::optional<std::uint64_t> code) {
  settle_acknowledged(streams_.acknowledged.take());
  if (!stream.is_output_over && !stream.is_fin_sent) on_stopped_by_peer(stream, code.value_or(0));
  tally_.on_stream_lost(ngtcp2_conn_get_stream_loss_count(connection_, stream.id));
  stream.is_closed_by_transport = true;
  discard_output(stream);
  streams_.sendable.remove(stream);
  streams_.writable.remove(stream);
  report_if_over(stream);
}

void ConnectionImpl::on_running_low(Stream& stream) {
  if (stream.wants_space && !stream.is_close_reported) streams_.writable.push_back(stream);
}

void ConnectionImpl::on_fin_sent(Stream& stream) {
  if (stream.is_input_dropped) report_if_over(stream);
}

void ConnectionImpl::on_orphan_closed(StreamId id) {
  CULVERT_PROBE("quic.a stream that was given up is over at last");
  if (ngtcp2_conn_is_local_stream(connection_, id) == 0) give_place_back();
}

void ConnectionImpl::on_stream_window(Stream& stream) {
  stream.is_flow_blocked = false;
  if (!stream.is_output_over) submit(stream);
}

void ConnectionImpl::on_streams_available() {
  if (places_.take_wish()) events_.push(StreamsAvailable{});
}

// --- send buffers ------------------------------------------------------------------------

// A buffer of twice the congestion window keeps the path full while acknowledgements of
// the first half are under way.
void ConnectionImpl::update_allowances(Instant now) {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_, &info);
  allowance_.update(now, info, bbr_control_);
  credit_.set_round_trip(allowance_.round_trip());
  answer_.set_round_trip(allowance_.round_trip());
  const bool has_path_changed = loss_timer_.note_rtt_sample(info.latest_rtt != 0);
  const bool is_pinging = loss_timer_.note_in_flight(info.bytes_in_flight > 0);
  if (has_path_changed || is_pinging) set_keep_alive();
}

// A window of what is not sent yet is enough, beside what waits for its acknowledgement: where a
// packet is lost twice, that is several windows. And what a stream holds beyond what its peer
// lets it send is of no use yet.
void ConnectionImpl::limit_output(Stream& stream) {
  const std::uint64_t unacked = stream.output.sent_offset() - stream.output.acked_offset();
  const std::uint64_t wanted = std::clamp<std::uint64_t>(
      unacked + allowance_.window_bytes(), limits::kSendBufferMin, limits::kSendBufferMax);
  const std::uint64_t useful =
      unacked + ngtcp2_conn_get_max_stream_data_left(connection_, stream.id) +
      (stream.carries_messages ? limits::kMessageRoom : limits::kBlockedOutput);
  stream.output.set_limit(static_cast<std::size_t>(
      std::min<std::uint64_t>({wanted, credit_.budget().send_share(), useful})));
}

void ConnectionImpl::account_output(Stream& stream) {
  const std::size_t held = stream.output.unacked_bytes();
  if (held > stream.held) {
    credit_.budget().hold(held - stream.held);
  } else {
    credit_.budget().let_go(stream.held - held);
  }
  stream.held = held;
  limit_output(stream);
}

void ConnectionImpl::discard_output(Stream& stream) {
  stream.output.discard();
  account_output(stream);
}

void ConnectionImpl::offer_space(Stream& stream) {
  if (!stream.wants_space || stream.is_close_reported) return;
  const std::size_t enough = std::min(stream.output.limit() / 4, kWorthwhileSpace);
  if (stream.output.space() >= enough) streams_.writable.push_back(stream);
}

// --- DATAGRAMs ---------------------------------------------------------------------------

std::size_t ConnectionImpl::max_datagram_payload() const {
  if (!is_established() || !life_.is_open()) return 0;
  const ngtcp2_transport_params* peer = ngtcp2_conn_get_remote_transport_params(connection_);
  if (peer == nullptr || peer->max_datagram_frame_size == 0) return 0;
  std::uint64_t packet = std::min<std::uint64_t>(
      ngtcp2_conn_get_path_max_tx_udp_payload_size(connection_), peer->max_udp_payload_size);
  if (bbr_control_.black_hole().is_suspected()) {
    packet = std::min<std::uint64_t>(packet, BlackHole::kSafeBytes);
  }
  const std::size_t overhead =
      kShortHeaderBytes + ngtcp2_conn_get_dcid(connection_)->datalen + kAeadTagBytes;
  return payload_of_frame(
      std::min<std::uint64_t>(packet - overhead, peer->max_datagram_frame_size));
}

bool ConnectionImpl::send_datagram(ByteView header, ByteView payload) {
  const std::size_t limit = max_datagram_payload();
  if (limit == 0 || header.size() + payload.size() > limit) return false;
  tally_.on_datagrams_dropped(
      datagrams_.push_outgoing(clock_.last(), credit_.budget(), header, payload));
  stir();
  return true;
}

void ConnectionImpl::on_datagram(ByteView payload) {
  tally_.on_datagrams_dropped(datagrams_.push_incoming(clock_.last(), credit_.budget(), payload));
}

std::optional<ByteView> ConnectionImpl::poll_datagram() {
  return datagrams_.poll_incoming();
}

}  // namespace culvert::quic
