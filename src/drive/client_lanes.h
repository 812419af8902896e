// The connections that a client's session has beside its own: one for each further path (local
// address x address of the server), dialled when the session is up, watched, and made the
// session's own when that one is lost or is slower. Private to drive/.
#pragma once

#include "drive/client_dial.h"
#include "drive/silence_watch.h"
#include "drive/worker.h"

#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace culvert::drive {

class ClientSession;
struct ClientContext;

// Owned by its session.
class ClientLanes final : public ClientDialOwner {
 public:
  ClientLanes(ClientContext& context, ClientSession& session);
  ~ClientLanes();

  // The session has a connection, and the server takes more of them.
  void begin(Instant now);
  // The session is over.
  void end(Instant now, session::CloseCode code);
  void on_network_changed(Instant now);
  // Asks the fastest lane that works to become the session's connection: either
  // ClientSession::adopt() or on_promotion_failed() follows. False: there is none.
  [[nodiscard]] bool promote(Instant now);
  [[nodiscard]] bool is_promoting() const { return promoting_ != nullptr; }
  [[nodiscard]] std::size_t size() const { return lanes_.size(); }
  [[nodiscard]] std::vector<ClientPath> paths() const;

 private:
  class Lane;
  // A path that is tried again, later and later.
  struct Retry {
    Instant due{};
    Duration pause{};
  };

  void on_transport_ready(Instant, ClientDial&) override {}
  void on_dialled(Instant now, ClientDial& dial, Dialled dialled) override;
  void on_dial_failed(Instant now, ClientDial& dial, DialFailure failure) override;

  void look(Instant now);
  void prefer_faster(Instant now);
  void dial_missing(Instant now);
  [[nodiscard]] std::vector<PathId> candidates() const;
  [[nodiscard]] std::optional<PathId> next_path(Instant now) const;
  [[nodiscard]] bool is_in_use(const PathId& path) const;
  void begin_dial(Instant now, const PathId& path);
  void postpone(Instant now, const PathId& path);
  void on_lost(Instant now, Lane& lane, const std::string& why);
  void on_promoted(Instant now, Lane& lane, const session::Resumed& resumed);
  void on_promotion_timeout(Instant now);
  void drop_vanished(Instant now);
  void remove(Instant now, Lane& lane);

  ClientContext& context_;
  ClientSession& session_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<ClientDial>> dials_;
  std::map<PathId, Retry> retries_;
  Lane* promoting_ = nullptr;
  int faster_looks_ = 0;  // in a row that another lane was clearly faster
  bool is_active_ = false;
  MemberTimer<ClientLanes, &ClientLanes::look> look_;
  MemberTimer<ClientLanes, &ClientLanes::on_promotion_timeout> promotion_timeout_;
};

}  // namespace culvert::drive
