#include "peer/path_choice.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/client_session.h"
#include "peer/peer_addresses.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace culvert::peer {
namespace {

// Between looks for paths that are missing or better.
constexpr Duration kLook = std::chrono::seconds(1);

}  // namespace

PathChoice::PathChoice(ClientContext& context, ClientSession& session)
    : context_(context),
      session_(session),
      lanes_(context, session),
      move_(context, session),
      look_(context.worker.timers(), *this) {}

void PathChoice::begin(Instant now) {
  is_active_ = true;
  lanes_.begin();
  set_.begin_anew();
  look_.set(now);
}

void PathChoice::end(Instant now, session::CloseCode code) {
  is_active_ = false;
  look_.cancel();
  lanes_.end(now, code);
}

// --- what there is -------------------------------------------------------------------------------

void PathChoice::refresh() {
  std::vector<path::Local> locals;
  for (const LocalAddress& local : context_.worker.host().local_addresses()) {
    locals.push_back({.ip = local.ip, .is_usable = may_use(local)});
  }
  set_.set_locals(locals, context_.worker.local_address().port);
  set_.set_candidates(context_.addresses.candidates());
  refresh_uses();
}

void PathChoice::refresh_uses() {
  std::vector<path::Use> uses;
  if (const quic::Connection* own = session_.connection()) {
    uses.push_back({.path = own->path(),
                    .role = path::Role::primary,
                    .round_trip = own->liveness().smoothed_rtt,
                    .is_silent = session_.is_silent()});
    const auto& move = move_.move();
    if (move && move->to != own->path()) {
      uses.push_back({.path = move->to, .role = path::Role::attempt});
    }
  }
  lanes_.add_uses(uses);
  set_.set_uses(std::move(uses));
}

bool PathChoice::is_ours(const IpAddress& ip) const {
  const auto ours = context_.worker.host().local_addresses();
  return std::ranges::find(ours, ip, &LocalAddress::ip) != ours.end();
}

bool PathChoice::may_use(const LocalAddress& local) const {
  return local.use == AddressUse::any ||
         (local.use == AddressUse::inner && local.ip == proven_local_);
}

bool PathChoice::may_use(const IpAddress& local) const {
  const auto ours = context_.worker.host().local_addresses();
  const auto found = std::ranges::find(ours, local, &LocalAddress::ip);
  return found == ours.end() || may_use(*found);
}

bool PathChoice::is_cut_off() const {
  const quic::Connection* own = session_.connection();
  return own == nullptr || (lanes_.size() == 0 && !is_ours(own->path().local.ip));
}

// --- what to do about it -------------------------------------------------------------------------

void PathChoice::look(Instant now) {
  if (!is_active_) return;
  look_.set(now + kLook);
  if (session_.connection() == nullptr) return;
  refresh();
  if (!session_.takes_multipath()) {
    if (session_.is_silent() && !session_.is_resumable()) go_elsewhere(now);
    return;
  }
  prefer_better(now);
  lanes_.close_twins(now, session_.connection()->path());
  lanes_.fill(now, session_.uses_several_paths() ? limits::kMaxLanes : limits::kMaxStandbyLanes);
}

std::optional<PathId> PathChoice::next_path(Instant now) {
  refresh_uses();
  return set_.next_try(now);
}

void PathChoice::on_path_failed(Instant now, const PathId& path, std::string why) {
  set_.on_failed(now, path, std::move(why));
}

// In every mode: what is not striped is on the session's own connection alone. Where the other lane
// only stands by, that connection goes there by itself, no flow has to be opened anew, and the lane
// takes its place (on_moved). A lane that carries its share has a window that it would lose, so it
// becomes the session's.
void PathChoice::prefer_better(Instant now) {
  if (lanes_.is_promoting() || lanes_.size() == 0 || move_.move()) return;
  const auto better = set_.look();
  if (!better) return;
  CULVERT_PROBE("peer.another path is better");
  context_.worker.log().info("path", "another path is better: the session moves there");
  const bool migrates = !session_.uses_several_paths() && !session_.is_silent();
  if (migrates && move_.start(now, {.to = *better, .reason = MoveReason::better})) return;
  move_.end(now);
  static_cast<void>(session_.take_over(now));
}

void PathChoice::on_moved(Instant now, const PathId& to) {
  const auto move = move_.move();
  is_chosen_ = move && move->to == to && move->reason != MoveReason::route;
  move_.end(now);
  if (is_chosen_ && move->reason == MoveReason::better) lanes_.send(now, to, move->from);
}

void PathChoice::forget() {
  move_.forget();
  is_chosen_ = false;
}

