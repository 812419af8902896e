#include "drive/worker.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/probe.h"

#include <algorithm>
#include <utility>

namespace culvert::drive {
namespace {

constexpr std::size_t kMessagesPerCall = 16;
constexpr std::size_t kArenaBytes = 1 << 20;

}  // namespace

Worker::Slot::Slot(Worker& owner, quic::Connection& its_connection)
    : Timer(owner.timers_), worker(owner), connection(its_connection) {}

void Worker::Slot::on_timer(Instant now) {
  connection.handle_timeout(now);
  worker.on_stirred(connection);
}

Worker::Worker(Host& host, Logger& log, WorkerHandler& handler)
    : host_(host),
      log_(log),
      handler_(handler),
      tx_(kArenaBytes),
      rx_(kMessagesPerCall),
      memory_return_(timers_, *this) {
  host_.set_handler(*this);
}

Worker::~Worker() = default;

Status Worker::open(quic::EndpointConfig config, const UdpOptions& udp) {
  auto opened = host_.open_udp(udp, *this);
  if (!opened) {
    // Unreachable is a peer, not an address that is not ours.
    if (opened.error().kind == ErrorKind::unreachable) opened.error().kind = ErrorKind::io;
    return forward(opened);
  }
  udp_ = std::move(*opened);
  CULVERT_TRY(endpoint_, quic::Endpoint::create(std::move(config), host_.rng(), log_, chunks_));
  return {};
}

void Worker::pin_local_addresses() {
  std::vector<LocalAddress> pinned = host_.local_addresses();
  std::erase_if(pinned, [](const LocalAddress& local) { return local.ip.is_loopback(); });
  udp_->pin_sources(std::move(pinned));
}

Worker::Slot& Worker::slot_of(quic::Connection& connection) {
  return *static_cast<Slot*>(connection.context);
}

Worker::Slot& Worker::adopt(quic::Connection& connection, ConnectionHandler* handler) {
  auto slot = std::make_unique<Slot>(*this, connection);
  slot->handler = handler;
  connection.context = slot.get();
  connection.waker = this;
  return *(slots_[&connection] = std::move(slot));
}

Result<quic::Connection*> Worker::connect(Instant now, const SocketAddress& remote,
                                          const quic::ConnectOptions& options,
                                          ConnectionHandler& handler) {
  CULVERT_TRY(const IpAddress local, host_.local_address_towards(remote.ip));
  return connect_from(now, local, remote, options, handler);
}

Result<quic::Connection*> Worker::connect_from(Instant now, const IpAddress& local,
                                               const SocketAddress& remote,
                                               const quic::ConnectOptions& options,
                                               ConnectionHandler& handler) {
  const PathId path{.local = {local, local_address().port}, .remote = remote};
  CULVERT_TRY(quic::Connection * connection, endpoint_->connect(now, path, options));
  adopt(*connection, &handler);
  on_stirred(*connection);
  return connection;
}

void Worker::rebind(quic::Connection& connection, ConnectionHandler& handler) {
  slot_of(connection).handler = &handler;
}

void Worker::detach(quic::Connection& connection) {
  slot_of(connection).handler = nullptr;
}

void Worker::on_stirred(quic::Connection& connection) {
  Slot& slot = slot_of(connection);
  if (slot.is_dirty) return;
  slot.is_dirty = true;
  dirty_.push_back(&connection);
  want_turn_end();
}

void Worker::request_flush(Flushable& flushable) {
  if (flushable.flush_index_ != Flushable::kNotQueued) return;
  flushable.flush_index_ = flushes_.size();
  flushes_.push_back(&flushable);
  want_turn_end();
}

// What comes up while a turn is settled is settled with it: another turn for nothing would cost a
// system call, and the rest after this one.
void Worker::want_turn_end() {
  if (!is_settling_) host_.request_turn_end();
}

void Worker::end_settling() {
  is_settling_ = false;
  if (!dirty_.empty() || !flushes_.empty() || !graves_.empty()) host_.request_turn_end();
}

void Worker::cancel_flush(Flushable& flushable) {
  if (flushable.flush_index_ == Flushable::kNotQueued) return;
  flushes_[flushable.flush_index_] = nullptr;
  flushable.flush_index_ = Flushable::kNotQueued;
}

// --- input -------------------------------------------------------------------------------

void Worker::on_udp_readable(Instant now) {
  for (std::size_t taken = 0; taken < limits::kMessagesPerTurn;) {
    const std::size_t count = udp_->recv_batch(rx_);
    if (count == 0) break;
    taken += count;
    // Read afterwards: what had not arrived yet at `now` would make the round trip look shorter
    // than it ever was.
    now = host_.now();
    for (const RxDatagram& batch : std::span(rx_).first(count)) handle_batch(now, batch);
  }
  while (const auto refusal = udp_->poll_refusal()) handler_.on_refused(now, *refusal);
  host_.request_turn_end();
}

void Worker::handle_batch(Instant now, const RxDatagram& batch) {
  for_each_segment(
      batch, [&](ByteView bytes) { handle_datagram(now, batch.path, batch.ecn, bytes, true); });
}

void Worker::handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes,
                             bool may_hand_over) {
  ++turn_datagrams_;
  const quic::Routing routing = endpoint_->handle_datagram(now, path, ecn, bytes, tx_);
  if (const auto* routed = std::get_if<quic::RoutedTo>(&routing)) {
    quic::Connection& connection = *routed->connection;
    if (connection.context == nullptr) {
      adopt(connection, nullptr);
      slot_of(connection).handler = handler_.on_connection(now, connection);
    }
    on_stirred(connection);
  } else if (const auto* other = std::get_if<quic::BelongsToWorker>(&routing);
             other != nullptr && may_hand_over) {
    const RxDatagram datagram{.path = path,
                              .ecn = ecn,
                              .segment_size = static_cast<std::uint16_t>(bytes.size()),
                              .bytes = bytes};
    CULVERT_PROBE("drive.a datagram belongs to another worker");
    if (host_.hand_over(other->index, datagram)) ++handed_over_;
  }
}

