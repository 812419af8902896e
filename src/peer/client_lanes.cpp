#include "peer/client_lanes.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/client_session.h"
#include "session/lane_talk.h"
#include "session/resume_talk.h"

#include <algorithm>
#include <utility>

namespace culvert::peer {
namespace {

// Longer than it takes to validate a path that was in use a moment ago.
constexpr Duration kGoing = std::chrono::seconds(2);

}  // namespace

// One connection that has joined the session.
class ClientLanes::Lane final : public drive::ConnectionHandler, public ControlHandler {
 public:
  Lane(ClientLanes& lanes, Dialled dialled)
      : lanes_(lanes),
        connection_(&dialled.connection),
        control_(std::move(dialled.control)),
        server_(dialled.server),
        resume_talk_(spoken_here(*control_)),
        lane_talk_(control_->channel(), resume_talk_, std::get<session::Joined>(dialled.outcome)),
        watch_timer_(lanes.context_.worker.timers(), *this) {
    lanes_.context_.worker.rebind(*connection_, *this);
  }
  ~Lane() override {
    if (connection_ != nullptr) lanes_.context_.worker.detach(*connection_);
  }

  void start(Instant now) {
    watch_.begin(now);
    watch_timer_.set(now + watch_.next_look(limits::kSuspectLane));
    // Flows may have begun meanwhile; and what is on it already is read now.
    lanes_.session_.core().lanes().add(now, *connection_);
  }
  [[nodiscard]] quic::Connection& connection() const { return *connection_; }
  [[nodiscard]] PathId path() const { return connection_->path(); }
  [[nodiscard]] bool is_usable() const { return !watch_.is_silent(); }
  // Where it cannot, it stays (close_twins).
  void go(Instant now, const PathId& to) {
    going_until_ = now + kGoing;
    static_cast<void>(connection_->migrate(now, to, quic::Migration::validate_first));
  }
  [[nodiscard]] bool is_going(Instant now) const { return now < going_until_; }
  void promote() { lane_talk_.promote(lanes_.session_.ticket()->key); }
  // The session's own from here on.
  [[nodiscard]] Dialled hand_over(const session::Resumed& resumed) {
    watch_timer_.cancel();
    return {.connection = *std::exchange(connection_, nullptr),
            .control = std::move(control_),
            .server = server_,
            .outcome = resumed};
  }
  void close(Instant now, session::CloseCode code) {
    lanes_.session_.core().lanes().remove(now, *connection_);
    connection_->close(now, static_cast<std::uint64_t>(code), "not needed");
    let_go();
  }
  void let_go() {
    watch_timer_.cancel();
    control_->release();
    lanes_.context_.worker.detach(*std::exchange(connection_, nullptr));
  }

  void on_event(Instant now, quic::Event& event) override {
    if (const auto* closed = std::get_if<quic::Closed>(&event)) {
      lanes_.session_.core().lanes().remove(now, *connection_);
      let_go();
      lanes_.on_lost(now, *this, closed->error.what);
    } else if (std::holds_alternative<quic::StreamsAvailable>(event)) {
      lanes_.session_.core().lanes().open_missing_legs(now, *connection_);
    } else {
      lanes_.session_.on_stream_event(now, event);
    }
  }
  void on_readable(Instant now, quic::Stream& stream) override {
    lanes_.session_.on_readable(now, stream);
  }
  void on_writable(Instant now, quic::Stream& stream) override {
    lanes_.session_.on_writable(now, stream);
  }
  void on_datagram(Instant now, ByteView datagram) override {
    lanes_.session_.on_datagram(now, datagram);
  }

