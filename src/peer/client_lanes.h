// The connections that a client's session has beside its own, each on a path of its own: dialled,
// watched, and made the session's own when asked to. On which paths, and when, is PathChoice's
// business. Private to drive/.
#pragma once

#include "drive/worker.h"
#include "path/path_set.h"
#include "peer/client_dial.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert::peer {

class ClientSession;
struct ClientContext;

// Owned by its session.
class ClientLanes final : public ClientDialOwner {
 public:
  ClientLanes(ClientContext& context, ClientSession& session);
  ~ClientLanes();

  // The session has another connection.
  void begin();
  // The session is over.
  void end(Instant now, session::CloseCode code);
  // Asks the lane on this path to become the session's connection: either ClientSession::adopt() or
  // on_promotion_failed() follows. False: there is none.
  [[nodiscard]] bool promote(Instant now, const PathId& path);
  [[nodiscard]] bool is_promoting() const { return promoting_ != nullptr; }
  // Dials until the session has `most` connections, on the paths that PathChoice names.
  void fill(Instant now, std::size_t most);
  // Their addresses are not ours any more: they cannot come back.
  void drop(Instant now, const std::vector<PathId>& vanished);
  // The session's own connection has come to where a lane is: that one goes to its place.
  void send(Instant now, const PathId& from, const PathId& to);
  // Closes what is on the same path as that, but for a moment.
  void close_twins(Instant now, const PathId& own);
  [[nodiscard]] std::size_t size() const { return lanes_.size(); }
  [[nodiscard]] std::vector<ClientPath> paths() const;
  // For PathSet: all that there are, and those being made.
  void add_uses(std::vector<path::Use>& uses) const;

 private:
  class Lane;

  void on_transport_ready(Instant, ClientDial&) override {}
  void on_dialled(Instant now, ClientDial& dial, Dialled dialled) override;
  void on_dial_failed(Instant now, ClientDial& dial, DialFailure failure) override;

  void begin_dial(Instant now, const PathId& path);
  void give_up_slow_dials(Instant now);
  [[nodiscard]] Lane* find(const PathId& path) const;
  void on_lost(Instant now, Lane& lane, const std::string& why);
  void on_promoted(Instant now, Lane& lane, const session::Resumed& resumed);
  void on_promotion_timeout(Instant now);
  void remove(Instant now, Lane& lane);

  ClientContext& context_;
  ClientSession& session_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<ClientDial>> dials_;
  Lane* promoting_ = nullptr;
  MemberTimer<ClientLanes, &ClientLanes::on_promotion_timeout> promotion_timeout_;
};

}  // namespace culvert::peer
