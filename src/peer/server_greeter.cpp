#include "peer/server_greeter.h"

#include "base/limits.h"
#include "base/probe.h"
#include "session/dialect.h"

#include <utility>

namespace culvert::peer {

ServerGreeter::ServerGreeter(ServerContext& context, Instant now, quic::Connection& connection,
                             ServerGreeterOwner& owner)
    : context_(context),
      owner_(owner),
      connection_(&connection),
      remote_(connection.path().remote),
      linger_(context.worker.timers(), *this),
      deadline_(context.worker.timers(), *this) {
  deadline_.set(now + limits::kHandshakeTimeout);
}

ServerGreeter::~ServerGreeter() = default;

void ServerGreeter::on_event(Instant now, quic::Event& event) {
  if (const auto* completed = std::get_if<quic::HandshakeCompleted>(&event)) {
    on_transport_ready(now, *completed);
  } else if (const auto* opened = std::get_if<quic::StreamOpened>(&event)) {
    on_stream_opened(now, *opened->stream);
  } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
    if (auto* user = user_of(*reset->stream)) user->on_quic_reset(now, reset->code);
  } else if (const auto* closed_stream = std::get_if<quic::StreamClosed>(&event)) {
    if (auto* user = user_of(*closed_stream->stream)) user->on_quic_closed(now);
  } else if (const auto* changed = std::get_if<quic::PathChanged>(&event)) {
    remote_ = changed->path.remote;  // of a stranger, who may move as often as it likes
    context_.worker.log().debug("session", "a connection without a login moved to {}",
                                remote_.text());
  } else if (const auto* closed = std::get_if<quic::Closed>(&event)) {
    // Strangers come and go as they like, and a client dials several addresses at once.
    context_.worker.log().debug("session", "a connection from {} ended without a login: {}",
                                remote_.text(),
                                closed->reason.empty() ? closed->error.what : closed->reason);
    end();
  }
}

void ServerGreeter::on_readable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) {
    user->on_quic_readable(now);
  } else {
    stream.consume(stream.input.size());
  }
}

void ServerGreeter::on_writable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) user->on_quic_writable(now);
}

void ServerGreeter::on_datagram(Instant, ByteView) {
  ++context_.stats.udp_dropped;
}

void ServerGreeter::on_transport_ready(Instant now, const quic::HandshakeCompleted& completed) {
  const auto dialect = session::dialect_of(completed.alpn);
  if (!dialect) {  // the endpoint was told to accept a protocol that nobody here speaks
    close(now, session::CloseCode::protocol_error, "unknown application protocol");
    return;
  }
  dialect_ = *dialect;
  client_ = completed.peer;
  context_.worker.log().debug("session", "client {} connected from {} alpn={}",
                              client_.short_text(), remote_.text(), completed.alpn);
}

void ServerGreeter::on_stream_opened(Instant now, quic::Stream& stream) {
  // The place of the control stream comes back to a refused client that ends it.
  if (login_) {
    close(now, session::CloseCode::protocol_error, "a flow without authentication");
    return;
  }
  const auto exporter = export_auth_value(*connection_);
  if (!exporter) {
    close(now, session::CloseCode::protocol_error, "internal error");
    return;
  }
  login_ = std::make_unique<LoginStream>(
      context_.worker.timers(), stream,
      session::make_server_handshake(dialect_, handshake_config(), client_, *exporter,
                                     context_.worker.host().rng(), now),
      *this);
  login_->start(now);
}

session::ServerHandshakeConfig ServerGreeter::handshake_config() {
  policy_ = context_.policy;
  session::ServerHandshakeConfig config{
      .policy = {policy_, &policy_->auth},
      .max_flows = policy_->max_flows_per_session,
      .admits = [this](Instant now, const session::AuthIdentity& who) { return admit(now, who); },
      .gate = context_.shared.auth_gate,
      .address = remote_.ip};
  if (context_.shared.times.resume_grace > Duration::zero()) {
    config.resume = session::ResumeTerms{.grace = context_.shared.times.resume_grace,
                                         .worker = context_.worker_index};
    config.resume_keys = [&owner = owner_, client = client_](const session::SessionId& id) {
      return owner.resume_keys(client, id);
    };
  }
  return config;
}

