#include "drive/server_lanes.h"

#include "base/limits.h"
#include "base/probe.h"
#include "drive/server_session.h"

#include <algorithm>
#include <utility>

namespace culvert::drive {

class ServerLanes::Lane final : public ConnectionHandler, public ControlHandler {
 public:
  Lane(ServerLanes& lanes, quic::Connection& connection, std::unique_ptr<ControlStream> control)
      : lanes_(lanes),
        session_(lanes.session_),
        connection_(&connection),
        control_(std::move(control)) {
    lanes_.worker_.rebind(connection, *this);
    control_->set_handler(*this);
  }
  ~Lane() override {
    if (connection_ != nullptr) lanes_.worker_.detach(*connection_);
  }

  [[nodiscard]] const quic::Connection* connection() const { return connection_; }
  void close(Instant now, session::CloseCode code, std::string_view reason) {
    connection_->close(now, static_cast<std::uint64_t>(code), reason);
    let_go();
  }

  void on_event(Instant now, quic::Event& event) override {
    if (std::holds_alternative<quic::Closed>(event)) {
      lose(now);
    } else {
      session_.core().on_stream_event(now, event);
    }
  }
  void on_readable(Instant now, quic::Stream& stream) override {
    session_.core().on_readable(now, stream);
  }
  void on_writable(Instant now, quic::Stream& stream) override {
    session_.core().on_writable(now, stream);
  }
  void on_datagram(Instant now, ByteView datagram) override {
    session_.core().on_datagram(now, datagram);
  }

 private:
  void on_handshake_event(Instant now, session::HandshakeEvent& event) override {
    if (const auto* promoted = std::get_if<session::Promoted>(&event)) {
      const std::size_t key_index = promoted->key_index;
      quic::Connection& connection = *std::exchange(connection_, nullptr);
      auto control = std::move(control_);
      lanes_.remove(*this);
      session_.on_promoted(now, connection, std::move(control), key_index);
    } else if (const auto* gone = std::get_if<session::FlowsGone>(&event)) {
      session_.on_flows_gone(now, gone->ids);
    } else if (const auto* failed = std::get_if<session::Failed>(&event)) {
      session_.core().lanes().remove(now, *connection_);
      connection_->close(now, static_cast<std::uint64_t>(failed->code), failed->error.what);
      drop_heads(now);
      let_go();
      lanes_.remove(*this);
    }
  }
  void lose(Instant now) {
    session_.core().lanes().remove(now, *connection_);
    drop_heads(now);
    let_go();
    lanes_.remove(*this);
  }
  // Streams of which not even the head has arrived belong to nobody.
  void drop_heads(Instant now) {
    for (const auto& stream : connection_->take_streams()) {
      if (auto* user = user_of(*stream)) {
        user->on_quic_closed(now);
        session_.core().retire(now, *user);
      }
    }
  }
  void let_go() {
    control_->release();
    lanes_.worker_.detach(*std::exchange(connection_, nullptr));
  }

  ServerLanes& lanes_;
  ServerSession& session_;
  quic::Connection* connection_;  // null once it is lost or the session's own
  std::unique_ptr<ControlStream> control_;
};

ServerLanes::ServerLanes(Worker& worker, ServerSession& session)
    : worker_(worker), session_(session) {}

ServerLanes::~ServerLanes() = default;

bool ServerLanes::add(Instant now, quic::Connection& connection,
                      std::unique_ptr<ControlStream> control) {
  auto lane = std::make_unique<Lane>(*this, connection, std::move(control));
  if (1 + lanes_.size() >= limits::kMaxLanes) {
    CULVERT_PROBE("drive.a session has enough connections");
    lane->close(now, session::CloseCode::session_limit, "the session has enough connections");
    worker_.bury(std::move(lane));
    return false;
  }
  lanes_.push_back(std::move(lane));
  session_.core().lanes().add(now, connection);
  return true;
}

void ServerLanes::end(Instant now) {
  for (auto& lane : lanes_) {
    lane->close(now, session::CloseCode::done, "the session is over");
    worker_.bury(std::move(lane));
  }
  lanes_.clear();
}

void ServerLanes::remove(Lane& lane) {
  const auto found = std::ranges::find(lanes_, &lane, &std::unique_ptr<Lane>::get);
  worker_.bury(std::move(*found));
  lanes_.erase(found);
}

std::vector<const quic::Connection*> ServerLanes::connections() const {
  std::vector<const quic::Connection*> all;
  for (const auto& lane : lanes_) all.push_back(lane->connection());
  return all;
}

}  // namespace culvert::drive
