#include "path/path_set.h"

#include "base/limits.h"

#include <algorithm>
#include <tuple>

namespace culvert::path {
namespace {

// A path is clearly faster when its round trip is a quarter shorter and this much, in so many looks
// in a row.
constexpr Duration kWorthwhile = std::chrono::milliseconds(5);
constexpr int kBetterLooks = 10;

// Of two paths that are as fast the one of IPv6 has fewer NATs on its way, which forget flows.
constexpr Duration kLeadOfV6 = std::chrono::milliseconds(3);

bool is_clearly_faster(Duration its, Duration than) {
  return its + its / 3 < than && its + kWorthwhile < than;
}

PathKind kind_of(const Use& use) {
  return path_kind_of(use.path.remote.ip);
}

// The lesser is the better one.
auto rank_of(const Use& use) {
  const Duration lead = use.path.remote.ip.is_v6() ? kLeadOfV6 : Duration::zero();
  return std::tuple(kind_of(use), use.round_trip - lead);
}

// Ports do not count: all our paths leave from the same.
bool is_same(const PathId& one, const PathId& other) {
  return one.local.ip == other.local.ip && one.remote == other.remote;
}

// Whether `one` had better be left out than `other`.
bool is_less_wanted(const Candidate& one, const Candidate& other) {
  return std::tuple(one.origin, other.priority) > std::tuple(other.origin, one.priority);
}

}  // namespace

struct PathSet::Pair {
  PathId path;
  Origin origin;
  std::uint32_t priority;
  bool is_usable;
};

// --- what there is -------------------------------------------------------------------------------

void PathSet::set_locals(std::span<const Local> locals, std::uint16_t port) {
  locals_.clear();
  // Where there are too many, those go first where no path may begin.
  for (const bool is_usable : {true, false}) {
    for (const Local& local : locals) {
      if (local.is_usable != is_usable || locals_.size() == limits::kMaxPathLocals) continue;
      locals_.push_back(local);
    }
  }
  port_ = port;
  forget_what_is_gone();
}

bool PathSet::offer(const Candidate& candidate) {
  const auto known = std::ranges::find(candidates_, candidate.remote, &Candidate::remote);
  if (known != candidates_.end()) {
    *known = candidate;
    return true;
  }
  if (candidates_.size() < limits::kMaxPathCandidates) {
    candidates_.push_back(candidate);
    return true;
  }
  ++left_out_;
  // The latest of those that are wanted least.
  auto worst = candidates_.begin();
  for (auto it = candidates_.begin(); it != candidates_.end(); ++it) {
    if (!is_less_wanted(*worst, *it)) worst = it;
  }
  if (!is_less_wanted(*worst, candidate)) return false;
  candidates_.erase(worst);
  candidates_.push_back(candidate);
  forget_what_is_gone();
  return true;
}

void PathSet::withdraw(const SocketAddress& remote) {
  std::erase_if(candidates_, [&](const Candidate& known) { return known.remote == remote; });
  forget_what_is_gone();
}

void PathSet::set_candidates(std::span<const Candidate> candidates) {
  const auto is_gone = [&](const Candidate& known) {
    return std::ranges::find(candidates, known.remote, &Candidate::remote) == candidates.end();
  };
  std::erase_if(candidates_, is_gone);
  for (const Candidate& candidate : candidates) static_cast<void>(offer(candidate));
  forget_what_is_gone();
}

bool PathSet::has_vanished(const PathId& path) const {
  return !path.local.ip.is_unspecified() &&
         std::ranges::find(locals_, path.local.ip, &Local::ip) == locals_.end();
}

// What is behind a relay or a TURN server is reached from wherever that is. Loopback goes with
// loopback, and families with their own.
std::vector<PathSet::Pair> PathSet::pairs() const {
  std::vector<Pair> found;
  for (const Candidate& candidate : candidates_) {
    const auto add = [&](const IpAddress& local, bool is_usable) {
      found.push_back({.path = {.local = {local, port_}, .remote = candidate.remote},
                       .origin = candidate.origin,
                       .priority = candidate.priority,
                       .is_usable = is_usable});
    };
    if (candidate.kind() != PathKind::direct) {
      add(IpAddress::any(Family::v6), true);
      continue;
    }
    const IpAddress& remote = candidate.remote.ip;
    for (const Local& local : locals_) {
      if (local.ip.family() == remote.family() && local.ip.is_loopback() == remote.is_loopback()) {
        add(local.ip, local.is_usable);
      }
    }
  }
  return found;
}

const Use* PathSet::use_of(const PathId& path) const {
  const auto found =
      std::ranges::find_if(uses_, [&](const Use& use) { return is_same(use.path, path); });
  return found == uses_.end() ? nullptr : &*found;
}

const Use* PathSet::primary() const {
  const auto found = std::ranges::find(uses_, Role::primary, &Use::role);
  return found == uses_.end() ? nullptr : &*found;
}

// --- what has happened ---------------------------------------------------------------------------

void PathSet::on_failed(Instant now, const PathId& path, std::string why) {
  const auto all = pairs();
  const auto pair =
      std::ranges::find_if(all, [&](const Pair& one) { return is_same(one.path, path); });
  if (pair == all.end()) return;  // it is gone meanwhile
  Failure& failure = failures_[pair->path];
  failure.pause = std::clamp(2 * failure.pause, limits::kLaneRetryFirst, limits::kLaneRetryMost);
  failure.due = now + failure.pause;
  failure.why = std::move(why);
}

void PathSet::begin_anew() {
  failures_.clear();
  better_looks_ = 0;
}

void PathSet::forget_what_is_gone() {
  if (failures_.empty()) return;
  const auto all = pairs();
  std::erase_if(failures_, [&](const auto& failure) {
    return std::ranges::find(all, failure.first, &Pair::path) == all.end();
  });
}

// --- what to do ----------------------------------------------------------------------------------

bool PathSet::may_try(const Pair& pair, Instant now) const {
  if (!pair.is_usable || use_of(pair.path) != nullptr) return false;
  const auto failure = failures_.find(pair.path);
  return failure == failures_.end() || failure->second.due <= now;
}

std::optional<PathId> PathSet::next_try(Instant now) const {
  const auto count_shared = [this](const auto& has_it) {
    return std::ranges::count_if(uses_, has_it);
  };
  const auto rank = [&](const Pair& pair) {
    const PathId& path = pair.path;
    return std::tuple(path_kind_of(path.remote.ip), count_shared([&](const Use& use) {
                        return use.path.local.ip == path.local.ip;
                      }),
                      count_shared([&](const Use& use) { return use.path.remote == path.remote; }),
                      ~pair.priority, path.remote.ip.is_v4());
  };
  std::optional<PathId> best;
  std::optional<decltype(rank(std::declval<Pair>()))> best_rank;
  for (const Pair& pair : pairs()) {
    if (!may_try(pair, now)) continue;
    const auto its = rank(pair);
    if (best_rank && *best_rank <= its) continue;  // of equal ones the first
    best_rank = its;
    best = pair.path;
  }
  return best;
}

std::optional<PathId> PathSet::best_joined() const {
  const Use* best = nullptr;
  for (const Use& use : uses_) {
    if (use.role != Role::joined || use.is_silent) continue;
    if (best == nullptr || rank_of(use) < rank_of(*best)) best = &use;
  }
  return best == nullptr ? std::nullopt : std::optional(best->path);
}

std::optional<PathId> PathSet::look() {
  const Use* own = primary();
  const Use* better = nullptr;
  for (const Use& use : uses_) {
    if (own == nullptr || use.role != Role::joined || use.is_silent) continue;
    const bool is_better = kind_of(use) == kind_of(*own)
                               ? is_clearly_faster(use.round_trip, own->round_trip)
                               : kind_of(use) < kind_of(*own);
    if (is_better && (better == nullptr || rank_of(use) < rank_of(*better))) better = &use;
  }
  better_looks_ = better != nullptr ? better_looks_ + 1 : 0;
  if (better == nullptr) return std::nullopt;
  if (kind_of(*better) == kind_of(*own) && better_looks_ < kBetterLooks) return std::nullopt;
  better_looks_ = 0;
  return better->path;
}

std::vector<PathReport> PathSet::report(Instant now) const {
  std::vector<PathReport> all;
  for (const Pair& pair : pairs()) {
    PathReport entry{.path = pair.path, .origin = pair.origin};
    const auto failure = failures_.find(pair.path);
    if (!pair.is_usable) {
      entry.state = State::left_out;
    } else if (failure != failures_.end() && failure->second.due > now) {
      entry.state = State::waits;
      entry.due = failure->second.due;
      entry.why = failure->second.why;
    }
    all.push_back(std::move(entry));
  }
  for (const Use& use : uses_) {
    auto entry = std::ranges::find_if(
        all, [&](const PathReport& one) { return is_same(one.path, use.path); });
    if (entry == all.end()) entry = all.insert(all.end(), PathReport{.path = use.path});
    entry->round_trip = use.round_trip;
    entry->due.reset();
    entry->why.clear();
    entry->state = use.role == Role::attempt   ? State::attempted
                   : use.is_silent             ? State::silent
                   : use.role == Role::primary ? State::carries
                                               : State::joined;
  }
  return all;
}

}  // namespace culvert::path
