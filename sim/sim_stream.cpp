#include "sim/sim_stream.h"

#include <algorithm>

namespace culvert::sim {

PipeEnd::PipeEnd(std::shared_ptr<Shared> shared, int side, std::string remote_name)
    : shared_(std::move(shared)), side_(side), remote_name_(std::move(remote_name)) {
  shared_->end[side_] = this;
}

std::pair<std::unique_ptr<PipeEnd>, std::unique_ptr<PipeEnd>> PipeEnd::make_pair(
    World& world, const PipeConfig& config, std::string name_a, std::string name_b) {
  auto shared = std::make_shared<Shared>(Shared{.world = world, .config = config});
  std::unique_ptr<PipeEnd> a(new PipeEnd(shared, 0, std::move(name_b)));
  std::unique_ptr<PipeEnd> b(new PipeEnd(shared, 1, std::move(name_a)));
  return {std::move(a), std::move(b)};
}

PipeEnd::~PipeEnd() {
  shared_->end[side_] = nullptr;
  if (shared_->is_reset) return;
  incoming().is_reader_gone = true;
  if (!incoming().arrived.empty()) {
    break_pipe(shared_);
    return;
  }
  shutdown_write();
}

bool PipeEnd::is_readable() {
  return shared_->is_reset || !incoming().arrived.empty() || incoming().has_fin_arrived;
}

bool PipeEnd::is_writable() {
  return shared_->is_reset ||
         outgoing().arrived.size() + outgoing().under_way < shared_->config.buffer_bytes;
}

IoResult PipeEnd::try_read(std::span<const ByteSpan> into) {
  if (shared_->is_reset) return {0, IoStatus::failed};
  auto& arrived = incoming().arrived;
  if (arrived.empty()) {
    return {0, incoming().has_fin_arrived ? IoStatus::end : IoStatus::would_block};
  }
  std::size_t budget = shared_->config.max_io_bytes;
  if (budget == 0) budget = arrived.size();
  std::size_t moved = 0;
  for (const ByteSpan& span : into) {
    const std::size_t count = std::min({span.size(), arrived.size(), budget - moved});
    std::copy_n(arrived.begin(), count, span.begin());
    arrived.erase(arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(count));
    moved += count;
  }
  shared_->world.after(shared_->config.delay,
                       [shared = shared_, peer = 1 - side_](Instant) { notify(shared, peer); });
  return {moved, IoStatus::ok};
}

IoResult PipeEnd::try_write(std::span<const ByteView> from) {
  if (shared_->is_reset || outgoing().is_fin_sent) return {0, IoStatus::failed};
  const std::size_t used = outgoing().arrived.size() + outgoing().under_way;
  std::size_t budget = shared_->config.buffer_bytes - std::min(used, shared_->config.buffer_bytes);
  if (shared_->config.max_io_bytes != 0) budget = std::min(budget, shared_->config.max_io_bytes);
  Bytes bytes;
  for (const ByteView& view : from) {
    const std::size_t count = std::min(view.size(), budget - bytes.size());
    bytes.insert(bytes.end(), view.begin(), view.begin() + static_cast<std::ptrdiff_t>(count));
  }
  if (bytes.empty()) return {0, IoStatus::would_block};
  const std::size_t moved = bytes.size();
  outgoing().under_way += moved;
  shared_->world.after(
      shared_->config.delay, [shared = shared_, side = side_, bytes = std::move(bytes)](Instant) {
        if (shared->is_reset) return;
        Direction& direction = shared->direction[side];
        direction.under_way -= bytes.size();
        if (direction.is_reader_gone) {
          break_pipe(shared);
          return;
        }
        direction.arrived.insert(direction.arrived.end(), bytes.begin(), bytes.end());
        notify(shared, 1 - side);
      });
  return {moved, IoStatus::ok};
}

void PipeEnd::want_readable() {
  wants_readable_ = true;
  if (is_readable()) {
    shared_->world.after(Duration::zero(),
                         [shared = shared_, side = side_](Instant) { notify(shared, side); });
  }
}

void PipeEnd::want_writable() {
  wants_writable_ = true;
  if (is_writable()) {
    shared_->world.after(Duration::zero(),
                         [shared = shared_, side = side_](Instant) { notify(shared, side); });
  }
}

void PipeEnd::shutdown_write() {
  if (shared_->is_reset || outgoing().is_fin_sent) return;
  outgoing().is_fin_sent = true;
  shared_->world.after(shared_->config.delay, [shared = shared_, side = side_](Instant) {
    shared->direction[side].has_fin_arrived = true;
    notify(shared, 1 - side);
  });
}

void PipeEnd::reset() {
  break_pipe(shared_);
}

void PipeEnd::break_pipe(const std::shared_ptr<Shared>& shared) {
  if (shared->is_reset) return;
  shared->is_reset = true;
  for (const int side : {0, 1}) {
    shared->world.after(shared->config.delay, [shared, side](Instant) { notify(shared, side); });
  }
}

// Fulfils the wishes of one end that can be fulfilled now. The handler may destroy the
// end, so it is looked up again before each call.
void PipeEnd::notify(const std::shared_ptr<Shared>& shared, int side) {
  if (shared->config.awake_at && shared->world.now() < *shared->config.awake_at) {
    shared->world.at(*shared->config.awake_at, [shared, side](Instant) { notify(shared, side); });
    return;
  }
  PipeEnd* end = shared->end[side];
  if (end != nullptr && end->wants_readable_ && end->handler_ != nullptr && end->is_readable()) {
    end->wants_readable_ = false;
    end->handler_->on_stream_readable(shared->world.now());
  }
  end = shared->end[side];
  if (end != nullptr && end->wants_writable_ && end->handler_ != nullptr && end->is_writable()) {
    end->wants_writable_ = false;
    end->handler_->on_stream_writable(shared->world.now());
  }
}

SimListener::SimListener(Machine& machine, StreamAddress address, ListenerHandler& handler)
    : machine_(machine), address_(std::move(address)), handler_(handler) {
  machine_.listeners()[address_] = this;
}

SimListener::~SimListener() {
  alive_.end();
  machine_.listeners().erase(address_);
}

void SimListener::resume() {
  is_paused_ = false;
  if (!backlog_.empty()) schedule_accept();
}

void SimListener::offer(std::unique_ptr<StreamPort> stream) {
  backlog_.push_back(std::move(stream));
  schedule_accept();
}

void SimListener::schedule_accept() {
  machine_.network().world().after(Duration::zero(), [this, alive = alive_.token()](Instant now) {
    while (alive && !is_paused_ && !backlog_.empty()) {
      auto stream = std::move(backlog_.front());
      backlog_.pop_front();
      handler_.on_accept(now, std::move(stream));
    }
  });
}

SimListener* find_listener_at(Machine& machine, const StreamAddress& address) {
  auto& listeners = machine.listeners();
  if (const auto exact = listeners.find(address); exact != listeners.end()) return exact->second;
  if (const auto* socket_address = std::get_if<SocketAddress>(&address)) {
    const SocketAddress wildcard{IpAddress::any(socket_address->ip.family()), socket_address->port};
    if (const auto any = listeners.find(wildcard); any != listeners.end()) return any->second;
  }
  return nullptr;
}

SimListener* find_listener(Machine& from, const StreamAddress& address) {
  const auto* socket_address = std::get_if<SocketAddress>(&address);
  if (socket_address == nullptr || socket_address->ip.is_loopback()) {
    return find_listener_at(from, address);
  }
  Machine* machine = from.network().machine_at(socket_address->ip);
  return machine == nullptr ? nullptr : find_listener_at(*machine, address);
}

}  // namespace culvert::sim
