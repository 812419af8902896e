#include "peer/client_dial.h"

#include "base/limits.h"
#include "base/probe.h"
#include "quic/connection_id.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::peer {

namespace {

// What the client could do about a refusal. It shows its EndpointId where it has nothing better,
// or nothing that the server takes.
std::string hint_for(session::ProofKind shown, const session::ClientCredentials& credentials) {
  if (shown != session::ProofKind::endpoint_id) {
    return fmt::format(" (it was the {} that this client gave)", to_string(shown));
  }
  if (credentials.token || credentials.key) {
    return fmt::format("; the server takes no {}: give {}",
                       credentials.token && credentials.key ? "token and no login key"
                       : credentials.token                  ? "token"
                                                            : "login key",
                       credentials.token ? "--private-key-file" : "--auth-token-file");
  }
  return "; no credential was given: give a token with --auth-token-file or a login key with "
         "--private-key-file, or have the server allow this client's EndpointId";
}

}  // namespace

Error closed_by_server(const quic::Closed& closed, ErrorKind kind) {
  Error error = closed.error;
  const auto code = static_cast<session::CloseCode>(*closed.application_code);
  const bool is_refusal = code == session::CloseCode::auth_failed ||
                          code == session::CloseCode::auth_timeout ||
                          code == session::CloseCode::rate_limited;
  error.kind = is_refusal ? ErrorKind::authentication : kind;
  error.what = fmt::format("the server closed the connection: {} (code {})", closed.reason,
                           *closed.application_code);
  return error;
}

ClientDial::ClientDial(drive::Worker& worker, const ClientConfig& config, DialOptions options,
                       ClientDialOwner& owner)
    : worker_(worker),
      config_(config),
      options_(std::move(options)),
      owner_(owner),
      refusal_due_(worker.timers(), *this) {}

ClientDial::~ClientDial() {
  if (connection_ != nullptr) worker_.detach(*connection_);
}

Status ClientDial::start(Instant now) {
  const quic::ConnectOptions options{.peer = config_.server,
                                     .alpn = std::string(session::alpn(config_.dialect)),
                                     .worker = options_.worker};
  started_ = now;
  if (options_.local) {
    CULVERT_TRY(connection_,
                worker_.connect_from(now, *options_.local, options_.server, options, *this));
  } else {
    CULVERT_TRY(connection_, worker_.connect(now, options_.server, options, *this));
  }
  return {};
}

PathId ClientDial::path() const {
  return {.local = {*options_.local, worker_.local_address().port}, .remote = options_.server};
}

void ClientDial::on_event(Instant now, quic::Event& event) {
  if (std::holds_alternative<quic::HandshakeCompleted>(event)) {
    on_transport_ready(now);
  } else if (const auto* opened = std::get_if<quic::StreamOpened>(&event)) {
    // Servers open no streams in either dialect.
    connection_->stop_sending(*opened->stream, 0);
    connection_->reset(*opened->stream, 0);
  } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
    if (auto* user = user_of(*reset->stream)) user->on_quic_reset(now, reset->code);
  } else if (const auto* closed_stream = std::get_if<quic::StreamClosed>(&event)) {
    if (auto* user = user_of(*closed_stream->stream)) user->on_quic_closed(now);
  } else if (auto* closed = std::get_if<quic::Closed>(&event)) {
    on_closed(now, *closed);
  }
}

void ClientDial::on_closed(Instant now, quic::Closed& closed) {
  if (!closed.application_code) {
    end(now, {.error = std::move(closed.error), .is_busy = closed.is_refusal_for_now});
    return;
  }
  const auto code = static_cast<session::CloseCode>(*closed.application_code);
  end(now, {.error = closed_by_server(closed, ErrorKind::refused),
            .is_final = code == session::CloseCode::auth_failed});
}

void ClientDial::on_refused(Instant now, const UdpRefusal& refusal) {
  if (connection_ == nullptr || login_) return;
  is_said_refused_ = true;
  const auto quoted = quic::source_id_of(refusal.quote);
  if (!quoted || !connection_->owns_connection_id(quoted->view())) {
    CULVERT_PROBE("peer.a refusal does not quote the dial");
    return;
  }
  if (!refused_at_) refused_at_ = now;
  if (now - *refused_at_ < limits::kRefusalConfirmed || refusal_due_.is_set()) return;
  refusal_due_.set(std::max(now, started_ + limits::kRefusedDial));
}

