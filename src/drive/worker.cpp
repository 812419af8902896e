#include "drive/worker.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/probe.h"
#include "drive/datagram_kind.h"

#include <algorithm>
#include <utility>

namespace culvert::drive {
namespace {

constexpr std::size_t kMessagesPerCall = 16;
constexpr std::size_t kArenaBytes = 1 << 20;
constexpr std::size_t kAnySize = 0xFFFF;  // the kernel refuses what is too large itself

}  // namespace

Worker::Slot::Slot(Worker& owner, quic::Connection& its_connection)
    : Timer(owner.timers_), worker(owner), connection(its_connection) {}

void Worker::Slot::on_timer(Instant now) {
  connection.handle_timeout(now);
  worker.on_stirred(connection);
}

Worker::Worker(Host& host, Logger& log)
    : host_(host), log_(log), tx_(kArenaBytes), rx_(kMessagesPerCall) {
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
  transports_.set(PathKind::direct, *udp_, kAnySize);
  index_ = config.worker_index;
  config.alpns.clear();
  config.accepts_connections = false;
  CULVERT_TRY(endpoint_, quic::Endpoint::create(std::move(config), host_.rng(), log_, chunks()));
  return {};
}

// --- roles -------------------------------------------------------------------------------

Status Worker::add_role(WorkerHandler& role, std::vector<std::string> alpns) {
  CULVERT_CHECK(roles_.add(role, std::move(alpns)));
  endpoint_->accept_protocols(roles_.alpns());
  return {};
}

void Worker::remove_role(const WorkerHandler& role) {
  roles_.remove(role);
  endpoint_->accept_protocols(roles_.alpns());
}

// A ClientHello that comes in several packets does not say before the last what the client speaks.
void Worker::offer(Instant now, Slot& slot) {
  quic::Connection& connection = slot.connection;
  if (connection.alpn().empty()) return;
  slot.is_unclaimed = false;
  if (WorkerHandler* role = roles_.speaker_of(connection.alpn())) {
    slot.handler = role->on_connection(now, connection);
  }
  if (slot.handler == nullptr) connection.close(now, 0, "nobody takes this connection");
}

// --- connections -------------------------------------------------------------------------

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
  slot->is_unclaimed = handler == nullptr;
  connection.context = slot.get();
  connection.waker = this;
  return *(slots_[&connection] = std::move(slot));
}

Result<quic::Connection*> Worker::connect(Instant now, const SocketAddress& remote,
                                          const quic::ConnectOptions& options,
                                          ConnectionHandler& handler) {
  // No routing table knows the way to a stand-in.
  if (path_kind_of(remote.ip) != PathKind::direct) {
    return connect_from(now, IpAddress::any(Family::v6), remote, options, handler);
  }
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
    for (const RxDatagram& batch : std::span(rx_).first(count)) take_from_wire(now, batch);
  }
  while (const auto refusal = udp_->poll_refusal()) roles_.on_refused(now, *refusal);
  host_.request_turn_end();
}

// Nobody on a wire has an address of ours; who says so wants to be taken for a relay's peer.
void Worker::take_from_wire(Instant now, const RxDatagram& batch) {
  if (path_kind_of(batch.path.remote.ip) != PathKind::direct) {
    strays_ += segment_count(batch);
    return;
  }
  handle_batch(now, batch, true);
}

void Worker::on_received(Instant now, const RxDatagram& batch) {
  handle_batch(now, batch, true);
  host_.request_turn_end();
}

// Handed over once at most: the sender knew our index from the connection id.
void Worker::on_handover(Instant now, const RxDatagram& batch) {
  handle_batch(now, batch, false);
  host_.request_turn_end();
}

// Datagrams that follow each other and belong to the same other worker go there together.
void Worker::handle_batch(Instant now, const RxDatagram& batch, bool may_hand_over) {
  Taker taker;
  std::size_t at = 0;
  std::size_t from = 0;  // of those for `taker`
  const auto hand_over_run = [&] {
    if (!taker || !may_hand_over) return;
    RxDatagram run = batch;
    run.bytes = batch.bytes.subspan(from, at - from);
    run.segment_size =
        static_cast<std::uint16_t>(std::min<std::size_t>(batch.segment_size, run.bytes.size()));
    hand_over(*taker, run);
  };
  for_each_segment(batch, [&](ByteView bytes) {
    const Taker next = handle_datagram(now, batch.path, batch.ecn, bytes);
    if (next != taker) {
      hand_over_run();
      taker = next;
      from = at;
    }
    at += bytes.size();
  });
  hand_over_run();
}

void Worker::hand_over(std::uint8_t worker, const RxDatagram& batch) {
  CULVERT_PROBE("drive.datagrams belong to another worker");
  (host_.hand_over(worker, batch) ? handed_over_ : strays_) += segment_count(batch);
}