// A peer that takes no further connections is reached on other paths by this one alone.
void PathChoice::go_elsewhere(Instant now) {
  if (session_.is_connected() && !move_.move()) try_next(now);
}

void PathChoice::try_next(Instant now) {
  refresh();
  const auto next = set_.next_try(now);
  if (!next) return;
  CULVERT_PROBE("peer.a silent connection tries another path");
  static_cast<void>(move_.start(now, {.to = *next, .reason = MoveReason::silence}));
}

void PathChoice::on_move_unheard(Instant now) {
  if (!session_.is_connected()) return;
  const auto move = move_.move();
  if (!move || move->reason == MoveReason::route) {
    follow_routes(now, quic::Migration::at_once);
    // It went there at once and is not heard.
    const bool is_there = move && move->to == session_.connection()->path();
    if (is_there && session_.is_silent() && !session_.is_resumable()) try_next(now);
    return;
  }
  if (move->reason == MoveReason::better) {
    // It is not better then: its lane may have sent nothing but small packets.
    CULVERT_PROBE("peer.a better path is not reached");
    move_.end(now);
    return;
  }
  if (session_.is_resumable()) return;  // it dials meanwhile
  const bool has_gone = move->migration == quic::Migration::at_once;
  if (!has_gone && session_.is_silent()) {
    // It may be that the server answers no probe (decision 0007); where it is nothing is lost.
    CULVERT_PROBE("peer.a silent connection goes to another path at once");
    static_cast<void>(move_.start(
        now,
        {.to = move->to, .reason = MoveReason::silence, .migration = quic::Migration::at_once}));
    return;
  }
  set_.on_failed(now, move->to, "it did not answer the connection that tried to go there");
  move_.end(now);
  if (session_.is_silent()) go_elsewhere(now);
}

// Its address is gone, and no route leads to the server's. There may be others, of another family.
void PathChoice::leave_for_any(Instant now) {
  if (!is_active_ || move_.move() || is_ours(session_.connection()->path().local.ip)) return;
  refresh();
  const auto next = set_.next_try(now);
  if (!next) return;
  CULVERT_PROBE("peer.a connection goes to an address of the server that has a route");
  static_cast<void>(move_.start(
      now, {.to = *next, .reason = MoveReason::silence, .migration = quic::Migration::at_once}));
}

bool PathChoice::take_over(Instant now) {
  if (lanes_.is_promoting()) return true;
  refresh_uses();
  const auto best = set_.best_joined();
  return best && lanes_.promote(now, *best);
}

// The kernel may route from another address now. One that is merely gone for a moment
// leaves no route, and nothing to do until the next change.
void PathChoice::on_network_changed(Instant now) {
  if (is_active_) {
    refresh();
    lanes_.drop(now, vanished());
    set_.on_network_changed();
    look_.set(now);
  }
  if (!session_.is_connected()) return;
  const bool is_here = is_ours(session_.connection()->path().local.ip);
  // Other paths are at hand: one takes over, or is taken when it proves to be better.
  if (lanes_.size() > 0 && (is_here || session_.take_over(now))) return;
  if (is_here && is_chosen_) return;
  // What comes to an address that is gone is lost: nothing is left to protect.
  follow_routes(now, is_here ? quic::Migration::validate_first : quic::Migration::at_once);
}

std::vector<PathId> PathChoice::vanished() const {
  std::vector<path::Use> uses;
  lanes_.add_uses(uses);
  std::vector<PathId> gone;
  for (const path::Use& use : uses) {
    if (use.role == path::Role::joined && set_.has_vanished(use.path)) gone.push_back(use.path);
  }
  return gone;
}

std::optional<PathId> PathChoice::routed_path() const {
  const SocketAddress& server = session_.server();
  if (path_kind_of(server.ip) != PathKind::direct) return std::nullopt;
  const auto local = context_.worker.host().local_address_towards(server.ip);
  if (!local) return std::nullopt;
  return PathId{.local = {*local, context_.worker.local_address().port}, .remote = server};
}

void PathChoice::follow_routes(Instant now, quic::Migration migration) {
  const quic::Connection* connection = session_.connection();
  if (connection == nullptr) return;
  const auto path = routed_path();
  if (!path) {
    leave_for_any(now);
    return;
  }
  if (path->local.ip == connection->path().local.ip) {
    move_.stay(now, *path);
  } else if (may_use(path->local.ip)) {
    static_cast<void>(
        move_.start(now, {.to = *path, .reason = MoveReason::route, .migration = migration}));
  } else {
    CULVERT_PROBE("peer.a connection does not move into a tunnel");
    context_.worker.log().debug("path", "not moved to {}: its interface is left out",
                                path->local.ip.text());
    move_.end(now);
    session_.on_no_way(now);
  }
}

}  // namespace culvert::peer
