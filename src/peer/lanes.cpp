#include "peer/lanes.h"

#include <algorithm>
#include <utility>

namespace culvert::peer {

const std::shared_ptr<buffers::SessionBudget>& Lanes::shared_budget() {
  if (!budget_) budget_ = worker_.endpoint().make_session_budget();
  return budget_;
}

void Lanes::share_budget(quic::Connection& connection) {
  connection.share_budget(shared_budget());
}

void Lanes::add(Instant now, quic::Connection& connection) {
  share_budget(connection);
  lanes_.push_back({.connection = &connection});
  open_missing_legs(now, connection);
}

void Lanes::remove(Instant now, quic::Connection& connection) {
  if (std::erase_if(lanes_, [&](const Lane& lane) { return lane.connection == &connection; }) ==
      0) {
    return;
  }
  std::vector<Stripe*> stripes;  // losing a leg may end one
  stripes.reserve(stripes_.size());
  for (const auto& [id, stripe] : stripes_) stripes.push_back(stripe.get());
  for (Stripe* stripe : stripes) stripe->detach(now, connection);
}

void Lanes::set_usable(quic::Connection& connection, bool is_usable) {
  for (Lane& lane : lanes_) {
    if (lane.connection == &connection) lane.is_usable = is_usable;
  }
  for (const auto& [id, stripe] : stripes_) stripe->set_usable(connection, is_usable);
}

bool Lanes::has(const quic::Connection& connection) const {
  return std::ranges::any_of(lanes_,
                             [&](const Lane& lane) { return lane.connection == &connection; });
}

void Lanes::open_missing_legs(Instant now, quic::Connection& connection) {
  for (Lane& lane : lanes_) {
    if (lane.connection != &connection) continue;
    for (const auto& [id, stripe] : stripes_) open_leg(now, *stripe, lane);
  }
}

void Lanes::open_leg(Instant now, Stripe& stripe, Lane& lane) {
  if (stripe.head().empty() || !stripe.needs_legs() || stripe.has_leg_on(*lane.connection)) return;
  quic::Stream* stream = lane.connection->open_stream();
  if (stream == nullptr) return;  // as soon as there is one
  if (!stripe.attach(now, *stream, lane.is_usable)) stream->reset(0);
}

// --- striped flows -------------------------------------------------------------------------------

Stripe& Lanes::add_stripe(std::uint64_t flow_id, StripeOptions options) {
  auto& stripe = stripes_[flow_id] = std::make_unique<Stripe>(worker_, *this, options);
  stripe->flow_id = flow_id;
  return *stripe;
}

Stripe* Lanes::find_stripe(std::uint64_t flow_id) {
  const auto found = stripes_.find(flow_id);
  return found == stripes_.end() ? nullptr : found->second.get();
}

void Lanes::begin(Instant now, Stripe& stripe, quic::Stream& first_leg, Bytes head) {
  stripe.set_head(std::move(head));
  attach(now, stripe, first_leg);
  for (Lane& lane : lanes_) open_leg(now, stripe, lane);
}

void Lanes::attach(Instant now, Stripe& stripe, quic::Stream& stream) {
  const auto lane = std::ranges::find(lanes_, stream.owner, &Lane::connection);
  const bool is_usable = lane == lanes_.end() || lane->is_usable;
  if (!stripe.attach(now, stream, is_usable)) stream.reset(0);
}

void Lanes::on_stripe_over(Instant now, Stripe& stripe, StreamUser* user) {
  const auto found = stripes_.find(stripe.flow_id);
  worker_.bury(std::move(found->second));
  stripes_.erase(found);
  if (user == nullptr) return;
  user->on_quic_closed(now);
  retire_(now, *user);
}

void Lanes::clear_stripes() {
  for (auto& [id, stripe] : stripes_) {
    stripe->let_go();
    worker_.bury(std::move(stripe));
  }
  stripes_.clear();
}

// --- datagrams -----------------------------------------------------------------------------------

bool Lanes::send_on(Lane& lane, ByteView header, ByteView payload) {
  quic::Connection& connection = *lane.connection;
  if (header.size() + payload.size() > connection.max_datagram_payload()) return false;
  return connection.send_datagram(header, payload);
}

// Spread: over the lanes in turn, those whose congestion window is full left out. Redundant:
// on two. Lanes that seem to be dead only when there is no other.
bool Lanes::send_datagram(Multipath mode, ByteView header, ByteView payload) {
  const bool has_usable = std::ranges::any_of(lanes_, &Lane::is_usable);
  std::size_t sent = 0;
  Lane* full = nullptr;
  if (mode == Multipath::aggregate) ++turn_;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[(turn_ + i) % lanes_.size()];
    if (has_usable && !lane.is_usable) continue;
    if (mode == Multipath::redundant) {
      sent += send_on(lane, header, payload) ? 1 : 0;
      if (sent == 2) return true;
      continue;
    }
    const quic::Liveness life = lane.connection->liveness();
    if (life.bytes_in_flight >= life.congestion_window_bytes) {
      if (full == nullptr) full = &lane;
    } else if (send_on(lane, header, payload)) {
      return true;
    }
  }
  return sent > 0 || (full != nullptr && send_on(*full, header, payload));
}

}  // namespace culvert::peer
