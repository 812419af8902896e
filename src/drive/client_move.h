// How the connection of a client's session follows the client's address (RFC 9000 9): it is
// migrated, the new path is given some time, and what could not be validated is tried again.
// Private to drive/.
#pragma once

#include "base/address.h"
#include "ports/timer_heap.h"
#include "quic/connection.h"

#include <optional>

namespace culvert::drive {

class ClientSession;
struct ClientContext;

// Owned by its session.
class ClientMove {
 public:
  ClientMove(ClientContext& context, ClientSession& session);

  // The session's connection goes on from where the routes lead now, should that be elsewhere.
  void start(Instant now, quic::Migration migration);
  // The connection has moved, or stays where it was.
  void end(Instant now);
  // The connection is gone.
  void forget();
  // The new path did not work in time.
  [[nodiscard]] bool is_stalled() const { return is_stalled_; }

 private:
  void on_stalled(Instant now);
  void on_check(Instant now);

  ClientContext& context_;
  ClientSession& session_;
  std::optional<IpAddress> to_;  // until the path from there is validated
  bool is_stalled_ = false;
  MemberTimer<ClientMove, &ClientMove::on_stalled> stalled_;
  // A path that could not be validated (its probes were lost) is tried again.
  MemberTimer<ClientMove, &ClientMove::on_check> check_;
};

}  // namespace culvert::drive
