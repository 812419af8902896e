#include "drive/client_session.h"

#include "drive/client_flow.h"
#include "session/flow_open.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::drive {
namespace {

// Connections that were accepted locally while the server grants no stream.
constexpr std::size_t kMaxWaitingFlows = 1024;
// Longer than a path validation takes to fail (3 PTO, RFC 9000 8.2.4) on common paths.
constexpr Duration kMigrationCheck = std::chrono::seconds(2);

}  // namespace

ClientSession::ClientSession(ClientContext& context, const SocketAddress& server,
                             ClientSessionOwner& owner)
    : context_(context),
      server_(server),
      owner_(owner),
      flows_(context.graveyard),
      dialect_(context.config.dialect),
      migration_check_(context.worker.timers(), *this) {}

ClientSession::~ClientSession() {
  if (connection_ != nullptr && !has_ended_) context_.worker.detach(*connection_);
}

Status ClientSession::dial(Instant now) {
  const quic::ConnectOptions options{.peer = context_.config.server,
                                     .alpn = std::string(session::alpn(dialect()))};
  CULVERT_TRY(connection_, context_.worker.connect(now, server_, options, *this));
  return {};
}

void ClientSession::on_event(Instant now, quic::Event& event) {
  if (std::holds_alternative<quic::HandshakeCompleted>(event)) {
    on_transport_ready(now);
  } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
    if (auto* user = user_of(*reset->stream)) user->on_quic_reset(now, reset->code);
  } else if (const auto* stop = std::get_if<quic::StopSending>(&event)) {
    if (auto* user = user_of(*stop->stream)) user->on_quic_stop_sending(now, stop->code);
  } else if (const auto* closed_stream = std::get_if<quic::StreamClosed>(&event)) {
    if (auto* user = user_of(*closed_stream->stream)) {
      user->on_quic_closed(now);
      retire(now, *user);
    }
  } else if (std::holds_alternative<quic::StreamsAvailable>(event)) {
    start_waiting(now);
  } else if (const auto* opened = std::get_if<quic::StreamOpened>(&event)) {
    // Servers open no streams in either dialect.
    connection_->stop_sending(*opened->stream, 0);
    connection_->reset(*opened->stream, 0);
  } else if (const auto* changed = std::get_if<quic::PathChanged>(&event)) {
    context_.worker.log().info("path", "connection moved to {} -> {}", changed->path.local.text(),
                               changed->path.remote.text());
    ++context_.stats.path_changes;
    tell(context_.config.events, [&] {
      return RoleEvent{.kind = RoleEventKind::path_changed,
                       .address = changed->path.remote.text(),
                       .detail = "from " + changed->path.local.text()};
    });
  } else if (auto* closed = std::get_if<quic::Closed>(&event)) {
    Error error = std::move(closed->error);
    if (closed->application_code) {
      const auto code = static_cast<session::CloseCode>(*closed->application_code);
      const bool is_refusal = code == session::CloseCode::auth_failed ||
                              code == session::CloseCode::auth_timeout ||
                              code == session::CloseCode::rate_limited;
      error.kind = is_refusal          ? ErrorKind::authentication
                   : is_authenticated_ ? ErrorKind::lost
                                       : ErrorKind::refused;
      error.what = fmt::format("the server closed the connection: {} (code {})", closed->reason,
                               *closed->application_code);
    } else if (is_authenticated_ && error.kind != ErrorKind::cancelled) {
      error.kind = ErrorKind::lost;
    }
    end(now, std::move(error));
  }
}

void ClientSession::on_transport_ready(Instant now) {
  owner_.on_transport_ready(now, *this);
  if (has_ended_) return;  // another address won
  const auto exporter = export_auth_value(*connection_);
  quic::Stream* stream = connection_->open_stream();
  if (!exporter || stream == nullptr) {
    close(now, session::CloseCode::protocol_error, "no control stream");
    end(now, Error{ErrorKind::protocol, "the server grants no stream for authentication", {}});
    return;
  }
  control_ = std::make_unique<ControlStream>(
      context_.worker, *connection_, *stream,
      session::make_client_handshake(dialect(), context_.config.credentials, *exporter,
                                     context_.worker.host().rng(), now),
      *this);
  control_->start(now);
}

