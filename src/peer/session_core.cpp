#include "peer/session_core.h"

#include "base/probe.h"
#include "peer/flow_codes.h"
#include "session/flow_open.h"

#include <utility>

namespace culvert::peer {

SessionCore::SessionCore(drive::Worker& worker, SessionCounters counters, SessionCoreOwner& owner)
    : worker_(worker),
      counters_(counters),
      owner_(owner),
      lanes_(worker, [this](Instant now, StreamUser& user) { retire(now, user); }),
      flows_(worker) {}

SessionCore::~SessionCore() {
  if (connection_ != nullptr) worker_.detach(*connection_);
}

// --- from one connection to the next -------------------------------------------------------------

void SessionCore::adopt(quic::Connection& connection, std::unique_ptr<ControlStream> control,
                        drive::ConnectionHandler& handler, ControlHandler& control_handler) {
  connection_ = &connection;
  worker_.rebind(connection, handler);
  control_ = std::move(control);
  control_->set_handler(control_handler);
}

void SessionCore::suspend(Instant now) {
  read_rest(now);
  lanes_.remove(now, *connection_);
  park(now);
  let_go();
}

void SessionCore::replace(Instant now, bool keeps_flows) {
  control_->release();  // what it says is about the connection that ends
  read_rest(now);
  const auto code = keeps_flows ? session::CloseCode::moved : session::CloseCode::done;
  connection_->close(now, static_cast<std::uint64_t>(code),
                     "the client is back on another connection");
  lanes_.remove(now, *connection_);
  if (keeps_flows) park(now);
  let_go();
}

void SessionCore::let_go() {
  if (control_) {
    control_->release();
    worker_.bury(std::move(control_));
  }
  if (connection_ != nullptr) worker_.detach(*std::exchange(connection_, nullptr));
}

// What has arrived is acknowledged, or will be taken for it: flows that were opened a moment ago
// as well.
void SessionCore::read_rest(Instant now) {
  while (auto event = connection_->poll_event()) on_stream_event(now, *event);
  while (quic::Stream* stream = connection_->poll_readable()) on_readable(now, *stream);
}

void SessionCore::park(Instant now) {
  control_->release();
  parked_.take(*connection_, lanes_.shared_budget(), [&](StreamUser& user) {
    user.on_quic_closed(now);
    retire(now, user);
  });
  // Only where a connection is lost again and again, and more waits each time.
  while (quic::Stream* stream = parked_.largest_beyond_share()) {
    owner_.on_beyond_share(now);
    ++counters_.flows_dropped;
    drop(now, *stream);
  }
}

// Its stream stays, so that the peer is told when it asks.
void SessionCore::drop(Instant now, quic::Stream& parked) {
  if (auto* user = user_of(parked)) user->on_quic_reset(now, kReset);
  parked.reset(kReset);
  parked.stop_sending(kReset);
}

// --- what the lanes bring ------------------------------------------------------------------------

void SessionCore::on_stream_event(Instant now, const quic::Event& event) {
  if (const auto* opened = std::get_if<quic::StreamOpened>(&event)) {
    owner_.on_flow_stream(*opened->stream);
  } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
    quic::Stream& stream = *reset->stream;
    if (reset->code == kUnknown && has_ended_in_order(stream)) {
      // We asked for a flow that was over there, and it was over here but for the last
      // acknowledgement.
      CULVERT_PROBE("peer.a flow was over in order at the peer");
      stream.is_reset_received = false;
      return;
    }
    if (auto* user = user_of(stream)) user->on_quic_reset(now, reset->code);
  } else if (const auto* stop = std::get_if<quic::StopSending>(&event)) {
    if (auto* user = user_of(*stop->stream)) user->on_quic_stop_sending(now, stop->code);
  } else if (const auto* closed = std::get_if<quic::StreamClosed>(&event)) {
    if (auto* user = user_of(*closed->stream)) {
      user->on_quic_closed(now);
      retire(now, *user);
    }
  }
}

void SessionCore::on_readable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) {
    user->on_quic_readable(now);
  } else {
    stream.consume(stream.input.size());
  }
}

void SessionCore::on_writable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) user->on_quic_writable(now);
}

void SessionCore::on_datagram(Instant now, ByteView datagram) {
  const auto header = session::decode_datagram_header(datagram);
  const auto user = header ? datagram_users_.find(header->value) : datagram_users_.end();
  if (user == datagram_users_.end()) {
    ++counters_.udp_dropped;  // of a flow that has just ended, or nonsense
    return;
  }
  user->second->on_datagram(now, datagram.subspan(header->size));
}

// --- flows ---------------------------------------------------------------------------------------

void SessionCore::retire(Instant now, StreamUser& flow) {
  if (!flows_.retire(flow) || !flow.is_flow()) return;
  --counters_.flows_active;
  owner_.on_flow_ended(now);
}

std::size_t SessionCore::end_flows(Instant now) {
  std::size_t count = 0;
  while (StreamUser* flow = flows_.any()) {
    flow->on_quic_closed(now);
    retire(now, *flow);
    ++count;
  }
  parked_.clear();
  lanes_.clear_stripes();
  return count;
}

bool SessionCore::send_datagram(Multipath mode, ByteView header, ByteView payload) {
  if (mode != Multipath::fastest) return lanes_.send_datagram(mode, header, payload);
  return connection_ != nullptr &&
         header.size() + payload.size() <= connection_->max_datagram_payload() &&
         connection_->send_datagram(header, payload);
}

}  // namespace culvert::peer