session::Admittance ServerGreeter::admit(Instant now, const session::AuthIdentity& identity) {
  using session::Admittance;
  if (context_.is_stopping) return Admittance::server_full;
  const ServerPolicy& policy = *context_.policy;
  const std::size_t credentials = policy.auth.tokens.size() + policy.auth.keys.size() +
                                  policy.auth.endpoint_ids.size() +
                                  (policy.auth.allows_anyone ? 1 : 0);
  const session::SessionLimits limits{
      .sessions = policy.max_sessions,
      .per_credential = policy.max_sessions_per_credential != 0
                            ? policy.max_sessions_per_credential
                            : session::default_share(policy.max_sessions, credentials)};
  session::SessionGate& places = *context_.shared.places;
  const session::SessionGate::Candidate candidate{
      .session = context_.shared.next_session_id.fetch_add(1, std::memory_order_relaxed),
      .worker = context_.worker_index,
      .credential = identity.credential};
  auto verdict = places.admit(candidate, limits);
  if (verdict.admittance != Admittance::admitted) {
    // A client that was killed looks alive until the idle timeout.
    const bool is_share = verdict.admittance == Admittance::credential_full;
    if (!owner_.end_silent(now, is_share ? &identity.credential : nullptr)) {
      return verdict.admittance;
    }
    verdict = places.admit(candidate, limits);
  }
  if (verdict.admittance == Admittance::admitted) {
    place_ = SessionPlace(places, candidate.session);
  }
  if (const auto& leaver = verdict.leaver) {
    if (leaver->worker == context_.worker_index) {
      owner_.on_place_lost(now, leaver->session);
    } else if (context_.shared.give_up_elsewhere) {
      context_.shared.give_up_elsewhere(leaver->worker, leaver->session);
    }
  }
  return verdict.admittance;
}

void ServerGreeter::on_verdict(Instant now, session::Verdict& verdict) {
  if (auto* authenticated = std::get_if<session::Authenticated>(&verdict)) {
    succeed(now, std::move(*authenticated));
  } else if (const auto* resumed = std::get_if<session::Resumed>(&verdict)) {
    succeed(now, *resumed);
  } else if (const auto* joined = std::get_if<session::Joined>(&verdict)) {
    succeed(now, *joined);
  } else if (auto* refused = std::get_if<session::Refused>(&verdict)) {
    on_refused(now, *refused);
  } else if (const auto* failed = std::get_if<session::Failed>(&verdict)) {
    refuse(now, failed->code, failed->error);
  }
}

template <typename Outcome>
void ServerGreeter::succeed(Instant now, Outcome outcome) {
  linger_.cancel();
  deadline_.cancel();
  Greeted greeted{
      .connection = *std::exchange(connection_, nullptr),
      .control = std::make_unique<ControlStream>(context_.worker.timers(), login_->hand_over(),
                                                 dialect_, session::ControlEnd::server),
      .client = client_,
      .remote = remote_,
      .outcome = std::move(outcome),
      .place = std::move(place_),
      .policy = std::move(policy_)};
  owner_.on_greeted(now, *this, std::move(greeted));
}

// The client shall hear why, and has a moment for it.
void ServerGreeter::on_refused(Instant now, session::Refused& refused) {
  ++context_.stats.sessions_refused;
  const session::AuthVerdict& verdict = refused.verdict;
  if (verdict.is_worth_logging) {
    context_.worker.log().warn("session", "{} from {} ({}){}{}", refused.reason,
                               client_.short_text(), remote_.text(),
                               verdict.is_rate_limited() ? ": " : "",
                               verdict.is_rate_limited() ? to_string(verdict.decision) : "");
  }
  tell(RoleEventKind::session_refused, refused.reason);
  audit({.proof = refused.kind,
         .code = refused.code,
         .reason = refused.reason,
         .retry_after_s = refused.retry_after_s});
  linger_code_ = refused.code;
  linger_reason_ = std::move(refused.reason);
  deadline_.cancel();  // it has had its answer
  linger_.set(now + limits::kRefusalLinger);
}

void ServerGreeter::refuse(Instant now, session::CloseCode code, const Error& error) {
  ++context_.stats.sessions_refused;
  if (context_.broken_handshakes.admits(now)) {
    context_.worker.log().warn("session", "client {} ({}): {}", client_.short_text(),
                               remote_.text(), error.text());
  }
  tell(RoleEventKind::session_refused, error.what);
  audit({.code = code, .reason = error.what});
  close(now, code, error.what);
}

// Whatever the client has opened or said meanwhile.
void ServerGreeter::on_deadline(Instant now) {
  refuse(now, session::CloseCode::auth_timeout, session::no_authentication_in_time());
}

void ServerGreeter::on_linger(Instant now) {
  close(now, linger_code_, linger_reason_);
}

void ServerGreeter::tell(RoleEventKind kind, std::string_view detail) const {
  peer::tell(context_.shared.events, [&] {
    return RoleEvent{.kind = kind,
                     .peer = client_.text(),
                     .address = remote_.text(),
                     .detail = std::string(detail)};
  });
}

void ServerGreeter::audit(AuthRecord record) const {
  if (context_.shared.audit == nullptr) return;
  record.client = {.id = client_, .address = remote_, .dialect = dialect_};
  context_.shared.audit->on_auth(record);
}

void ServerGreeter::close(Instant now, session::CloseCode code, std::string_view reason) {
  if (connection_ == nullptr) return;
  connection_->close(now, static_cast<std::uint64_t>(code), reason);
  end();
}

void ServerGreeter::end() {
  linger_.cancel();
  deadline_.cancel();
  if (login_) login_->release();
  context_.worker.detach(*std::exchange(connection_, nullptr));
  owner_.on_not_greeted(*this);
}

}  // namespace culvert::peer
