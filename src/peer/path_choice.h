// Which path carries a client's session, and where further connections go: tells path::PathSet what
// the machine, the server's addresses and the connections show, and does what it says. Connections
// on further paths are ClientLanes' business, how the session's own one moves is ClientMove's.
// Private to drive/.
#pragma once

#include "base/address.h"
#include "path/path_set.h"
#include "path/silence_watch.h"
#include "peer/client_lanes.h"
#include "peer/client_move.h"
#include "ports/ports.h"
#include "ports/timer_heap.h"

#include <optional>
#include <string>
#include <vector>

namespace culvert::peer {

class ClientSession;
struct ClientContext;

// Owned by its session.
class PathChoice {
 public:
  PathChoice(ClientContext& context, ClientSession& session);

  // --- from the session -------------------------------------------------------------------------
  // It has another connection, or other wishes.
  void begin(Instant now);
  // It is over.
  void end(Instant now, session::CloseCode code);
  void on_network_changed(Instant now);
  // Its connection is on another path.
  void on_moved(Instant now, const PathId& to);
  // ... is gone.
  void forget();
  // Its connection is silent, and no other could go on with its flows: it tries further paths.
  void go_elsewhere(Instant now);
  // Another connection becomes the session's: one that has joined it, on the best path that works.
  // False: there is none.
  [[nodiscard]] bool take_over(Instant now);
  // Of our addresses this one led to the server while nothing was carried.
  void set_proven_local(const IpAddress& local) { proven_local_ = local; }

  // --- from lanes -------------------------------------------------------------------------------
  // Where the next one should go.
  [[nodiscard]] std::optional<PathId> next_path(Instant now);
  void on_path_failed(Instant now, const PathId& path, std::string why);

  // --- from ClientMove --------------------------------------------------------------------------
  void on_move_unheard(Instant now);
  // Where the routes lead now to the server's address of now. None: there is no route.
  [[nodiscard]] std::optional<PathId> routed_path() const;

  // --- which addresses are used -----------------------------------------------------------------
  // Whether a path may begin at this address of ours. One of a VPN may only when it led to the
  // server while nothing was carried: what leaves there now may come back to be carried, and
  // would be answered through ourselves.
  [[nodiscard]] bool may_use(const LocalAddress& local) const;
  [[nodiscard]] bool may_use(const IpAddress& local) const;
  // Nothing can be carried now: whoever answers, from wherever, does not answer through us.
  [[nodiscard]] bool is_cut_off() const;
  // Our address of which that is known.
  [[nodiscard]] const std::optional<IpAddress>& proven_local() const { return proven_local_; }

  [[nodiscard]] ClientLanes& lanes() { return lanes_; }
  [[nodiscard]] const ClientLanes& lanes() const { return lanes_; }
  [[nodiscard]] ClientMove& move() { return move_; }
  [[nodiscard]] const ClientMove& move() const { return move_; }

 private:
  void look(Instant now);
  void refresh();
  void refresh_uses();
  // The session's connection goes on from where the routes lead now, should that be elsewhere.
  void follow_routes(Instant now, quic::Migration migration);
  void leave_for_any(Instant now);
  void try_next(Instant now);
  void prefer_better(Instant now);
  [[nodiscard]] bool is_ours(const IpAddress& ip) const;
  [[nodiscard]] std::vector<PathId> vanished() const;

  ClientContext& context_;
  ClientSession& session_;
  path::PathSet set_;
  ClientLanes lanes_;
  ClientMove move_;
  std::optional<IpAddress> proven_local_;
  bool is_active_ = false;
  bool is_chosen_ = false;  // its path is our choice: the routes may say another
  MemberTimer<PathChoice, &PathChoice::look> look_;
};

[[nodiscard]] inline path::SignsOfLife signs_of(const quic::Liveness& life) {
  return {.packets_received = life.packets_received,
          .bytes_in_flight = life.bytes_in_flight,
          .probe_timeout = life.probe_timeout};
}

}  // namespace culvert::peer
