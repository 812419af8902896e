// How the connection of a client's session goes from one path to another (RFC 9000 9): the new path
// is given some time, and what could not be validated is tried again. Where to is PathChoice's
// business. Private to drive/.
#pragma once

#include "base/address.h"
#include "ports/timer_heap.h"
#include "quic/connection.h"

#include <cstdint>
#include <optional>

namespace culvert::peer {

class ClientSession;
struct ClientContext;

// Why a connection moves.
enum class MoveReason : std::uint8_t {
  route,    // the kernel routes from another address now
  silence,  // nothing is heard where it is
  better,   // another path is known to work, and is better
};

struct Move {
  PathId to;
  MoveReason reason = MoveReason::route;
  quic::Migration migration = quic::Migration::validate_first;
  PathId from{};  // filled in by ClientMove
};

// Owned by its session.
class ClientMove {
 public:
  ClientMove(ClientContext& context, ClientSession& session);

  // The session's connection goes on by another path than its present one. False: it cannot.
  // PathChoice::on_move_unheard() follows where it is not heard there in time.
  bool start(Instant now, const Move& move);
  // It should be on `path`, and is.
  void stay(Instant now, const PathId& path);
  // The connection has moved, or stays where it was.
  void end(Instant now);
  // The connection is gone.
  void forget();
  // Until it is heard there.
  [[nodiscard]] const std::optional<Move>& move() const { return move_; }
  // The new path did not work in time.
  [[nodiscard]] bool is_stalled() const { return is_stalled_; }

 private:
  void on_stalled(Instant now);
  void on_check(Instant now);

  ClientContext& context_;
  ClientSession& session_;
  std::optional<Move> move_;
  bool is_stalled_ = false;
  MemberTimer<ClientMove, &ClientMove::on_stalled> stalled_;
  MemberTimer<ClientMove, &ClientMove::on_check> check_;
};

}  // namespace culvert::peer