void ClientSession::on_handshake_event(Instant now, session::HandshakeEvent& event) {
  if (const auto* authenticated = std::get_if<session::Authenticated>(&event)) {
    is_authenticated_ = true;
    dialect_ = authenticated->dialect;
    context_.worker.endpoint().set_authenticated(*connection_);
    owner_.on_authenticated(now, *this);
  } else if (const auto* refused = std::get_if<session::Refused>(&event)) {
    const bool is_limit = refused->code == session::CloseCode::session_limit;
    std::string text = fmt::format("Authentication rejected: {}", refused->reason);
    if (refused->retry_after_s > 0) {
      text += fmt::format(" (try again in {} s)", refused->retry_after_s);
    }
    if (is_limit) text = refused->reason;
    close(now, session::CloseCode::done, "refused");
    end(now, Error{is_limit ? ErrorKind::refused : ErrorKind::authentication, std::move(text),
                   server_.text()});
  } else if (auto* failed = std::get_if<session::Failed>(&event)) {
    close(now, failed->code, failed->error.what);
    end(now, std::move(failed->error));
  } else if (const auto* leaving = std::get_if<session::PeerLeaving>(&event)) {
    context_.worker.log().info("session", "the server says goodbye: {}", leaving->reason);
  }
}

void ClientSession::on_readable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) {
    user->on_quic_readable(now);
  } else {
    connection_->consume(stream, stream.input.size());
  }
}

void ClientSession::on_writable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) user->on_quic_writable(now);
}

void ClientSession::on_datagram(Instant now, ByteView datagram) {
  const auto header = session::decode_datagram_header(datagram);
  const auto flow = header ? udp_flows_.find(header->value) : udp_flows_.end();
  if (flow == udp_flows_.end()) {
    ++context_.stats.udp_dropped;
    return;
  }
  flow->second->on_datagram(now, datagram.subspan(header->size));
}

bool ClientSession::with_new_stream(Instant now, StartFlow start) {
  if (has_ended_) return false;
  if (waiting_.empty()) {
    if (quic::Stream* stream = connection_->open_stream()) {
      start(now, *stream);
      context_.worker.touch(*connection_);
      return true;
    }
  }
  if (waiting_.size() >= kMaxWaitingFlows) return false;
  waiting_.push_back(std::move(start));
  return true;
}

void ClientSession::start_waiting(Instant now) {
  while (!waiting_.empty()) {
    quic::Stream* stream = connection_->open_stream();
    if (stream == nullptr) return;
    StartFlow start = std::move(waiting_.front());
    waiting_.pop_front();
    start(now, *stream);
    context_.worker.touch(*connection_);
  }
}

void ClientSession::add_flow(std::unique_ptr<StreamUser> flow) {
  ++context_.stats.flows_opened;
  ++context_.stats.flows_active;
  flows_.add(std::move(flow));
}

void ClientSession::retire(Instant now, StreamUser& flow) {
  if (!flows_.retire(flow)) return;
  --context_.stats.flows_active;
  owner_.on_flow_ended(now);
}

// The kernel may route from another address now. One that is merely gone for a moment
// leaves no route, and nothing to do until the next change.
void ClientSession::on_network_changed(Instant now) {
  move(now, quic::Migration::validate_first);
}

// The network changed, and the connection has not moved since.
void ClientSession::on_migration_check(Instant now) {
  move(now, quic::Migration::at_once);
}

void ClientSession::move(Instant now, quic::Migration migration) {
  if (connection_ == nullptr || has_ended_) return;
  const auto local = context_.worker.host().local_address_towards(server_.ip);
  if (!local || *local == connection_->path().local.ip) return;
  const PathId path{.local = {*local, context_.worker.local_address().port}, .remote = server_};
  context_.worker.log().info("path", "local address changed to {}: migrating", local->text());
  if (auto migrated = connection_->migrate(now, path, migration); !migrated) {
    context_.worker.log().warn("path", "cannot migrate: {}", migrated.error().text());
  }
  migration_check_.set(now + kMigrationCheck);
  context_.worker.touch(*connection_);
}

void ClientSession::leave(Instant now) {
  if (control_) control_->leave(now, "client ends");
}

void ClientSession::close(Instant now, session::CloseCode code, std::string_view reason) {
  if (connection_ == nullptr || has_ended_) return;
  connection_->close(now, static_cast<std::uint64_t>(code), reason);
  context_.worker.touch(*connection_);
}

void ClientSession::abandon(Instant now) {
  close(now, session::CloseCode::done, "another address answered first");
  context_.worker.detach(*connection_);
  has_ended_ = true;
}

void ClientSession::end(Instant now, Error error) {
  if (has_ended_) return;
  has_ended_ = true;
  waiting_.clear();
  while (StreamUser* flow = flows_.any()) {
    flow->on_quic_closed(now);
    retire(now, *flow);
  }
  if (control_) {
    control_->release();
    context_.graveyard.push_back(std::move(control_));
  }
  migration_check_.cancel();
  context_.worker.detach(*connection_);
  owner_.on_session_ended(now, *this, std::move(error));
}

}  // namespace culvert::drive