Worker::Taker Worker::handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes) {
  moderation_.note_datagram();
  const bool is_from_turn_server = turn_input_ != nullptr && turn_input_->is_server(path.remote);
  switch (datagram_kind_of(bytes, is_from_turn_server)) {
    case DatagramKind::quic:
      return handle_quic(now, path, ecn, bytes);
    case DatagramKind::stun:
      return handle_stun(now, path, bytes);
    case DatagramKind::turn_data:
      break;
  }
  const auto inner = turn_input_->unwrap(path, bytes);
  if (!inner || datagram_kind_of(inner->bytes, false) != DatagramKind::quic) {
    ++strays_;
    return std::nullopt;
  }
  // Its stand-in is known to this worker only.
  handle_quic(now, inner->path, inner->ecn, inner->bytes);
  return std::nullopt;
}

Worker::Taker Worker::handle_quic(Instant now, const PathId& path, Ecn ecn, ByteView bytes) {
  const quic::Routing routing = endpoint_->handle_datagram(now, path, ecn, bytes, tx_);
  if (const auto* routed = std::get_if<quic::RoutedTo>(&routing)) {
    quic::Connection& connection = *routed->connection;
    if (connection.context == nullptr) offer(now, adopt(connection, nullptr));
    on_stirred(connection);
    return std::nullopt;
  }
  const auto* other = std::get_if<quic::BelongsToWorker>(&routing);
  return other == nullptr ? Taker{} : Taker{other->index};
}

Worker::Taker Worker::handle_stun(Instant now, const PathId& path, ByteView bytes) {
  const auto asker = worker_of_stun_answer(bytes);
  if (asker && *asker != index_) return asker;
  if (stun_handler_ == nullptr) {
    ++strays_;
  } else {
    stun_handler_->on_stun(now, path, bytes);
  }
  return std::nullopt;
}

void Worker::on_deadline(Instant now) {
  timers_.fire(now);
  host_.request_turn_end();
}

void Worker::on_network_changed(Instant now) {
  roles_.on_network_changed(now);
  host_.request_turn_end();
}

// --- the end of a turn ---------------------------------------------------------------------

void Worker::on_turn_end(Instant now) {
  settle(now);
  transmit(now);
  moderation_.end_turn(now);
  host_.set_rest(moderation_.rest());
  memory_.end_turn(now);
  arm();
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
  if (slot.is_unclaimed) offer(now, slot);
  while (auto event = connection.poll_event()) {
    // What came before the end is read before it.
    if (std::holds_alternative<quic::Closed>(*event)) deliver_input(now, slot);
    if (slot.handler != nullptr) {
      slot.handler->on_event(now, *event);
    } else if (const auto* closed = std::get_if<quic::Closed>(&*event);
               closed && slot.is_unclaimed) {
      log_.debug("session", "a connection from {} ended before it was known what it speaks: {}",
                 connection.path().remote.text(), closed->error.what);
    }
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
  sending_.push(slot.connection);
}

// Round robin: each connection may fill its budget, those with more to send come again; those whose
// transport is blocked when it no longer is.
void Worker::transmit(Instant now) {
  while (!sending_.is_empty()) {
    const std::span<quic::Connection* const> round = sending_.begin_round();
    for (quic::Connection* connection : round) {
      Slot& slot = slot_of(*connection);
      slot.is_sending = false;
      if (must_wait(slot)) continue;
      if (connection->poll_transmit(now, limits::kSendBytesPerTurn, tx_)) queue_to_send(slot);
      if (tx_.tail(quic::TxBuilder::kMaxBatchBytes).empty()) transports_.send(tx_);
    }
    transports_.send(tx_);
    for (quic::Connection* connection : round) settle_sent(*connection);
  }
  transports_.send(tx_);  // stateless answers
}

bool Worker::must_wait(Slot& slot) {
  if (!transports_.has_blocked() || !transports_.is_blocked(slot.connection.path().remote.ip)) {
    return false;
  }
  slot.is_sending = true;
  sending_.wait(slot.connection);
  return true;
}

// Re-arms the connection's timer, or ends it when nobody needs it any more.
void Worker::settle_sent(quic::Connection& connection) {
  Slot& slot = slot_of(connection);
  if (!connection.is_drained() || slot.handler != nullptr || slot.is_dirty || slot.is_sending) {
    if (connection.has_writable()) on_stirred(connection);
    slot.set(connection.next_timeout());
    if (const Duration its = connection.round_trip(); its > Duration::zero()) {
      moderation_.note_round_trip(its);
    }
    return;
  }
  slots_.erase(&connection);
  endpoint_->remove(connection);
}

void Worker::on_udp_writable(Instant now) {
  on_transport_writable(now, PathKind::direct);
}

void Worker::on_transport_writable(Instant now, PathKind kind) {
  if (!transports_.on_writable(kind)) return;
  sending_.free_waiting();
  transmit(now);
  arm();
}

void Worker::add_transport(PathKind kind, Transport& transport, std::size_t max_datagram_bytes) {
  CULVERT_ASSERT(kind != PathKind::direct);
  transports_.set(kind, transport, max_datagram_bytes);
}

void Worker::remove_transport(PathKind kind) {
  transports_.remove(kind);
  sending_.free_waiting();
  if (!sending_.is_empty()) want_turn_end();
}

void Worker::arm() {
  host_.set_deadline(timers_.next_deadline());
}

}  // namespace culvert::drive
