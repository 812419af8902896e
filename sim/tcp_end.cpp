#include "sim/tcp_end.h"

#include <algorithm>

namespace culvert::sim {

namespace {

std::optional<StreamPath> path_between(const TcpPlace& from, const TcpPlace& to) {
  return from.machine->network().stream_path(*from.machine, from.address, to.seen,
                                             StreamStage::established);
}

}  // namespace

Duration tcp_delay(const TcpPlace& from, const TcpPlace& to) {
  if (const auto path = path_between(from, to)) return path->delay();
  return from.machine->uplink_of(from.address.ip).delay +
         to.machine->downlink_of(to.address.ip).delay;
}

bool is_reachable(const TcpPlace& from, const TcpPlace& to) {
  const auto path = path_between(from, to);
  return path && path->machine == to.machine && !path->is_down();
}

TcpEnd::TcpEnd(SharedPtr shared, unsigned side) : shared_(std::move(shared)), side_(side) {
  shared_->end[side_] = this;
}

std::pair<std::unique_ptr<TcpEnd>, std::unique_ptr<TcpEnd>> TcpEnd::make_pair(
    World& world, const TcpConfig& config, const TcpPlace& first, const TcpPlace& second) {
  auto shared =
      std::make_shared<Shared>(Shared{.world = world, .config = config, .place = {first, second}});
  for (const unsigned side : {0U, 1U}) {
    const auto path = path_between(shared->place[side], shared->place[1 - side]);
    if (path && path->is_shaped()) shared->direction[side].flight.emplace();
  }
  shared->rng = world.rng_for("tcp " + first.seen.text() + " " + second.seen.text());
  std::unique_ptr<TcpEnd> a(new TcpEnd(shared, 0));
  std::unique_ptr<TcpEnd> b(new TcpEnd(shared, 1));
  return {std::move(a), std::move(b)};
}

TcpEnd::~TcpEnd() {
  shared_->end[side_] = nullptr;
  if (is_broken()) return;
  if (incoming().arrived.empty()) {
    shutdown_write();
  } else {
    reset();
  }
}

void TcpEnd::vanish() {
  shared_->is_broken[side_] = true;
  outgoing().unsent.clear();
  has_told_break_ = true;
  incoming().arrived.clear();
}

bool TcpEnd::is_readable() {
  return is_broken() || !incoming().arrived.empty() || incoming().has_fin_arrived;
}

bool TcpEnd::is_writable() {
  return is_broken() ||
         outgoing().arrived.size() + outgoing().under_way < shared_->config.buffer_bytes;
}

IoResult TcpEnd::try_read(std::span<const ByteSpan> into) {
  auto& arrived = incoming().arrived;
  if (arrived.empty()) {  // what came before a reset can be read
    if (is_broken()) {
      has_told_break_ = true;
      return {0, IoStatus::failed};
    }
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
  // The window opens.
  notify_later(shared_, 1 - side_, tcp_delay(shared_->place[side_], shared_->place[1 - side_]));
  return {moved, IoStatus::ok};
}

IoResult TcpEnd::try_write(std::span<const ByteView> from) {
  if (is_broken() || outgoing().is_fin_sent) {
    has_told_break_ = true;
    return {0, IoStatus::failed};
  }
  const std::size_t used = outgoing().arrived.size() + outgoing().under_way;
  std::size_t budget = shared_->config.buffer_bytes - std::min(used, shared_->config.buffer_bytes);
  if (shared_->config.max_io_bytes != 0) budget = std::min(budget, shared_->config.max_io_bytes);
  Segment segment;
  for (const ByteView& view : from) {
    const std::size_t count = std::min(view.size(), budget - segment.bytes.size());
    segment.bytes.insert(segment.bytes.end(), view.begin(),
                         view.begin() + static_cast<std::ptrdiff_t>(count));
  }
  if (segment.bytes.empty()) return {0, IoStatus::would_block};
  const std::size_t moved = segment.bytes.size();
  outgoing().under_way += moved;
  transmit(shared_, side_, std::move(segment));
  return {moved, IoStatus::ok};
}

void TcpEnd::want_readable() {
  wants_readable_ = true;
  if (is_readable()) notify_later(shared_, side_, Duration::zero());
}

void TcpEnd::want_writable() {
  wants_writable_ = true;
  if (is_writable()) notify_later(shared_, side_, Duration::zero());
}

void TcpEnd::shutdown_write() {
  if (is_broken() || outgoing().is_fin_sent) return;
  outgoing().is_fin_sent = true;
  transmit(shared_, side_, {.bytes = {}, .is_fin = true});
}

void TcpEnd::reset() {
  if (is_broken()) return;
  shared_->is_broken[side_] = true;
  has_told_break_ = true;
  incoming().arrived.clear();
  send_reset(shared_, side_);
}

void TcpEnd::set_handler(StreamHandler& handler) {
  handler_ = &handler;
}

std::string TcpEnd::remote_text() const {
  return shared_->place[1 - side_].seen.text();
}

std::optional<StreamEnds> TcpEnd::ends() const {
  return StreamEnds{.local = shared_->place[side_].address,
                    .remote = shared_->place[1 - side_].seen};
}

void TcpEnd::transmit(const SharedPtr& shared, unsigned side, Segment segment) {
  Direction& direction = shared->direction[side];
  if (direction.flight) {
    for (std::size_t at = 0; at < segment.bytes.size(); at += TcpFlight::kSegmentBytes) {
      const ByteView part =
          ByteView(segment.bytes)
              .subspan(at, std::min(TcpFlight::kSegmentBytes, segment.bytes.size() - at));
      direction.unsent.push_back({.bytes = Bytes(part.begin(), part.end())});
    }
    if (segment.is_fin) direction.unsent.push_back({.bytes = {}, .is_fin = true});
    send_some(shared, side);
    return;
  }
  direction.last_due =
      std::max(direction.last_due,
               shared->world.now() + tcp_delay(shared->place[side], shared->place[1 - side]));
  shared->world.at(direction.last_due,
                   [shared, side, segment = std::move(segment)](Instant) mutable {
                     arrive(shared, side, std::move(segment));
                   });
}

void TcpEnd::arrive(const SharedPtr& shared, unsigned side, Segment segment) {
  Direction& direction = shared->direction[side];
  if (direction.held.empty() && is_reachable(shared->place[side], shared->place[1 - side])) {
    take(shared, side, std::move(segment));
    return;
  }
  direction.held.push_back(std::move(segment));
  if (direction.held.size() > 1) return;
  direction.retry = shared->config.first_retry;
  direction.silent_since = shared->world.now();
  retry_later(shared, side);
}

void TcpEnd::retry_later(const SharedPtr& shared, unsigned side) {
  shared->world.after(shared->direction[side].retry, [shared, side](Instant now) {
    Direction& direction = shared->direction[side];
    if (shared->is_broken[side]) {
      direction.held.clear();
    } else if (is_reachable(shared->place[side], shared->place[1 - side])) {
      std::deque<Segment> held;
      held.swap(direction.held);
      for (Segment& segment : held) take(shared, side, std::move(segment));
    } else if (now - direction.silent_since >= shared->config.gives_up) {
      direction.held.clear();
      break_side(shared, side);
    } else {
      direction.retry = std::min(2 * direction.retry, shared->config.most_retry);
      retry_later(shared, side);
    }
  });
}

// --- where a link has a rate, or loses some ----------------------------------------------------

void TcpEnd::send_some(const SharedPtr& shared, unsigned side) {
  Direction& direction = shared->direction[side];
  while (!direction.unsent.empty() && direction.flight->may_send()) {
    Travel travel{.number = direction.flight->next(),
                  .segment = std::move(direction.unsent.front()),
                  .first_left = shared->world.now()};
    direction.unsent.pop_front();
    direction.flight->on_sent();
    depart(shared, side, std::move(travel));
  }
}

void TcpEnd::depart(const SharedPtr& shared, unsigned side, Travel travel) {
  travel.left = shared->world.now();
  travel.hop = 0;
  travel.links.clear();
  if (auto path = path_between(shared->place[side], shared->place[1 - side])) {
    travel.links = std::move(path->links);
  }
  pass(shared, side, std::move(travel));
}

void TcpEnd::pass(const SharedPtr& shared, unsigned side, Travel travel) {
  if (travel.links.empty()) return lose(shared, side, std::move(travel));
  if (travel.hop == travel.links.size()) return reach(shared, side, std::move(travel));
  const std::size_t wire_bytes = travel.segment.bytes.size() + TcpFlight::kHeaderBytes;
  const auto due = travel.links[travel.hop++]->carry(shared->world.now(), shared->rng, wire_bytes);
  if (!due) return lose(shared, side, std::move(travel));
  shared->world.at(*due, [shared, side, travel = std::move(travel)](Instant) mutable {
    pass(shared, side, std::move(travel));
  });
}

void TcpEnd::lose(const SharedPtr& shared, unsigned side, Travel travel) {
  Direction& direction = shared->direction[side];
  if (shared->is_broken[side] || travel.is_reset) return;
  const Duration round_trip = tcp_delay(shared->place[side], shared->place[1 - side]) +
                              tcp_delay(shared->place[1 - side], shared->place[side]);
  const bool are_some_behind =
      direction.flight->next() > travel.number + 3 || direction.unsent.size() > 3;
  const Duration wait =
      direction.flight->on_lost(travel.number, travel.tries, round_trip, are_some_behind);
  ++travel.tries;
  const Instant again = travel.left + wait;
  shared->world.at(again, [shared, side, travel = std::move(travel)](Instant now) mutable {
    if (shared->is_broken[side]) return;
    if (now - travel.first_left >= shared->config.gives_up) {
      break_side(shared, side);
      return;
    }
    depart(shared, side, std::move(travel));
  });
}

void TcpEnd::reach(const SharedPtr& shared, unsigned side, Travel travel) {
  Direction& direction = shared->direction[side];
  if (!is_reachable(shared->place[side], shared->place[1 - side])) {
    return lose(shared, side, std::move(travel));
  }
  if (travel.is_reset) {
    break_side(shared, 1 - side);
    return;
  }
  direction.early.emplace(travel.number, std::move(travel.segment));
  acknowledge(shared, side, tcp_delay(shared->place[1 - side], shared->place[side]));
  while (!direction.early.empty() && direction.early.begin()->first == direction.next_due) {
    Segment segment = std::move(direction.early.begin()->second);
    direction.early.erase(direction.early.begin());
    ++direction.next_due;
    take(shared, side, std::move(segment));
  }
}

// Acknowledgements are as small as they are many: one that is lost is made up for by the next.
// While none gets through the window stays shut.
void TcpEnd::acknowledge(const SharedPtr& shared, unsigned side, Duration after) {
  shared->world.after(after, [shared, side](Instant) {
    if (shared->is_broken[side]) return;
    if (!is_reachable(shared->place[1 - side], shared->place[side])) {
      acknowledge(shared, side, shared->config.first_retry);
      return;
    }
    shared->direction[side].flight->on_acknowledged();
    send_some(shared, side);
  });
}

void TcpEnd::take(const SharedPtr& shared, unsigned side, Segment segment) {
  const unsigned peer = 1 - side;
  Direction& direction = shared->direction[side];
  direction.under_way -= segment.bytes.size();
  shared->world.trace(shared->place[side].address.port, shared->place[peer].address.port,
                      segment.bytes.size());
  // Its program has closed it, or it has lost it: nobody takes bytes there.
  if (shared->is_broken[peer] || (shared->end[peer] == nullptr && !segment.is_fin)) {
    shared->is_broken[peer] = true;
    send_reset(shared, peer);
    return;
  }
  if (segment.is_fin) direction.has_fin_arrived = true;
  direction.arrived.insert(direction.arrived.end(), segment.bytes.begin(), segment.bytes.end());
  notify(shared, peer);
}

// Once: who does not hear it learns by what it sends next.
void TcpEnd::send_reset(const SharedPtr& shared, unsigned side) {
  const unsigned peer = 1 - side;
  Direction& direction = shared->direction[side];
  direction.unsent.clear();
  if (direction.flight) {  // behind what is on its way
    depart(shared, side, {.is_reset = true});
    return;
  }
  shared->world.after(tcp_delay(shared->place[side], shared->place[peer]),
                      [shared, side, peer](Instant) {
                        if (is_reachable(shared->place[side], shared->place[peer])) {
                          break_side(shared, peer);
                        }
                      });
}

void TcpEnd::break_side(const SharedPtr& shared, unsigned side) {
  if (std::exchange(shared->is_broken[side], true)) return;
  shared->direction[side].unsent.clear();
  notify(shared, side);
}

void TcpEnd::notify_later(const SharedPtr& shared, unsigned side, Duration delay) {
  shared->world.after(delay, [shared, side](Instant) { notify(shared, side); });
}

// Fulfils the wishes of one end that can be fulfilled now; a reset reaches one that has none, too.
// The handler may destroy the end, so it is looked up again before each call.
void TcpEnd::notify(const SharedPtr& shared, unsigned side) {
  const auto& awake_at = shared->config.awake_at;
  if (side == 0 && awake_at && shared->world.now() < *awake_at) {
    shared->world.at(*awake_at, [shared, side](Instant) { notify(shared, side); });
    return;
  }
  const Instant now = shared->world.now();
  TcpEnd* end = shared->end[side];
  if (end == nullptr || end->handler_ == nullptr) return;
  if (end->is_broken() && !end->wants_readable_ && !end->wants_writable_) {
    if (std::exchange(end->has_told_break_, true)) return;
    end->handler_->on_stream_failed(
        now,
        Error{ErrorKind::lost, "connection broken: Connection reset by peer", end->remote_text()});
    return;
  }
  if (end->wants_readable_ && end->is_readable()) {
    end->wants_readable_ = false;
    end->handler_->on_stream_readable(now);
  }
  end = shared->end[side];
  if (end != nullptr && end->wants_writable_ && end->handler_ != nullptr && end->is_writable()) {
    end->wants_writable_ = false;
    end->handler_->on_stream_writable(now);
  }
}

}  // namespace culvert::sim
