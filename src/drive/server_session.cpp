#include "drive/server_session.h"

#include "base/assert.h"
#include "drive/server_flow.h"
#include "session/dialect.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::drive {
namespace {

// How long a refused client may take to read the refusal before the connection closes.
constexpr Duration kRefusalLinger = std::chrono::seconds(2);

std::uint64_t number(session::CloseCode code) {
  return static_cast<std::uint64_t>(code);
}

}  // namespace

ServerSession::ServerSession(ServerContext& context, quic::Connection& connection,
                             SessionOwner& owner)
    : context_(context),
      connection_(connection),
      owner_(owner),
      flows_(context.graveyard),
      linger_(context.worker.timers(), *this) {}

ServerSession::~ServerSession() = default;

void ServerSession::on_event(Instant now, quic::Event& event) {
  if (const auto* completed = std::get_if<quic::HandshakeCompleted>(&event)) {
    const auto dialect = session::dialect_of(completed->alpn);
    CULVERT_ASSERT(dialect.has_value());  // TLS agreed on one of ours
    dialect_ = *dialect;
    context_.worker.log().debug("session", "client {} connected from {} alpn={}",
                                completed->peer.short_text(), connection_.path().remote.text(),
                                completed->alpn);
  } else if (const auto* opened = std::get_if<quic::StreamOpened>(&event)) {
    on_stream_opened(now, *opened->stream);
  } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
    if (auto* user = user_of(*reset->stream)) user->on_quic_reset(now, reset->code);
  } else if (const auto* stop = std::get_if<quic::StopSending>(&event)) {
    if (auto* user = user_of(*stop->stream)) user->on_quic_stop_sending(now, stop->code);
  } else if (const auto* closed_stream = std::get_if<quic::StreamClosed>(&event)) {
    if (auto* user = user_of(*closed_stream->stream)) {
      user->on_quic_closed(now);
      retire(now, *user);
    }
  } else if (const auto* changed = std::get_if<quic::PathChanged>(&event)) {
    context_.worker.log().info("session", "client {} moved to {}", connection_.peer().short_text(),
                               changed->path.remote.text());
  } else if (const auto* closed = std::get_if<quic::Closed>(&event)) {
    context_.worker.log().info("session", "client {} disconnected: {}",
                               connection_.peer().short_text(),
                               closed->reason.empty() ? closed->error.what : closed->reason);
    end(now);
  }
}

void ServerSession::on_stream_opened(Instant now, quic::Stream& stream) {
  if (control_) {
    flows_.add(std::make_unique<ServerFlowHead>(*this, stream));
    return;
  }
  const auto exporter = export_auth_value(connection_);
  if (!exporter) {
    close(now, session::CloseCode::protocol_error, "internal error");
    return;
  }
  const session::ServerHandshakeConfig config{.policy = &context_.shared.auth,
                                              .max_flows = context_.shared.max_flows_per_session,
                                              .admits = [this] { return admit(); },
                                              .gate = context_.shared.auth_gate,
                                              .address = connection_.path().remote.ip};
  control_ = std::make_unique<ControlStream>(
      context_.worker, connection_, stream,
      session::make_server_handshake(dialect_, config, connection_.peer(), *exporter,
                                     context_.worker.host().rng(), now),
      *this);
  control_->start(now);
}

void ServerSession::on_readable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) {
    user->on_quic_readable(now);
  } else {
    connection_.consume(stream, stream.input.size());
  }
}

void ServerSession::on_writable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) user->on_quic_writable(now);
}

void ServerSession::on_datagram(Instant now, ByteView datagram) {
  const auto header = session::decode_datagram_header(datagram);
  const auto flow = header ? udp_flows_.find(header->value) : udp_flows_.end();
  if (flow == udp_flows_.end()) {
    ++context_.stats.udp_dropped;  // a flow that has just ended, or nonsense
    return;
  }
  flow->second->on_datagram(now, datagram.subspan(header->size));
}

// --- authentication --------------------------------------------------------------------------

bool ServerSession::admit() {
  if (context_.is_stopping) return false;
  auto& sessions = context_.shared.sessions;
  std::uint32_t count = sessions.load(std::memory_order_relaxed);
  while (count < context_.shared.max_sessions) {
    if (sessions.compare_exchange_weak(count, count + 1, std::memory_order_relaxed)) {
      is_admitted_ = true;
      return true;
    }
  }
  return false;
}

void ServerSession::on_handshake_event(Instant now, session::HandshakeEvent& event) {
  if (const auto* authenticated = std::get_if<session::Authenticated>(&event)) {
    on_authenticated(*authenticated);
  } else if (auto* refused = std::get_if<session::Refused>(&event)) {
    ++context_.stats.sessions_refused;
    const session::AuthVerdict& verdict = refused->verdict;
    if (verdict.is_worth_logging) {
      context_.worker.log().warn("session", "{} from {} ({}){}{}", refused->reason,
                                 connection_.peer().short_text(), connection_.path().remote.text(),
                                 verdict.is_rate_limited() ? ": " : "",
                                 verdict.is_rate_limited() ? to_string(verdict.decision) : "");
    }
    audit_auth({.proof = refused->kind,
                .code = refused->code,
                .reason = refused->reason,
                .retry_after_s = refused->retry_after_s});
    linger_code_ = refused->code;
    linger_reason_ = std::move(refused->reason);
    linger_.set(now + kRefusalLinger);
  } else if (const auto* failed = std::get_if<session::Failed>(&event)) {
    ++context_.stats.sessions_refused;
    if (context_.broken_handshakes.admits(now)) {
      context_.worker.log().warn("session", "client {} ({}): {}", connection_.peer().short_text(),
                                 connection_.path().remote.text(), failed->error.text());
    }
    if (!is_authenticated_) audit_auth({.code = failed->code, .reason = failed->error.what});
    close(now, failed->code, failed->error.what);
  } else if (const auto* leaving = std::get_if<session::PeerLeaving>(&event)) {
    context_.worker.log().debug("session", "client {} says goodbye: {}",
                                connection_.peer().short_text(), leaving->reason);
  }
}

