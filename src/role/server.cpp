#include "role/server.h"

#include "base/probe.h"
#include "drive/worker.h"
#include "flow/server_flow.h"
#include "peer/server_context.h"
#include "peer/server_greeter.h"
#include "peer/server_session.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

namespace culvert::role {
namespace {

class ServerRole final : public Server,
                         public drive::WorkerHandler,
                         public peer::ServerGreeterOwner,
                         public peer::SessionOwner {
 public:
  // `own`: null where the worker is not.
  ServerRole(std::unique_ptr<drive::Worker> own, drive::Worker& worker, peer::ServerShared& shared)
      : own_worker_(std::move(own)),
        worker_(worker),
        context_{.worker = worker_,
                 .shared = shared,
                 .policy = shared.policy,
                 .stats = stats_,
                 .traffic = traffic_,
                 .flows = flows_,
                 .worker_index = worker_.index(),
                 .broken_handshakes = LogSampler(shared.log_sample_interval)},
        drain_(worker_.timers(), *this) {}
  ~ServerRole() override;

  SocketAddress local_address() const override { return worker_.local_address(); }
  void start(Instant) override {}
  void stop(Instant now, std::function<void(Instant)> on_stopped) override;
  void set_policy(Instant now, std::shared_ptr<const peer::ServerPolicy> policy) override;
  drive::Counters stats() const override;
  std::vector<peer::SessionSnapshot> sessions(std::size_t max) const override;
  bool kick(Instant now, std::uint64_t session, std::string_view reason) override;
  void give_up_session(Instant now, std::uint64_t session) override;

  drive::ConnectionHandler* on_connection(Instant now, quic::Connection& connection) override;
  void on_network_changed(Instant now) override {
    const auto& tell_of_it = context_.shared.on_network_changed;
    if (tell_of_it) tell_of_it(now, worker_.index());
  }
  void on_refused(Instant, const UdpRefusal&) override {}
  std::vector<session::ResumeKey> resume_keys(const crypto::EndpointId& client,
                                              const session::SessionId& id) const override;
  void on_greeted(Instant now, peer::ServerGreeter& greeter, peer::Greeted greeted) override;
  void on_not_greeted(peer::ServerGreeter& greeter) override { forget(greeter); }
  void on_session_ended(Instant now, peer::ServerSession& session) override;
  void on_flow_ended(Instant now) override;
  void on_place_lost(Instant now, std::uint64_t session) override { give_up_session(now, session); }
  bool end_silent(Instant now, const session::CredentialId* credential) override;

 private:
  void on_drain_timeout(Instant now);
  void close_all(Instant now);
  [[nodiscard]] bool has_flows() const;
  void begin_session(Instant now, peer::Greeted greeted);
  [[nodiscard]] peer::ServerSession* find_or_close(Instant now, peer::Greeted& greeted,
                                                   const session::SessionId& id);
  void forget(peer::ServerGreeter& greeter);
  [[nodiscard]] peer::ServerSession* find(std::uint64_t id) const;

  drive::Counters stats_;
  drive::TrafficCounters traffic_;
  flow::ServerFlows flows_;
  const std::unique_ptr<drive::Worker> own_worker_;
  drive::Worker& worker_;
  peer::ServerContext context_;
  std::unordered_map<peer::ServerGreeter*, std::unique_ptr<peer::ServerGreeter>> greeters_;
  std::unordered_map<peer::ServerSession*, std::unique_ptr<peer::ServerSession>> sessions_;
  std::map<session::SessionId, peer::ServerSession*> resumable_;
  std::function<void(Instant)> on_stopped_;
  MemberTimer<ServerRole, &ServerRole::on_drain_timeout> drain_;
};

// Others go on with a worker that they share: nothing of this role may be left there.
ServerRole::~ServerRole() {
  if (!own_worker_) close_all(worker_.host().now());
  worker_.remove_role(*this);
  worker_.delete_dead();
}

// --- who comes and goes ------------------------------------------------------------------------

drive::ConnectionHandler* ServerRole::on_connection(Instant now, quic::Connection& connection) {
  auto greeter = std::make_unique<peer::ServerGreeter>(context_, now, connection, *this);
  peer::ServerGreeter* handler = greeter.get();
  greeters_.emplace(handler, std::move(greeter));
  return handler;
}

void ServerRole::forget(peer::ServerGreeter& greeter) {
  const auto found = greeters_.find(&greeter);
  worker_.bury(std::move(found->second));
  greeters_.erase(found);
}

void ServerRole::on_greeted(Instant now, peer::ServerGreeter& greeter, peer::Greeted greeted) {
  forget(greeter);
  if (const auto* resumed = std::get_if<session::Resumed>(&greeted.outcome)) {
    if (auto* session = find_or_close(now, greeted, resumed->session_id)) {
      session->resume(now, std::move(greeted));
    }
  } else if (const auto* joined = std::get_if<session::Joined>(&greeted.outcome)) {
    if (auto* session = find_or_close(now, greeted, joined->session_id)) {
      session->join(now, std::move(greeted));
    }
  } else {
    begin_session(now, std::move(greeted));
  }
}

void ServerRole::begin_session(Instant now, peer::Greeted greeted) {
  const std::shared_ptr<const peer::ServerPolicy> policy = greeted.policy;
  auto owned = std::make_unique<peer::ServerSession>(context_, std::move(greeted), *this);
  peer::ServerSession& session = *owned;
  sessions_.emplace(&session, std::move(owned));
  if (session.is_resumable()) resumable_[session.resume_id()] = &session;
  session.begin(now);
  // It may have changed while the handshake read from the one it began with.
  if (policy != context_.policy) {
    CULVERT_PROBE("role.the policy changed while a client logged in");
    session.on_policy_changed(now, session::CredentialCheck(context_.policy->auth));
  }
}

// Its key was found a moment ago.
peer::ServerSession* ServerRole::find_or_close(Instant now, peer::Greeted& greeted,
                                               const session::SessionId& id) {
  const auto found = resumable_.find(id);
  if (found != resumable_.end()) return found->second;
  greeted.connection.close(now, static_cast<std::uint64_t>(session::CloseCode::protocol_error),
                           "the session ended meanwhile");
  worker_.detach(greeted.connection);
  greeted.control->release();
  worker_.bury(std::move(greeted.control));
  return nullptr;
}

std::vector<session::ResumeKey> ServerRole::resume_keys(const crypto::EndpointId& client,
                                                        const session::SessionId& id) const {
  const auto found = resumable_.find(id);
  if (found == resumable_.end()) return {};
  if (found->second->peer() != client) {
    CULVERT_PROBE("role.a session is asked for by another EndpointId");
    return {};
  }
  return found->second->resume_keys();
}

void ServerRole::on_session_ended(Instant, peer::ServerSession& session) {
  if (session.is_resumable()) resumable_.erase(session.resume_id());
  const auto found = sessions_.find(&session);
  worker_.bury(std::move(found->second));
  sessions_.erase(found);
}

void ServerRole::on_flow_ended(Instant now) {
  // Not from inside the flow's own callback: at the turn's end, as a due timer.
  if (context_.is_stopping && !has_flows()) drain_.set(now);
}

bool ServerRole::has_flows() const {
  for (const auto& [session, owner] : sessions_) {
    if (session->flow_count() > 0) return true;
  }
  return false;
}

void ServerRole::stop(Instant now, std::function<void(Instant)> on_stopped) {
  const bool is_first = !std::exchange(context_.is_stopping, true);
  on_stopped_ = std::move(on_stopped);
  if (is_first) {
    for (const auto& [session, owner] : sessions_) session->leave();
  }
  drain_.set(is_first && has_flows() ? now + context_.shared.times.drain_timeout : now);
  worker_.host().request_turn_end();
}

void ServerRole::set_policy(Instant now, std::shared_ptr<const peer::ServerPolicy> policy) {
  context_.policy = std::move(policy);
  const session::CredentialCheck credentials(context_.policy->auth);
  std::vector<peer::ServerSession*> sessions;  // some end, and leave the table
  sessions.reserve(sessions_.size());
  for (const auto& [session, owner] : sessions_) sessions.push_back(session);
  for (peer::ServerSession* session : sessions) session->on_policy_changed(now, credentials);
  worker_.host().request_turn_end();
}

void ServerRole::on_drain_timeout(Instant now) {
  close_all(now);
  worker_.transmit_now(now);
  if (on_stopped_) std::exchange(on_stopped_, nullptr)(now);
}

void ServerRole::close_all(Instant now) {
  while (!greeters_.empty()) {
    greeters_.begin()->first->close(now, session::CloseCode::shutting_down, "server shut down");
  }
  while (!sessions_.empty()) {
    sessions_.begin()->first->close(now, session::CloseCode::shutting_down, "server shut down");
  }
}

std::vector<peer::SessionSnapshot> ServerRole::sessions(std::size_t max) const {
  std::vector<const peer::ServerSession*> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [session, owner] : sessions_) sessions.push_back(session);
  std::ranges::sort(sessions, {}, &peer::ServerSession::id);
  if (sessions.size() > max) sessions.resize(max);
  std::vector<peer::SessionSnapshot> snapshots;
  snapshots.reserve(sessions.size());
  for (const peer::ServerSession* session : sessions) snapshots.push_back(session->snapshot());
  return snapshots;
}

peer::ServerSession* ServerRole::find(std::uint64_t id) const {
  for (const auto& [session, owner] : sessions_) {
    if (session->id() == id) return session;
  }
  return nullptr;
}

void ServerRole::give_up_session(Instant now, std::uint64_t id) {
  peer::ServerSession* session = find(id);
  if (session == nullptr) return;
  worker_.log().info("session", "session {} of client {} ends: another client needs its place", id,
                     session->peer().short_text());
  // Should it be back this moment: it may log in anew.
  session->close(now, session::CloseCode::session_limit, "another client needed the place");
  worker_.host().request_turn_end();
}

bool ServerRole::end_silent(Instant now, const session::CredentialId* credential) {
  const peer::ServerSession* longest = nullptr;
  Instant since = now - limits::kSilentSession;
  for (const auto& [session, owner] : sessions_) {
    if (credential != nullptr && session->identity().credential != *credential) continue;
    const auto heard = session->heard_at();
    if (!heard || *heard > since) continue;
    longest = session;
    since = *heard;
  }
  if (longest == nullptr) return false;
  give_up_session(now, longest->id());
  return true;
}

bool ServerRole::kick(Instant now, std::uint64_t id, std::string_view reason) {
  peer::ServerSession* session = find(id);
  if (session == nullptr) return false;
  worker_.log().info("session", "session {} is closed: {}", id, reason);
  session->close(now, session::CloseCode::done, reason);
  worker_.host().request_turn_end();
  return true;
}

drive::Counters ServerRole::stats() const {
  drive::Counters stats = stats_;
  stats.bytes_up = traffic_.from_stream;  // towards the source is up for a user
  stats.bytes_down = traffic_.to_stream;
  stats.udp_dropped += worker_.egress().dropped();
  stats.packets_stray = worker_.strays();
  stats.packets_unsent = worker_.transports().dropped();
  stats.handed_over = worker_.handed_over();
  stats.connections_active = worker_.endpoint().connection_count();
  stats.endpoint = worker_.endpoint().stats();
  return stats;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::create(Host& host, Logger& log, ServerConfig config,
                                               peer::ServerShared& shared) {
  const UdpOptions udp{.purpose = Purpose::process,
                       .bind = config.bind,
                       .is_shared = config.is_shared,
                       .is_dual_stack = config.bind.ip.is_v6() && config.bind.ip.is_unspecified(),
                       .has_large_buffers = true};
  std::vector<std::string> alpns = config.endpoint.alpns;
  auto own = std::make_unique<drive::Worker>(host, log);
  CULVERT_CHECK(own->open(std::move(config.endpoint), udp));
  drive::Worker& worker = *own;
  auto server = std::make_unique<ServerRole>(std::move(own), worker, shared);
  CULVERT_CHECK(worker.add_role(*server, std::move(alpns)));
  return server;
}

Result<std::unique_ptr<Server>> Server::create(drive::Worker& worker,
                                               std::vector<std::string> alpns,
                                               peer::ServerShared& shared) {
  auto server = std::make_unique<ServerRole>(nullptr, worker, shared);
  CULVERT_CHECK(worker.add_role(*server, std::move(alpns)));
  return server;
}

}  // namespace culvert::role
