#include "peer/server_lanes.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/server_session.h"
#include "session/lane_talk.h"
#include "session/resume_talk.h"

#include <algorithm>
#include <utility>

namespace culvert::peer {

class ServerLanes::Lane final : public drive::ConnectionHandler, public ControlHandler {
 public:
  Lane(ServerLanes& lanes, quic::Connection& connection, std::unique_ptr<ControlStream> control,
       const session::Joined& joined)
      : lanes_(lanes),
        session_(lanes.session_),
        connection_(&connection),
        control_(std::move(control)),
        resume_talk_(spoken_here(*control_), false),
        lane_talk_(control_->channel(), resume_talk_, joined, session_.terms(),
                   [this] { return session_.resume_keys(); }) {
    lanes_.worker_.rebind(connection, *this);
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
  [[nodiscard]] session::ControlChannel& spoken_here(ControlStream& control) {
    control.set_handler(*this);
    return control.channel();
  }
  void on_control(Instant now) override {
    if (const auto promoted = lane_talk_.poll_promoted()) {
      quic::Connection& connection = *std::exchange(connection_, nullptr);
      auto control = std::move(control_);
      lanes_.remove(*this);
      session_.on_promoted(now, connection, std::move(control), promoted->key_index);
      return;
    }
    const auto event = resume_talk_.poll_event();
    const auto* gone = event ? std::get_if<session::FlowsGone>(&*event) : nullptr;
    if (gone != nullptr) session_.on_flows_gone(now, gone->ids);
  }
  void on_control_failed(Instant now, const session::ChannelFailure& failure) override {
    session_.core().count(failure);
    session_.core().lanes().remove(now, *connection_);
    connection_->close(now, static_cast<std::uint64_t>(session::CloseCode::protocol_error),
                       failure.error.what);
    drop_heads(now);
    let_go();
    lanes_.remove(*this);
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
  session::ServerResumeTalk resume_talk_;
  session::ServerLaneTalk lane_talk_;
};

ServerLanes::ServerLanes(drive::Worker& worker, ServerSession& session)
    : worker_(worker), session_(session) {}

ServerLanes::~ServerLanes() = default;

bool ServerLanes::add(Instant now, quic::Connection& connection,
                      std::unique_ptr<ControlStream> control, const session::Joined& joined) {
  auto lane = std::make_unique<Lane>(*this, connection, std::move(control), joined);
  if (1 + lanes_.size() >= limits::kMaxLanes) {
    CULVERT_PROBE("peer.a session has enough connections");
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

}  // namespace culvert::peer
