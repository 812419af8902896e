#include "peer/server_session.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/flow_codes.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::peer {
namespace {

std::uint64_t number(session::CloseCode code) {
  return static_cast<std::uint64_t>(code);
}

}  // namespace

ServerSession::ServerSession(ServerContext& context, Greeted greeted, SessionOwner& owner)
    : context_(context),
      gate_(context, *this),
      core_(context.worker,
            {.flows_active = context.stats.flows_active,
             .flows_dropped = context.stats.flows_dropped,
             .udp_dropped = context.stats.udp_dropped,
             .connections_unread = context.stats.connections_unread},
            *this),
      joined_(context.worker, *this),
      peer_(greeted.client),
      remote_(greeted.remote),
      owner_(owner),
      place_(std::move(greeted.place)),
      grace_(context.worker.timers(), *this) {
  auto& authenticated = std::get<session::Authenticated>(greeted.outcome);
  dialect_ = authenticated.dialect;
  identity_ = std::move(authenticated.identity);
  terms_ = authenticated.resume;
  session_id_ = authenticated.session_id;
  core_.adopt(greeted.connection, std::move(greeted.control), *this, *this);
}

ServerSession::~ServerSession() = default;

void ServerSession::begin(Instant now) {
  quic::Connection& connection = *core_.connection();
  begun_at_ = now;
  ++context_.stats.sessions_accepted;
  ++context_.stats.sessions_active;
  if (terms_) {
    keys_ = {export_resume_key(connection)};
    resume_talk_.emplace(core_.control()->channel(), false);
    core_.lanes().add(now, connection);
  }
  open_up(connection);
  context_.worker.log().info("session", "Client {} authenticated by {}{}{} from {}", peer_.text(),
                             to_string(identity_.kind), identity_.comment.empty() ? "" : " of ",
                             identity_.comment, remote_.text());
  tell(RoleEventKind::session_opened, identity_.comment);
  if (context_.shared.audit == nullptr) return;
  context_.shared.audit->on_auth({.client = audited_client(),
                                  .proof = identity_.kind,
                                  .comment = identity_.comment,
                                  .is_accepted = true});
}

void ServerSession::on_event(Instant now, quic::Event& event) {
  if (const auto* changed = std::get_if<quic::PathChanged>(&event)) {
    remote_ = changed->path.remote;
    context_.worker.log().info("session", "client {} moved to {}", peer_.short_text(),
                               remote_.text());
    ++context_.stats.path_changes;
    tell(RoleEventKind::path_changed, "");
  } else if (const auto* closed = std::get_if<quic::Closed>(&event)) {
    on_closed(now, *closed);
  } else {
    core_.on_stream_event(now, event);
  }
}

void ServerSession::on_closed(Instant now, const quic::Closed& closed) {
  const std::string& why = closed.reason.empty() ? closed.error.what : closed.reason;
  // With an application code the client has ended the session itself; but it may not know that
  // it has resumed it here.
  const bool may_come_back =
      !closed.application_code ||
      (*closed.application_code == number(session::CloseCode::moved) && keys_.size() > 1);
  if (terms_ && may_come_back && !context_.is_stopping) {
    context_.worker.log().info(
        "session", "client {} lost: {}; its {} flows wait {} s", peer_.short_text(), why,
        core_.flows().size(),
        std::chrono::duration_cast<std::chrono::seconds>(terms_->grace).count());
    claims_.end();
    core_.suspend(now);
    resume_talk_.reset();
    ++context_.stats.sessions_suspended;
    place_.suspend(now);
    tell(RoleEventKind::session_lost, why);
    grace_.set(now + terms_->grace);
    return;
  }
  context_.worker.log().info("session", "client {} disconnected: {}", peer_.short_text(), why);
  end_reason_ = why;
  end(now);
}

void ServerSession::on_flow_stream(quic::Stream& stream) {
  context_.flows.read_head(*this, stream);
}

std::optional<Instant> ServerSession::heard_at() const {
  const quic::Connection* connection = core_.connection();
  if (connection == nullptr || !joined_.connections().empty()) return std::nullopt;
  return connection->liveness().heard_at;
}

void ServerSession::on_control(Instant now) {
  if (const auto leaving = core_.control()->channel().poll_leaving()) {
    context_.worker.log().debug("session", "client {} says goodbye: {}", peer_.short_text(),
                                leaving->reason);
  }
  const auto event = resume_talk_ ? resume_talk_->poll_event() : std::nullopt;
  if (!event) return;
  if (const auto* done = std::get_if<session::ResumeDone>(&*event))
    on_resume_done(now, done->count);
  if (const auto* gone = std::get_if<session::FlowsGone>(&*event)) on_flows_gone(now, gone->ids);
}