void ServerSession::on_authenticated(const session::Authenticated& authenticated) {
  is_authenticated_ = true;
  dialect_ = authenticated.dialect;
  ++context_.stats.sessions_accepted;
  ++context_.stats.sessions_active;
  context_.worker.endpoint().set_authenticated(connection_);
  // The control stream keeps its place while it is open; heads of refused flows need some
  // as well, so that the refusal and not the credit tells the client about a limit.
  constexpr std::uint64_t kSpareStreams = 64;
  connection_.allow_streams(context_.shared.max_flows_per_session + kSpareStreams);
  const std::string& comment = authenticated.identity.comment;
  context_.worker.log().info("session", "Client {} authenticated successfully{}{}",
                             connection_.peer().text(), comment.empty() ? "" : " as ", comment);
  audit_auth({.proof = authenticated.identity.kind, .comment = comment, .is_accepted = true});
}

AuditedClient ServerSession::audited_client() const {
  return {.id = connection_.peer(), .address = connection_.path().remote, .dialect = dialect_};
}

void ServerSession::audit_auth(AuthRecord record) const {
  if (context_.shared.audit == nullptr) return;
  record.client = audited_client();
  context_.shared.audit->on_auth(record);
}

void ServerSession::audit_flow(FlowRecord record) const {
  if (context_.shared.audit == nullptr) return;
  record.client = audited_client();
  context_.shared.audit->on_flow(record);
}

void ServerSession::on_linger(Instant now) {
  close(now, linger_code_, linger_reason_);
}

// --- flows -----------------------------------------------------------------------------------

void ServerSession::start_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open) {
  Logger& log = context_.worker.log();
  log.debug("flow", "Source request: {}", session::bounded_reason(open.source));
  if (context_.is_stopping) {
    refuse_flow(stream, open.source, session::RefusalCode::shutting_down,
                "the server is shutting down");
    return;
  }
  // The head itself is still in the set.
  if (flows_.size() > context_.shared.max_flows_per_session) {
    refuse_flow(
        stream, open.source, session::RefusalCode::limit,
        fmt::format("Session limit reached ({} flows)", context_.shared.max_flows_per_session));
    return;
  }
  const auto source = tunnel::Source::parse(open.source);
  if (!source) {
    refuse_flow(stream, open.source, session::RefusalCode::malformed, source.error().text());
    return;
  }
  const bool is_udp = source->protocol == tunnel::Protocol::udp;
  if (is_udp && dialect_ == session::Dialect::culvert_1 && has_udp_flow(open.flow_id)) {
    refuse_flow(stream, open.source, session::RefusalCode::malformed, "this flow id is in use");
    return;
  }
  ++context_.stats.flows_opened;
  ++context_.stats.flows_active;
  if (is_udp) {
    flows_.add(std::make_unique<ServerUdpFlow>(*this, stream, open.flow_id, *source));
  } else {
    flows_.add(std::make_unique<ServerStreamFlow>(*this, stream, *source)).start(now);
  }
}

void ServerSession::accept_flow(quic::Stream& stream, std::string_view source,
                                const std::string& dialled) {
  audit_flow({.source = source, .is_accepted = true, .dialled = dialled});
  Bytes reply;
  session::encode_flow_reply(dialect_, session::FlowAccepted{dialled}, reply);
  stream.output.append(reply);
  connection_.submit(stream);
  context_.worker.touch(connection_);
}

void ServerSession::refuse_flow(quic::Stream& stream, std::string_view source,
                                session::RefusalCode code, const std::string& reason) {
  audit_flow({.source = source, .reason = reason});
  ++context_.stats.flows_refused;
  context_.worker.log().warn("flow", "Refused: {}", reason);
  Bytes reply;
  session::encode_flow_reply(dialect_, session::FlowRefused{code, reason}, reply);
  stream.output.append(reply);
  connection_.submit(stream);
  connection_.finish(stream);
  connection_.stop_sending(stream, static_cast<std::uint64_t>(session::FlowCode::refused));
  stream.context = nullptr;
  context_.worker.touch(connection_);
}

void ServerSession::retire(Instant now, StreamUser& flow) {
  if (!flows_.retire(flow) || !flow.is_flow()) return;
  --context_.stats.flows_active;
  owner_.on_flow_ended(now);
}

// --- the end ---------------------------------------------------------------------------------

void ServerSession::leave(Instant now) {
  if (control_) control_->leave(now, "the server is shutting down");
}

void ServerSession::close(Instant now, session::CloseCode code, std::string_view reason) {
  connection_.close(now, number(code), reason);
  context_.worker.touch(connection_);
  end(now);
}

void ServerSession::end(Instant now) {
  if (has_ended_) return;
  has_ended_ = true;
  linger_.cancel();
  if (is_admitted_) context_.shared.sessions.fetch_sub(1, std::memory_order_relaxed);
  if (is_authenticated_) --context_.stats.sessions_active;
  while (StreamUser* flow = flows_.any()) {
    flow->on_quic_closed(now);
    retire(now, *flow);
  }
  if (control_) {
    control_->release();
    context_.graveyard.push_back(std::move(control_));
  }
  context_.worker.detach(connection_);
  owner_.on_session_ended(now, *this);
}

}  // namespace culvert::drive