 private:
  [[nodiscard]] session::ControlChannel& spoken_here(ControlStream& control) {
    control.set_handler(*this);
    return control.channel();
  }
  void on_control(Instant now) override {
    if (const auto resumed = resume_talk_.poll_resumed()) lanes_.on_promoted(now, *this, *resumed);
  }
  void on_control_failed(Instant now, const session::ChannelFailure& failure) override {
    lanes_.session_.core().count(failure);
    close(now, session::CloseCode::protocol_error);
    lanes_.on_lost(now, *this, failure.error.what);
  }
  void on_watch(Instant now) {
    using News = path::SilenceWatch::News;
    const News news = watch_.look(now, signs_of(connection_->liveness()), limits::kSuspectLane);
    watch_timer_.set(now + watch_.next_look(limits::kSuspectLane));
    if (news == News::none) return;
    if (news == News::pause) {
      connection_->ping(now);
      return;
    }
    lanes_.session_.core().lanes().set_usable(*connection_, is_usable());
    lanes_.context_.worker.log().info("path", "{} -> {} {}", path().local.text(),
                                      path().remote.text(),
                                      is_usable() ? "answers again" : "is silent");
  }

  ClientLanes& lanes_;
  quic::Connection* connection_;  // null once it is lost or handed over
  std::unique_ptr<ControlStream> control_;
  SocketAddress server_;
  session::ClientResumeTalk resume_talk_;
  session::ClientLaneTalk lane_talk_;
  path::SilenceWatch watch_;
  Instant going_until_{};
  MemberTimer<Lane, &Lane::on_watch> watch_timer_;
};

ClientLanes::ClientLanes(ClientContext& context, ClientSession& session)
    : context_(context), session_(session), promotion_timeout_(context.worker.timers(), *this) {}

ClientLanes::~ClientLanes() = default;

void ClientLanes::begin() {
  promoting_ = nullptr;
  promotion_timeout_.cancel();
}

void ClientLanes::end(Instant now, session::CloseCode code) {
  promoting_ = nullptr;
  promotion_timeout_.cancel();
  for (auto& dial : dials_) {
    dial->abandon(now, code, "the session is over");
    context_.worker.bury(std::move(dial));
  }
  dials_.clear();
  while (!lanes_.empty()) {
    lanes_.back()->close(now, code);
    remove(now, *lanes_.back());
  }
}

void ClientLanes::remove(Instant, Lane& lane) {
  if (promoting_ == &lane) promoting_ = nullptr;
  const auto found = std::ranges::find(lanes_, &lane, &std::unique_ptr<Lane>::get);
  context_.worker.bury(std::move(*found));
  lanes_.erase(found);
}

// --- dialling ------------------------------------------------------------------------------------

void ClientLanes::fill(Instant now, std::size_t most) {
  give_up_slow_dials(now);
  while (1 + lanes_.size() + dials_.size() < most) {
    const auto path = session_.choice().next_path(now);
    if (!path) return;
    begin_dial(now, *path);
  }
}

void ClientLanes::give_up_slow_dials(Instant now) {
  for (const auto& dial : dials_) {
    if (now - dial->started() < context_.config.policy.connect_timeout) continue;
    dial->abandon(now, session::CloseCode::moved, "took too long");
    session_.choice().on_path_failed(now, dial->path(), "no answer in time");
  }
  for (auto& dial : dials_) {
    if (dial->is_over()) context_.worker.bury(std::move(dial));
  }
  std::erase(dials_, nullptr);
}

void ClientLanes::begin_dial(Instant now, const PathId& path) {
  context_.worker.pin_local_addresses();
  auto dial = std::make_unique<ClientDial>(context_.worker, context_.config,
                                           DialOptions{.server = path.remote,
                                                       .local = path.local.ip,
                                                       .ticket = session_.ticket(),
                                                       .worker = session_.server_worker(),
                                                       .joins = true},
                                           *this);
  if (auto started = dial->start(now); !started) {
    session_.choice().on_path_failed(now, path, started.error().text());
    return;
  }
  dials_.push_back(std::move(dial));
}

void ClientLanes::on_dialled(Instant now, ClientDial& dial, Dialled dialled) {
  const auto found = std::ranges::find(dials_, &dial, &std::unique_ptr<ClientDial>::get);
  context_.worker.bury(std::move(*found));
  dials_.erase(found);
  lanes_.push_back(std::make_unique<Lane>(*this, std::move(dialled)));
  Lane& lane = *lanes_.back();
  context_.worker.log().info("path", "another path: {} -> {}", lane.path().local.text(),
                             lane.path().remote.text());
  tell(context_.config.events, [&] {
    return RoleEvent{.kind = RoleEventKind::path_opened,
                     .address = lane.path().remote.text(),
                     .detail = "from " + lane.path().local.text()};
  });
  lane.start(now);
}

void ClientLanes::on_dial_failed(Instant now, ClientDial& dial, DialFailure failure) {
  const auto found = std::ranges::find(dials_, &dial, &std::unique_ptr<ClientDial>::get);
  session_.choice().on_path_failed(now, dial.path(), failure.error.text());
  context_.worker.log().debug("path", "no path {} -> {}: {}", dial.path().local.text(),
                              dial.path().remote.text(), failure.error.text());
  context_.worker.bury(std::move(*found));
  dials_.erase(found);
}

// --- the life of a lane --------------------------------------------------------------------------

void ClientLanes::on_lost(Instant now, Lane& lane, const std::string& why) {
  const bool was_promoting = promoting_ == &lane;
  context_.worker.log().info("path", "a path is lost: {}", why);
  tell(context_.config.events,
       [&] { return RoleEvent{.kind = RoleEventKind::path_lost, .detail = why}; });
  remove(now, lane);
  if (was_promoting && !session_.take_over(now)) session_.on_promotion_failed(now);
}

void ClientLanes::send(Instant now, const PathId& from, const PathId& to) {
  Lane* lane = find(from);
  if (lane != nullptr && lane != promoting_) lane->go(now, to);
}

void ClientLanes::close_twins(Instant now, const PathId& own) {
  Lane* lane = find(own);
  if (lane == nullptr || lane == promoting_ || lane->is_going(now)) return;
  CULVERT_PROBE("peer.a lane is left on the path of the session's own connection");
  lane->close(now, session::CloseCode::moved);
  on_lost(now, *lane, "the session is on the same path");
}

void ClientLanes::drop(Instant now, const std::vector<PathId>& vanished) {
  for (const PathId& path : vanished) {
    Lane* lane = find(path);
    if (lane == nullptr) continue;
    CULVERT_PROBE("peer.the address of another path vanishes");
    lane->close(now, session::CloseCode::moved);
    on_lost(now, *lane, "its address is gone");
  }
}

ClientLanes::Lane* ClientLanes::find(const PathId& path) const {
  const auto found =
      std::ranges::find_if(lanes_, [&](const auto& lane) { return lane->path() == path; });
  return found == lanes_.end() ? nullptr : found->get();
}

bool ClientLanes::promote(Instant now, const PathId& path) {
  if (promoting_ != nullptr) return true;
  promoting_ = find(path);
  if (promoting_ == nullptr) return false;
  const Duration probe_timeout = promoting_->connection().liveness().probe_timeout;
  promotion_timeout_.set(now + std::max(limits::kPromotionTimeout, 4 * probe_timeout));
  promoting_->promote();
  return true;
}

void ClientLanes::on_promotion_timeout(Instant now) {
  if (promoting_ == nullptr) return;
  CULVERT_PROBE("peer.a promotion is not answered");
  Lane& lane = *promoting_;
  lane.close(now, session::CloseCode::moved);
  on_lost(now, lane, "it did not answer");
}

void ClientLanes::on_promoted(Instant now, Lane& lane, const session::Resumed& resumed) {
  promotion_timeout_.cancel();
  Dialled dialled = lane.hand_over(resumed);
  remove(now, lane);
  session_.adopt(now, std::move(dialled));
}

std::vector<ClientPath> ClientLanes::paths() const {
  std::vector<ClientPath> paths;
  for (const auto& lane : lanes_) {
    paths.push_back({.path = lane->path(),
                     .connection = lane->connection().stats(),
                     .is_standby = !session_.uses_several_paths(),
                     .is_silent = !lane->is_usable()});
  }
  return paths;
}

void ClientLanes::add_uses(std::vector<path::Use>& uses) const {
  for (const auto& lane : lanes_) {
    uses.push_back({.path = lane->path(),
                    .role = path::Role::joined,
                    .round_trip = lane->connection().liveness().smoothed_rtt,
                    .is_silent = !lane->is_usable()});
  }
  for (const auto& dial : dials_) {
    uses.push_back({.path = dial->path(), .role = path::Role::attempt});
  }
}

}  // namespace culvert::peer