void ServerSession::on_control_failed(Instant now, const session::ChannelFailure& failure) {
  core_.count(failure);
  ++context_.stats.sessions_refused;
  if (context_.broken_handshakes.admits(now)) {
    context_.worker.log().warn("session", "client {} ({}): {}", peer_.short_text(), remote_.text(),
                               failure.error.text());
  }
  tell(RoleEventKind::session_refused, failure.error.what);
  close(now, session::CloseCode::protocol_error, failure.error.what);
}

void ServerSession::tell(RoleEventKind kind, std::string_view detail) const {
  peer::tell(context_.shared.events, [&] {
    return RoleEvent{.kind = kind,
                     .session = id(),
                     .peer = peer_.text(),
                     .address = remote_.text(),
                     .detail = std::string(detail)};
  });
}

SessionSnapshot ServerSession::snapshot() const {
  SessionSnapshot snapshot{.id = id(),
                           .client = peer_,
                           .comment = identity_.comment,
                           .address = remote_.text(),
                           .since = begun_at_,
                           .flows = core_.flows().size(),
                           .buffered_bytes = core_.lanes().buffered_bytes()};
  if (const quic::Connection* connection = core_.connection()) {
    snapshot.path = connection->path();
    snapshot.connection = connection->stats();
  }
  for (const quic::Connection* joined : joined_.connections()) {
    snapshot.joined.push_back({.path = joined->path(),
                               .connection = joined->stats(),
                               .is_standby = !uses_several_paths_});
  }
  return snapshot;
}

// Flows may be opened now.
void ServerSession::open_up(quic::Connection& connection) {
  const std::uint64_t streams = context_.policy->max_flows_per_session + limits::kSpareStreams;
  context_.worker.endpoint().set_authenticated(connection);
  core_.lanes().share_budget(connection);
  connection.allow_streams(streams);
  // A FlowOpen that was lost is sent again within few round trips; in each the client may open
  // as many flows as it has streams.
  gate_.seen().widen(4 * streams);
}

AuditedClient ServerSession::audited_client() const {
  return {.id = peer_, .address = remote_, .dialect = dialect_};
}

void ServerSession::on_policy_changed(Instant now, const session::CredentialCheck& credentials) {
  if (has_ended_ || context_.policy->keeps_revoked) return;
  if (!credentials.lets_in(identity_)) {
    context_.worker.log().warn("session", "client {}: its credential was revoked, session ends",
                               peer_.short_text());
    close(now, session::CloseCode::auth_failed, "the credential was revoked");
    return;
  }
  for (StreamUser* flow : core_.flows().all()) flow->on_policy_changed(now);
}

// --- from one connection to the next -------------------------------------------------------------

std::vector<session::ResumeKey> ServerSession::resume_keys() const {
  const ServerPolicy& policy = *context_.policy;
  // A change of the policy ends what it revokes; this is the second line of defence, and what
  // a session kept by keeps_revoked does not need.
  const bool is_revoked =
      !policy.keeps_revoked && !session::CredentialCheck(policy.auth).lets_in(identity_);
  return is_revoked ? std::vector<session::ResumeKey>{} : keys_;
}

void ServerSession::join(Instant now, Greeted greeted) {
  const auto& joined = std::get<session::Joined>(greeted.outcome);
  if (joined_.add(now, greeted.connection, std::move(greeted.control), joined)) {
    open_up(greeted.connection);
  }
}

void ServerSession::resume(Instant now, Greeted greeted) {
  remote_ = greeted.remote;
  take_over(now, greeted.connection, std::move(greeted.control),
            std::get<session::Resumed>(greeted.outcome).key_index);
}

// One of the connections that have joined becomes the session's own.
void ServerSession::on_promoted(Instant now, quic::Connection& connection,
                                std::unique_ptr<ControlStream> control, std::size_t key_index) {
  remote_ = connection.path().remote;
  take_over(now, connection, std::move(control), key_index);
}