void Worker::on_handover(Instant now, const RxDatagram& datagram) {
  // Handed over once at most: the sender knew our index from the connection id.
  handle_datagram(now, datagram.path, datagram.ecn, datagram.bytes, false);
  host_.request_turn_end();
}

void Worker::on_deadline(Instant now) {
  timers_.fire(now);
  host_.request_turn_end();
}

void Worker::on_network_changed(Instant now) {
  handler_.on_network_changed(now);
  host_.request_turn_end();
}

// --- the end of a turn ---------------------------------------------------------------------

void Worker::on_turn_end(Instant now) {
  settle(now);
  transmit(now);
  moderation_.on_turn(now, std::exchange(turn_datagrams_, 0),
                      std::exchange(turn_round_trip_, Duration::max()));
  host_.set_rest(moderation_.rest());
  if (chunks_.has_shrunk() && !memory_return_.is_set()) {
    memory_return_.set(now + limits::kMemoryReturn);
  }
  arm();
}

// Flows that have ended leave much behind in an allocator that seldom gives anything back.
void Worker::on_memory_return(Instant) {
  if (!chunks_.has_shrunk()) return;
  chunks_.give_back();
  host_.give_back_memory();
}

void Worker::transmit_now(Instant now) {
  if (is_settling_) return;
  is_settling_ = true;
  drain_dirty(now);
  flush_flows(now);
  end_settling();
  transmit(now);
}

void Worker::settle(Instant now) {
  is_settling_ = true;
  // Flushing consumes input, which touches connections again; they have no new input, so
  // this ends after few rounds.
  while (!dirty_.empty() || !flushes_.empty()) {
    drain_dirty(now);
    flush_flows(now);
  }
  egress_.flush();
  delete_dead();
  if (!dirty_.empty()) drain_dirty(now);
  end_settling();
}

