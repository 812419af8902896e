// The connections that a client has added to its session beside the session's own. Private to
// drive/.
#pragma once

#include "drive/worker.h"
#include "peer/control_stream.h"
#include "quic/connection.h"
#include "session/handshake.h"

#include <memory>
#include <vector>

namespace culvert::peer {

class ServerSession;

// Owned by its session.
class ServerLanes {
 public:
  ServerLanes(drive::Worker& worker, ServerSession& session);
  ~ServerLanes();

  // The session takes over the connection, which has proved that it belongs to it. False: it
  // has as many as it may; the connection is closed.
  [[nodiscard]] bool add(Instant now, quic::Connection& connection,
                         std::unique_ptr<ControlStream> control, const session::Joined& joined);
  // The session is over.
  void end(Instant now);
  [[nodiscard]] std::vector<const quic::Connection*> connections() const;

 private:
  class Lane;
  void remove(Lane& lane);

  drive::Worker& worker_;
  ServerSession& session_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace culvert::peer
