// Which paths lead to a peer, which of them is best, and which to try next. A path is a pair of a
// local address and one of the peer's. Whoever drives it pushes in what there is (local addresses,
// candidates, connections and their figures) and asks what to do; nothing here opens, sends or
// waits. Sans-I/O; times are the caller's.
#pragma once

#include "base/address.h"
#include "base/mapped_address.h"
#include "base/time.h"
#include "base/words.h"
#include "path/candidate.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::path {

// An address of ours.
struct Local {
  IpAddress ip;
  bool is_usable = true;  // false: no path may begin there, but it is ours
};

enum class Role : std::uint8_t {
  primary,  // carries all that is not spread over several paths
  joined,   // a further connection of the session: stands by, or carries its share
  attempt,  // a connection that is being made, or the primary where it tries to go
};

// A connection of the session.
struct Use {
  PathId path;
  Role role = Role::joined;
  Duration round_trip{};
  bool is_silent = false;
};

// Why a path is used, or is not.
enum class State : std::uint8_t {
  carries,    // the primary is there
  joined,     // another connection is there and works
  silent,     // a connection is there, and its peer owes an answer
  attempted,  // it is being tried
  spare,      // may be tried at any time
  waits,      // has failed, and is tried again later
  left_out,   // no path may begin at our address
};

struct PathReport {
  PathId path;
  std::optional<Origin> origin{};  // none: nobody says any more that the peer is there
  State state = State::spare;
  Duration round_trip{};         // where a connection is there
  std::optional<Instant> due{};  // of one that waits
  std::string why{};             // likewise: how it failed

  [[nodiscard]] PathKind kind() const { return path_kind_of(path.remote.ip); }
};

// Owned by the session, on its worker's thread.
class PathSet {
 public:
  // --- what there is ----------------------------------------------------------------------------
  // All of ours; all paths leave from the same port.
  void set_locals(std::span<const Local> locals, std::uint16_t port);
  // New, or known and other than it was. False: there are limits::kMaxPathCandidates that are as
  // good; it was left out and counted.
  bool offer(const Candidate& candidate);
  void withdraw(const SocketAddress& remote);
  // Makes these all there are, as offer() and withdraw() would.
  void set_candidates(std::span<const Candidate> candidates);
  // All connections of the session, as they are now.
  void set_uses(std::vector<Use> uses) { uses_ = std::move(uses); }

  [[nodiscard]] const std::vector<Candidate>& candidates() const { return candidates_; }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }
  // Its local address is not ours any more: nothing that is sent to it arrives.
  [[nodiscard]] bool has_vanished(const PathId& path) const;

  // --- what has happened ------------------------------------------------------------------------
  // It was tried, in vain: it waits 2, 4, ... 60 s.
  void on_failed(Instant now, const PathId& path, std::string why);
  // Whatever failed may work now.
  void on_network_changed() { failures_.clear(); }
  // Another session.
  void begin_anew();

  // --- what to do -------------------------------------------------------------------------------
  // Where another connection should go: direct before TURN before relay, then the path that has
  // the least in common with those in use. None: there is no other, or each of them waits.
  [[nodiscard]] std::optional<PathId> next_try(Instant now) const;
  // Of the paths where a joined connection works the best: where the session goes when the primary
  // is lost.
  [[nodiscard]] std::optional<PathId> best_joined() const;
  // At regular intervals (once a second): the path with a joined connection that the primary
  // should be on instead of its own. One of a better kind is that at once; one with a shorter
  // round trip has to be so by a margin and for a while, since a change costs each flow a little.
  [[nodiscard]] std::optional<PathId> look();
  [[nodiscard]] std::vector<PathReport> report(Instant now) const;

 private:
  // A path that is tried again, later and later.
  struct Failure {
    Instant due{};
    Duration pause{};
    std::string why;
  };
  struct Pair;

  [[nodiscard]] std::vector<Pair> pairs() const;
  [[nodiscard]] const Use* use_of(const PathId& path) const;
  [[nodiscard]] const Use* primary() const;
  [[nodiscard]] bool may_try(const Pair& pair, Instant now) const;
  void forget_what_is_gone();

  std::uint16_t port_ = 0;
  std::vector<Local> locals_;
  std::vector<Candidate> candidates_;  // in the order in which they came
  std::vector<Use> uses_;
  std::map<PathId, Failure> failures_;
  int better_looks_ = 0;  // in a row that another path was clearly faster
  std::uint64_t left_out_ = 0;
};

}  // namespace culvert::path

namespace culvert {

template <>
inline constexpr std::array<std::string_view, 7> kWords<path::State>{
    "carries", "joined", "silent", "attempted", "spare", "waits", "left out"};

}  // namespace culvert