void Worker::delete_dead() {
  for (auto& grave : std::exchange(graves_, {})) grave.reset();
}

void Worker::drain_dirty(Instant now) {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    quic::Connection& connection = *dirty_[i];
    Slot& slot = slot_of(connection);
    slot.is_dirty = false;
    drain(now, slot);
    queue_to_send(slot);
  }
  dirty_.clear();
}

void Worker::drain(Instant now, Slot& slot) {
  quic::Connection& connection = slot.connection;
  while (auto event = connection.poll_event()) {
    // What came before the end is read before it.
    if (std::holds_alternative<quic::Closed>(*event)) deliver_input(now, slot);
    if (slot.handler != nullptr) slot.handler->on_event(now, *event);
  }
  deliver_input(now, slot);
  while (quic::Stream* stream = connection.poll_writable()) {
    if (slot.handler != nullptr) slot.handler->on_writable(now, *stream);
  }
}

void Worker::deliver_input(Instant now, Slot& slot) {
  while (auto datagram = slot.connection.poll_datagram()) {
    if (slot.handler != nullptr) slot.handler->on_datagram(now, *datagram);
  }
  while (quic::Stream* stream = slot.connection.poll_readable()) {
    if (slot.handler != nullptr) slot.handler->on_readable(now, *stream);
  }
}

void Worker::flush_flows(Instant now) {
  for (std::size_t i = 0; i < flushes_.size(); ++i) {
    Flushable* flushable = flushes_[i];
    if (flushable == nullptr) continue;
    flushable->flush_index_ = Flushable::kNotQueued;
    flushable->flush(now);
  }
  flushes_.clear();
}

void Worker::queue_to_send(Slot& slot) {
  if (slot.is_sending) return;
  slot.is_sending = true;
  sending_.push_back(&slot.connection);
}

// Round robin: each connection may fill its budget, those with more to send come again.
// While the socket is blocked the queue stays as it is.
void Worker::transmit(Instant now) {
  while (!is_blocked_ && !sending_.empty()) {
    round_.swap(sending_);
    for (quic::Connection* connection : round_) {
      Slot& slot = slot_of(*connection);
      slot.is_sending = false;
      if (is_blocked_ || connection->poll_transmit(now, limits::kSendBytesPerTurn, tx_))
        queue_to_send(slot);
      if (!is_blocked_ && tx_.tail(quic::TxBuilder::kMaxBatchBytes).empty()) send_pending();
    }
    if (!is_blocked_) send_pending();
    for (quic::Connection* connection : round_) settle_sent(*connection);
    round_.clear();
  }
  if (!is_blocked_) send_pending();  // stateless answers
}

// Re-arms the connection's timer, or ends it when nobody needs it any more.
void Worker::settle_sent(quic::Connection& connection) {
  Slot& slot = slot_of(connection);
  if (!connection.is_drained() || slot.handler != nullptr || slot.is_dirty || slot.is_sending) {
    if (connection.has_writable()) on_stirred(connection);
    slot.set(connection.next_timeout());
    if (const Duration its = connection.round_trip(); its > Duration::zero()) {
      turn_round_trip_ = std::min(turn_round_trip_, its);
    }
    return;
  }
  slots_.erase(&connection);
  endpoint_->remove(connection);
}

bool Worker::send_pending() {
  const auto batches = tx_.batches().subspan(tx_sent_);
  if (!batches.empty()) {
    const UdpSendResult result = udp_->send_batch(batches);
    tx_sent_ += result.batches_taken;
    if (result.is_blocked) {
      CULVERT_PROBE("drive.the UDP socket takes no more");
      is_blocked_ = true;
      return false;
    }
  }
  tx_.clear();
  tx_sent_ = 0;
  return true;
}

void Worker::on_udp_writable(Instant now) {
  is_blocked_ = false;
  if (send_pending()) transmit(now);
  arm();
}

void Worker::arm() {
  host_.set_deadline(timers_.next_deadline());
}

}  // namespace culvert::drive