void ServerSession::take_over(Instant now, quic::Connection& connection,
                              std::unique_ptr<ControlStream> control, std::size_t key_index) {
  claims_.end();
  if (core_.connection() != nullptr) {
    // Its control stream and its resumption have no more say: their news would be about keys
    // and flows as they were.
    CULVERT_PROBE("peer.a client is back before its connection was lost");
    core_.replace(now, true);
  } else {
    grace_.cancel();
    --context_.stats.sessions_suspended;
    place_.resume();
  }
  core_.adopt(connection, std::move(control), *this, *this);
  resume_talk_.emplace(core_.control()->channel(), true);
  if (!core_.lanes().has(connection)) core_.lanes().add(now, connection);
  if (key_index > 0) CULVERT_PROBE("peer.a client never heard that it was resumed");
  keys_ = {export_resume_key(connection), keys_[key_index]};
  claims_.begin();
  ++context_.stats.sessions_resumed;
  tell(RoleEventKind::session_resumed, "");
  open_up(connection);
  context_.worker.log().info("session", "client {} is back from {}: {} flows wait",
                             peer_.short_text(), remote_.text(), core_.parked().size());
}

void ServerSession::on_beyond_share(Instant now) {
  CULVERT_PROBE("peer.a server resets what waits beyond a session's share");
  context_.worker.warnings().warn(
      now, fmt::format("more than {} KiB of client {} wait to be read: a flow is reset",
                       core_.lanes().budget().parked_limit() >> 10, peer_.short_text()));
}

void ServerSession::on_flow_open(Instant now, quic::Stream& stream, const session::FlowOpen& open) {
  if (open.multipath != Multipath::fastest) uses_several_paths_ = true;
  if (open.multipath != Multipath::fastest && !open.is_udp()) {
    join_flow(now, stream, open);
  } else if (stream.owner != core_.connection()) {
    // Only striped flows may use other connections than the session's own.
    CULVERT_PROBE("peer.a plain flow on a connection that has joined");
    stream.reset(kProtocolError);
    stream.stop_sending(kProtocolError);
  } else if (open.resume) {
    resume_flow(now, stream, open);
  } else {
    start_flow(now, stream, open);
  }
}

void ServerSession::join_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open) {
  Stripe* stripe = core_.lanes().find_stripe(open.flow_id);
  if (stripe == nullptr) {
    if (!terms_ || !terms_->is_multipath || gate_.seen().contains(open.flow_id)) {
      CULVERT_PROBE("peer.a leg of a striped flow that is over");
      stream.reset(kUnknown);
      return;
    }
    stripe = &core_.lanes().add_stripe(
        open.flow_id,
        {.mode = open.multipath, .orphan_timeout = terms_->grace + limits::kOrphanTimeout});
    if (const auto source = gate_.admit(now, *stripe, open)) {
      start_stream_flow(now, *stripe, *source);
    }
  }
  core_.lanes().attach(now, *stripe, stream);
}

void ServerSession::resume_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open) {
  const session::FlowResume& resume = *open.resume;
  quic::Stream* parked = claims_.is_open() ? core_.parked().find(open.flow_id) : nullptr;
  context_.worker.log().debug("flow", "resume {} from {} received={}{}", open.flow_id, resume.start,
                              resume.received, parked == nullptr ? ": not waiting" : "");
  if (parked == nullptr) {
    const bool is_new = terms_ && !gate_.seen().contains(open.flow_id) && resume.received == 0 &&
                        resume.start == 0 && !open.source.empty();
    if (is_new) {
      CULVERT_PROBE("peer.a flow is new where it resumes");
      start_flow(now, stream, open);
    } else {
      CULVERT_PROBE("peer.a flow is over where it resumes");
      stream.reset(kUnknown);
    }
    claim(now, open.flow_id);
    return;
  }
  const buffers::SendBuffer& output = parked->output;
  const std::uint64_t received = parked->input.end_offset();
  const bool fits = (parked->is_input_dropped || resume.start <= received) &&
                    (parked->is_output_over || (resume.received >= output.delivered_offset() &&
                                                resume.received <= output.end_offset()));
  if (!fits) {
    CULVERT_PROBE("peer.a flow resumes where it never was");
    context_.worker.warnings().warn(
        now, fmt::format("client {} resumes a flow where it never was", peer_.short_text()));
    core_.drop(now, *parked);
    static_cast<void>(core_.parked().remove(open.flow_id));
    stream.reset(kProtocolError);
    stream.stop_sending(kProtocolError);
    claim(now, open.flow_id);
    return;
  }
  const auto old = core_.parked().remove(open.flow_id);
  const bool is_over = old->is_output_over;
  core_.connection()->inherit(
      stream, *old,
      {.output_from = is_over ? output.end_offset() : resume.received,
       .input_skip =
           old->is_input_dropped ? 0 : static_cast<std::size_t>(received - resume.start)});
  if (is_over) stream.reset(kReset);
  if (auto* user = user_of(stream)) {
    user->on_resumed(now, stream);
    if (auto* still = user_of(stream)) still->on_quic_readable(now);
  }
  claim(now, open.flow_id);
}