void ClientDial::on_refusal_due(Instant now) {
  if (connection_ == nullptr || login_) return;
  if (connection_->liveness().packets_received > 0) {
    CULVERT_PROBE("peer.a server answers where nobody is said to listen");
    return;
  }
  CULVERT_PROBE("peer.nobody listens at the server's port");
  fail(now, session::CloseCode::done,
       {.error = {ErrorKind::unreachable, "nobody listens at this UDP port", {}},
        .is_nobody = true});
}

void ClientDial::on_transport_ready(Instant now) {
  owner_.on_transport_ready(now, *this);
  if (connection_ == nullptr) return;  // another address won
  const auto exporter = export_auth_value(*connection_);
  quic::Stream* stream = connection_->open_stream();
  if (!exporter || stream == nullptr) {
    fail(now, session::CloseCode::protocol_error,
         {.error = {ErrorKind::protocol, "the server grants no stream for authentication", {}}});
    return;
  }
  session::ClientHandshakeConfig config{
      .credentials = &config_.credentials,
      .offers_resume = config_.policy.resume_grace > Duration::zero(),
      .ticket = options_.ticket,
      .joins = options_.joins};
  login_ = std::make_unique<LoginStream>(
      worker_.timers(), *stream,
      session::make_client_handshake(config_.dialect, config, *exporter, worker_.host().rng(), now),
      *this);
  login_->start(now);
}

void ClientDial::on_verdict(Instant now, session::Verdict& verdict) {
  if (auto* authenticated = std::get_if<session::Authenticated>(&verdict)) {
    succeed(now, std::move(*authenticated));
  } else if (const auto* resumed = std::get_if<session::Resumed>(&verdict)) {
    succeed(now, *resumed);
  } else if (const auto* joined = std::get_if<session::Joined>(&verdict)) {
    succeed(now, *joined);
  } else if (const auto* refused = std::get_if<session::Refused>(&verdict)) {
    const bool is_limit = refused->code == session::CloseCode::session_limit;
    std::string text = fmt::format("Authentication rejected: {}", refused->reason);
    if (refused->code == session::CloseCode::auth_failed) {
      text += hint_for(refused->kind, config_.credentials);
    }
    if (refused->retry_after_s > 0) {
      text += fmt::format(" (try again in {} s)", refused->retry_after_s);
    }
    if (is_limit) text = refused->reason;
    fail(now, session::CloseCode::done,
         {.error = {is_limit ? ErrorKind::refused : ErrorKind::authentication, std::move(text),
                    options_.server.text()},
          .is_final = !is_limit && refused->code != session::CloseCode::rate_limited,
          .wait = std::chrono::seconds(refused->retry_after_s)});
  } else if (auto* failed = std::get_if<session::Failed>(&verdict)) {
    fail(now, failed->code, {.error = std::move(failed->error)});
  }
}

template <typename Outcome>
void ClientDial::succeed(Instant now, Outcome outcome) {
  worker_.endpoint().set_authenticated(*connection_);
  Dialled dialled{
      .connection = *std::exchange(connection_, nullptr),
      .control = std::make_unique<ControlStream>(worker_.timers(), login_->hand_over(),
                                                 config_.dialect, session::ControlEnd::client),
      .server = options_.server,
      .outcome = std::move(outcome)};
  owner_.on_dialled(now, *this, std::move(dialled));
}

void ClientDial::on_readable(Instant now, quic::Stream& stream) {
  if (auto* user = user_of(stream)) {
    user->on_quic_readable(now);
  } else {
    connection_->consume(stream, stream.input.size());
  }
}

void ClientDial::abandon(Instant now, session::CloseCode code, std::string_view reason) {
  if (connection_ == nullptr) return;
  connection_->close(now, static_cast<std::uint64_t>(code), reason);
  worker_.detach(*std::exchange(connection_, nullptr));
  if (login_) login_->release();
}

void ClientDial::fail(Instant now, session::CloseCode code, DialFailure failure) {
  connection_->close(now, static_cast<std::uint64_t>(code), failure.error.what);
  end(now, std::move(failure));
}

void ClientDial::end(Instant now, DialFailure failure) {
  if (connection_ == nullptr) return;
  worker_.detach(*std::exchange(connection_, nullptr));
  if (login_) login_->release();
  owner_.on_dial_failed(now, *this, std::move(failure));
}

}  // namespace culvert::peer
