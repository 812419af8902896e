#include "drive/client_lanes.h"

#include "base/limits.h"
#include "base/probe.h"
#include "drive/client_session.h"
#include "drive/server_addresses.h"
#include "session/lane_talk.h"
#include "session/resume_talk.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace culvert::drive {
namespace {

// Between looks for paths that are missing or better.
constexpr Duration kLook = std::chrono::seconds(1);
// A lane is faster when its round trip is a quarter shorter and this much, in so many looks in
// a row: changing the connection costs each flow a little.
constexpr Duration kWorthwhile = std::chrono::milliseconds(5);
constexpr int kFasterLooks = 10;

}  // namespace

// One connection that has joined the session.
class ClientLanes::Lane final : public ConnectionHandler, public ControlHandler {
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
    const auto news = watch_.look(now, connection_->liveness(), limits::kSuspectLane);
    watch_timer_.set(now + watch_.next_look(limits::kSuspectLane));
    if (news == SilenceWatch::News::none) return;
    if (news == SilenceWatch::News::pause) {
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
  SilenceWatch watch_;
  MemberTimer<Lane, &Lane::on_watch> watch_timer_;
};

ClientLanes::ClientLanes(ClientContext& context, ClientSession& session)
    : context_(context),
      session_(session),
      look_(context.worker.timers(), *this),
      promotion_timeout_(context.worker.timers(), *this) {}

ClientLanes::~ClientLanes() = default;

void ClientLanes::begin(Instant now) {
  is_active_ = true;
  promoting_ = nullptr;
  promotion_timeout_.cancel();
  faster_looks_ = 0;
  retries_.clear();
  look_.set(now);
}

void ClientLanes::end(Instant now, session::CloseCode code) {
  is_active_ = false;
  promoting_ = nullptr;
  look_.cancel();
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

// --- which paths -------------------------------------------------------------------------------

// Every pair of our addresses and theirs that may lead somewhere; those first that have the
// least in common with the paths in use.
std::vector<PathId> ClientLanes::candidates() const {
  std::vector<PathId> used;
  if (const quic::Connection* own = session_.connection()) used.push_back(own->path());
  for (const auto& lane : lanes_) used.push_back(lane->path());
  for (const auto& dial : dials_) used.push_back(dial->path());
  struct Candidate {
    std::ptrdiff_t shared_local;
    std::ptrdiff_t shared_remote;
    std::size_t order;
    PathId path;
  };
  std::vector<Candidate> found;
  const std::uint16_t port = context_.worker.local_address().port;
  const auto ours = context_.worker.host().local_addresses();
  for (const SocketAddress& remote : context_.addresses.addresses()) {
    for (const LocalAddress& local : ours) {
      if (!session_.may_use(local) || local.ip.family() != remote.ip.family() ||
          local.ip.is_loopback() != remote.ip.is_loopback()) {
        continue;
      }
      const auto shared_local = std::ranges::count_if(
          used, [&](const PathId& other) { return other.local.ip == local.ip; });
      found.push_back({.shared_local = shared_local,
                       .shared_remote = std::ranges::count(used, remote, &PathId::remote),
                       .order = found.size(),
                       .path = {.local = {local.ip, port}, .remote = remote}});
    }
  }
  std::ranges::sort(found, {}, [](const Candidate& candidate) {
    return std::tuple(candidate.shared_local, candidate.shared_remote, candidate.order);
  });
  std::vector<PathId> paths;
  for (const Candidate& candidate : found) paths.push_back(candidate.path);
  return paths;
}

std::optional<PathId> ClientLanes::next_path(Instant now) const {
  for (const PathId& path : candidates()) {
    if (is_in_use(path)) continue;
    const auto retry = retries_.find(path);
    if (retry == retries_.end() || retry->second.due <= now) return path;
  }
  return std::nullopt;
}

bool ClientLanes::is_in_use(const PathId& path) const {
  const auto is_same = [&](const PathId& other) {
    return other.local.ip == path.local.ip && other.remote == path.remote;
  };
  const quic::Connection* own = session_.connection();
  return (own != nullptr && is_same(own->path())) ||
         std::ranges::any_of(lanes_, [&](const auto& lane) { return is_same(lane->path()); }) ||
         std::ranges::any_of(dials_, [&](const auto& dial) { return is_same(dial->path()); });
}

void ClientLanes::look(Instant now) {
  if (!is_active_) return;
  look_.set(now + kLook);
  if (session_.connection() == nullptr) return;
  prefer_faster(now);
  dial_missing(now);
}

void ClientLanes::dial_missing(Instant now) {
  const std::size_t most =
      session_.uses_several_paths() ? limits::kMaxLanes : limits::kMaxStandbyLanes;
  for (const auto& dial : dials_) {
    if (now - dial->started() < context_.config.policy.connect_timeout) continue;
    dial->abandon(now, session::CloseCode::moved, "took too long");
    postpone(now, dial->path());
  }
  for (auto& dial : dials_) {
    if (dial->is_over()) context_.worker.bury(std::move(dial));
  }
  std::erase(dials_, nullptr);
  while (1 + lanes_.size() + dials_.size() < most) {
    const auto path = next_path(now);
    if (!path) return;
    begin_dial(now, *path);
  }
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
    postpone(now, path);
    return;
  }
  dials_.push_back(std::move(dial));
}

void ClientLanes::postpone(Instant now, const PathId& path) {
  Retry& retry = retries_[path];
  retry.pause = std::clamp(2 * retry.pause, limits::kLaneRetryFirst, limits::kLaneRetryMost);
  retry.due = now + retry.pause;
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
  postpone(now, dial.path());
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

void ClientLanes::on_network_changed(Instant now) {
  if (!is_active_) return;
  drop_vanished(now);
  for (auto& [path, retry] : retries_) retry = {};
  look_.set(now);
}

// A lane whose address we have no longer cannot come back.
void ClientLanes::drop_vanished(Instant now) {
  const auto ours = context_.worker.host().local_addresses();
  std::vector<Lane*> vanished;
  for (const auto& lane : lanes_) {
    if (std::ranges::find(ours, lane->path().local.ip, &LocalAddress::ip) == ours.end()) {
      vanished.push_back(lane.get());
    }
  }
  for (Lane* lane : vanished) {
    CULVERT_PROBE("drive.the address of another path vanishes");
    lane->close(now, session::CloseCode::moved);
    on_lost(now, *lane, "its address is gone");
  }
}

// In every mode: what is not striped is on the session's own connection alone.
void ClientLanes::prefer_faster(Instant now) {
  if (promoting_ != nullptr || lanes_.empty()) return;
  const Duration own = session_.connection()->liveness().smoothed_rtt;
  const bool is_faster = std::ranges::any_of(lanes_, [&](const auto& lane) {
    const Duration its = lane->connection().liveness().smoothed_rtt;
    return lane->is_usable() && its + its / 3 < own && its + kWorthwhile < own;
  });
  faster_looks_ = is_faster ? faster_looks_ + 1 : 0;
  if (faster_looks_ < kFasterLooks) return;
  faster_looks_ = 0;
  CULVERT_PROBE("drive.another path is faster");
  context_.worker.log().info("path", "another path is faster: the session moves there");
  static_cast<void>(session_.take_over(now));
}

bool ClientLanes::promote(Instant now) {
  if (promoting_ != nullptr) return true;
  Lane* best = nullptr;
  for (const auto& lane : lanes_) {
    if (!lane->is_usable()) continue;
    if (best == nullptr ||
        lane->connection().liveness().smoothed_rtt < best->connection().liveness().smoothed_rtt) {
      best = lane.get();
    }
  }
  if (best == nullptr) return false;
  promoting_ = best;
  promotion_timeout_.set(
      now + std::max(limits::kPromotionTimeout, 4 * best->connection().liveness().probe_timeout));
  best->promote();
  return true;
}

void ClientLanes::on_promotion_timeout(Instant now) {
  if (promoting_ == nullptr) return;
  CULVERT_PROBE("drive.a promotion is not answered");
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

}  // namespace culvert::drive