void ServerSession::on_flows_gone(Instant now, const std::vector<std::uint64_t>& ids) {
  for (const std::uint64_t id : ids) {
    if (Stripe* stripe = core_.lanes().find_stripe(id)) {
      stripe->end_by_peer(now, kReset);
      continue;
    }
    if (!claims_.is_open()) continue;
    if (quic::Stream* parked = core_.parked().find(id)) {
      CULVERT_PROBE("peer.a parked flow is named as gone");
      core_.drop(now, *parked);
      static_cast<void>(core_.parked().remove(id));
    }
    claim(now, id);
  }
}

void ServerSession::on_resume_done(Instant now, std::uint64_t count) {
  if (!claims_.is_open()) return;
  keys_.resize(1);  // the client knows this connection's
  claims_.expect(count);
  finish_resuming(now);
}

void ServerSession::claim(Instant now, std::uint64_t flow_id) {
  if (!claims_.is_open()) return;
  // As many flows as it may have, those that it has refused included.
  const std::size_t most = 2 * (context_.policy->max_flows_per_session + limits::kSpareStreams);
  if (!claims_.add(flow_id, most)) {
    CULVERT_PROBE("peer.too many flows are resumed");
    close(now, session::CloseCode::protocol_error, "too many flows are resumed");
    return;
  }
  finish_resuming(now);
}

// What the client did not ask for is over there: in order, when it had sent and got
// everything; otherwise it was reset, and the news was lost with the connection.
void ServerSession::finish_resuming(Instant now) {
  if (!claims_.is_complete()) return;
  claims_.end();
  while (!core_.parked().is_empty()) {
    quic::Stream& stream = core_.parked().front();
    if (has_ended_in_order(stream)) {
      CULVERT_PROBE("peer.a flow that nobody claims ended in order");
      core_.parked().let_finish(stream.flow_id);
    } else {
      CULVERT_PROBE("peer.a flow that nobody claims is reset");
      core_.drop(now, stream);
      static_cast<void>(core_.parked().remove(stream.flow_id));
    }
  }
  context_.worker.log().info("session", "client {} resumed its session: {} flows continue",
                             peer_.short_text(), core_.flows().size());
}

void ServerSession::on_grace_over(Instant now) {
  CULVERT_PROBE("peer.a server's grace is over");
  context_.worker.log().info("session", "client {} did not come back: {} flows were reset",
                             peer_.short_text(), core_.flows().size());
  --context_.stats.sessions_suspended;
  end_reason_ = "it did not come back in time";
  end(now);
}

// --- flows -----------------------------------------------------------------------------------

void ServerSession::start_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open) {
  const auto source = gate_.admit(now, stream, open);
  if (!source) return;
  if (source->protocol != tunnel::Protocol::udp) {
    start_stream_flow(now, stream, *source);
    return;
  }
  if (dialect_ == session::Dialect::culvert_1 && core_.has_datagram_user(open.flow_id)) {
    gate_.refuse(now, stream, open.source, session::RefusalCode::malformed,
                 "this flow id is in use");
    return;
  }
  ++context_.stats.flows_opened;
  context_.flows.start_udp_flow(*this, stream, open, *source);
}

void ServerSession::start_stream_flow(Instant now, buffers::ByteStream& stream,
                                      const tunnel::Source& source) {
  ++context_.stats.flows_opened;
  context_.flows.start_stream_flow(now, *this, stream, source);
}

// --- the end ---------------------------------------------------------------------------------

void ServerSession::leave() {
  if (ControlStream* control = core_.control()) {
    control->channel().leave("the server is shutting down");
  }
}

void ServerSession::close(Instant now, session::CloseCode code, std::string_view reason) {
  end_reason_ = reason;
  if (quic::Connection* connection = core_.connection()) {
    connection->close(now, number(code), reason);
  }
  end(now);
}

void ServerSession::end(Instant now) {
  if (has_ended_) return;
  has_ended_ = true;
  if (grace_.is_set()) {
    grace_.cancel();
    --context_.stats.sessions_suspended;
  }
  place_.leave();
  --context_.stats.sessions_active;
  tell(RoleEventKind::session_closed, end_reason_);
  core_.end_flows(now);
  joined_.end(now);
  core_.let_go();
  resume_talk_.reset();
  owner_.on_session_ended(now, *this);
}

}  // namespace culvert::peer
