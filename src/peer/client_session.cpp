#include "peer/client_session.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/flow_codes.h"
#include "session/flow_open.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

namespace culvert::peer {

ClientSession::ClientSession(ClientContext& context, ClientSessionOwner& owner)
    : context_(context),
      owner_(owner),
      core_(context.worker,
            {.flows_active = context.stats.flows_active,
             .flows_dropped = context.stats.flows_dropped,
             .udp_dropped = context.stats.udp_dropped,
             .connections_unread = context.stats.connections_unread},
            *this),
      choice_(context, *this),
      dialect_(context.config.dialect),
      uses_several_paths_(context.config.policy.multipath != Multipath::fastest),
      grace_(context.worker.timers(), *this),
      waiting_timeout_(context.worker.timers(), *this),
      watch_(context.worker.timers(), *this) {}

ClientSession::~ClientSession() = default;

std::optional<std::uint8_t> ClientSession::server_worker() const {
  return terms_ ? std::optional(terms_->worker) : std::nullopt;
}

// --- events of the connection ------------------------------------------------------------------

void ClientSession::on_event(Instant now, quic::Event& event) {
  if (std::holds_alternative<quic::StreamsAvailable>(event)) {
    streams_changed_ = now;
    if (is_resuming_) resume_more_flows(now);
    core_.lanes().open_missing_legs(now, *connection());
    start_waiting(now);
  } else if (const auto* changed = std::get_if<quic::PathChanged>(&event)) {
    context_.worker.log().info("path", "connection moved to {} -> {}", changed->path.local.text(),
                               changed->path.remote.text());
    CULVERT_PROBE("peer.a client's connection moved");
    server_ = changed->path.remote;
    choice_.on_moved(now, changed->path);
    ++context_.stats.path_changes;
    tell(context_.config.events, [&] {
      return RoleEvent{.kind = RoleEventKind::path_changed,
                       .address = changed->path.remote.text(),
                       .detail = "from " + changed->path.local.text()};
    });
  } else if (auto* closed = std::get_if<quic::Closed>(&event)) {
    on_closed(now, *closed);
  } else {
    on_stream_event(now, event);
  }
}

void ClientSession::on_stream_event(Instant now, const quic::Event& event) {
  if (std::holds_alternative<quic::StreamClosed>(event)) streams_changed_ = now;
  core_.on_stream_event(now, event);
}

// Servers open no streams in either dialect.
void ClientSession::on_flow_stream(quic::Stream& stream) {
  stream.stop_sending(0);
  stream.reset(0);
}

void ClientSession::on_closed(Instant now, quic::Closed& closed) {
  if (closed.application_code) {
    // The server's answer on the new connection may come later than this.
    const bool has_moved =
        *closed.application_code == static_cast<std::uint64_t>(session::CloseCode::moved);
    // An end in order is an order: it has no use for us.
    const bool is_dismissed =
        *closed.application_code == static_cast<std::uint64_t>(session::CloseCode::done);
    lose(now, closed_by_server(closed, is_dismissed ? ErrorKind::refused : ErrorKind::lost),
         has_moved);
    return;
  }
  Error error = std::move(closed.error);
  if (error.kind != ErrorKind::cancelled) error.kind = ErrorKind::lost;
  lose(now, std::move(error), true);
}

void ClientSession::on_control(Instant) {
  const auto leaving = core_.control()->channel().poll_leaving();
  if (!leaving) return;
  context_.worker.log().info("session", "the server says goodbye: {}", leaving->reason);
  CULVERT_PROBE("peer.the server says goodbye");
  is_server_leaving_ = true;
  waiting_timeout_.set(patience_ends());
}

void ClientSession::on_control_failed(Instant now, const session::ChannelFailure& failure) {
  core_.count(failure);
  close(now, session::CloseCode::protocol_error, failure.error.what);
  lose(now, failure.error, false);
}

// --- from one connection to the next -------------------------------------------------------------

std::size_t ClientSession::adopt(Instant now, Dialled dialled) {
  const auto* begun = std::get_if<session::Authenticated>(&dialled.outcome);
  const bool was_cut_off = choice_.is_cut_off();
  if (is_connected()) {
    CULVERT_PROBE("peer.a client's connection is replaced while it lives");
    if (begun != nullptr) choice_.end(now, session::CloseCode::done);
    core_.replace(now, begun == nullptr);
    forget_connection();
  }
  const std::size_t lost_flows = begun != nullptr ? reset_flows(now) : 0;
  grace_.cancel();
  quic::Connection& connection = dialled.connection;
  core_.adopt(connection, std::move(dialled.control), *this, *this);
  streams_changed_ = now;
  if (was_cut_off) choice_.set_proven_local(connection.path().local.ip);
  server_ = dialled.server;
  ticket_.reset();
  lost_.reset();
  is_server_leaving_ = false;
  if (begun != nullptr) {
    ++context_.stats.sessions_opened;
    dialect_ = begun->dialect;
    terms_ = begun->resume;
  } else {
    terms_ = std::get<session::Resumed>(dialled.outcome).terms;
  }
  if (terms_) {
    ticket_ = session::ResumeTicket{
        .session_id = begun != nullptr ? begun->session_id
                                       : std::get<session::Resumed>(dialled.outcome).session_id,
        .key = export_resume_key(connection)};
    resume_talk_.emplace(core_.control()->channel());
  }
  silence_.begin(now);
  watch_.set(now + silence_.next_look(patience()));
  core_.lanes().share_budget(connection);
  if (begun == nullptr) resume_flows(now);
  if (!core_.lanes().has(connection)) core_.lanes().add(now, connection);
  choice_.begin(now);
  start_waiting(now);
  return lost_flows;
}

void ClientSession::lose(Instant now, Error error, bool may_resume) {
  if (!is_connected()) return;
  const bool waits = may_resume && terms_ && connection()->is_closed();
  if (waits) {
    core_.suspend(now);
    grace_.set(now + std::min(context_.config.policy.resume_grace, terms_->grace));
    forget_connection();
  } else {
    reset_flows(now);
    core_.lanes().remove(now, *connection());
    core_.let_go();
    forget_connection();
    terms_.reset();
    ticket_.reset();
  }
  waiting_timeout_.set(patience_ends());
  if (waits && take_over(now)) {
    context_.worker.log().info("session", "Connection lost: {}; another path takes over",
                               error.text());
    CULVERT_PROBE("peer.another path takes over from a connection that was lost");
    lost_ = std::move(error);
    return;
  }
  owner_.on_connection_lost(now, std::move(error));
}

// One at a time: which of two the server saw first could not be told.
bool ClientSession::take_over(Instant now) {
  if (owner_.is_resuming() || !choice_.take_over(now)) return false;
  owner_.on_take_over(now);
  return true;
}

void ClientSession::on_promotion_failed(Instant now) {
  CULVERT_PROBE("peer.no other path takes over");
  if (is_connected()) {
    if (is_silent()) owner_.on_silence(now);
  } else if (lost_) {
    owner_.on_connection_lost(now, *std::exchange(lost_, std::nullopt));
  }
}

void ClientSession::forget_connection() {
  watch_.cancel();
  choice_.forget();
  is_resuming_ = false;
  resume_talk_.reset();
}

void ClientSession::on_beyond_share(Instant now) {
  CULVERT_PROBE("peer.a client resets what waits beyond its share");
  context_.worker.warnings().warn(
      now, fmt::format("more than {} KiB wait for local programs to read: a flow is reset",
                       core_.lanes().budget().parked_limit() >> 10));
}

void ClientSession::resume_flows(Instant now) {
  is_resuming_ = true;
  announced_ = 0;
  resumed_flows_ = 0;
  resume_more_flows(now);
}

// One stream for each flow; those that ended here meanwhile are only named.
void ClientSession::resume_more_flows(Instant now) {
  std::vector<std::uint64_t> gone;
  while (!core_.parked().is_empty()) {
    const std::uint64_t flow_id = core_.parked().front().flow_id;
    if (core_.parked().front().is_input_dropped) {
      CULVERT_PROBE("peer.a flow that ended meanwhile is only named");
      gone.push_back(flow_id);
      static_cast<void>(core_.parked().remove(flow_id));
      ++announced_;
      continue;
    }
    quic::Stream* fresh = connection()->open_stream_to_resume();
    if (fresh == nullptr) {
      CULVERT_PROBE("peer.resuming waits for streams");
      break;
    }
    ++announced_;
    const auto old = core_.parked().remove(flow_id);
    StreamUser* user = user_of(*old);
    const std::uint64_t start = old->output.delivered_offset();
    Bytes head;
    session::encode_flow_open(
        dialect_,
        {.source = user != nullptr ? std::string(user->source()) : std::string(),
         .flow_id = flow_id,
         .resume = session::FlowResume{.received = old->input.end_offset(), .start = start}},
        head);
    connection()->inherit(*fresh, *old, {.output_from = start, .head = head});
    if (user == nullptr) continue;
    ++resumed_flows_;
    user->on_resumed(now, *fresh);
  }
  resume_talk_->announce_gone(gone);
  if (!core_.parked().is_empty()) return;
  is_resuming_ = false;
  resume_talk_->announce_done(announced_);
  ++context_.stats.sessions_resumed;
  context_.worker.log().info("session", "Session resumed: {} flows continue", resumed_flows_);
}

std::size_t ClientSession::reset_flows(Instant now) {
  const std::size_t count = core_.end_flows(now);
  choice_.end(now, session::CloseCode::done);
  return count;
}

// The server has given up by now, too, or will not find us in time.
void ClientSession::on_grace_over(Instant now) {
  CULVERT_PROBE("peer.a client's grace is over");
  const std::size_t count = reset_flows(now);
  context_.worker.log().warn("session", "no connection in time: {} flows were reset", count);
  terms_.reset();
  ticket_.reset();
}

// --- signs of life -------------------------------------------------------------------------------

// With other paths at hand it is left sooner.
Duration ClientSession::patience() const {
  return choice_.lanes().size() > 0 ? limits::kSuspectLane : limits::kSuspectSilence;
}

void ClientSession::on_watch(Instant now) {
  if (!is_connected()) return;
  using News = path::SilenceWatch::News;
  const News news = silence_.look(now, signs_of(connection()->liveness()), patience());
  watch_.set(now + silence_.next_look(patience()));
  if (news == News::none) return;
  if (news == News::pause) {
    connection()->ping(now);
    return;
  }
  core_.lanes().set_usable(*connection(), news == News::alive_again);
  if (news == News::silent) {
    look_elsewhere(now);
  } else if (!is_silent()) {
    streams_changed_ = now;  // what it granted meanwhile is on its way
    waiting_timeout_.set(patience_ends());
    owner_.on_silence_over(now);
  }
}

// Flows that cannot be resumed on another connection have only this one, wherever it may go.
void ClientSession::look_elsewhere(Instant now) {
  if (!is_resumable()) {
    choice_.go_elsewhere(now);
  } else if (take_over(now)) {
    context_.worker.log().info("session", "the server is silent: another path takes over");
  } else {
    owner_.on_silence(now);
  }
}

// --- flows -------------------------------------------------------------------------------------

void ClientSession::with_new_stream(Instant now, StartFlow start) {
  if (!is_connected() || is_silent()) owner_.on_wanted(now);
  if (!core_.lanes().budget().takes_flows()) {
    CULVERT_PROBE("peer.too much waits here for a further local connection");
    refuse_flow(now, std::move(start), fmt::format("a limit is reached ({})", kNobodyReads));
    return;
  }
  if (waiting_.empty()) {
    if (quic::Stream* stream = new_stream()) {
      start(now, {stream});
      return;
    }
    if (could_open_streams() && grant_expected() <= now) {
      CULVERT_PROBE("peer.a server with no stream left refuses at once");
      refuse_flow(now, std::move(start), why_no_stream());
      return;
    }
  }
  if (waiting_.size() >= limits::kMaxWaitingFlows) {
    CULVERT_PROBE("peer.too many local connections wait");
    refuse_flow(now, std::move(start), "too many connections wait for the server");
    return;
  }
  waiting_.push_back({std::move(start), now + limits::kWaitingFlowTimeout});
  waiting_timeout_.set(patience_ends());
}

void ClientSession::refuse_flow(Instant now, StartFlow start, std::string why) {
  ++context_.stats.flows_unserved;
  start(now, {.why_none = std::move(why)});
}

bool ClientSession::could_open_streams() const {
  return takes_flows() && !is_resuming_ && !is_silent();
}

// A grant follows the end of another stream; a lost one comes again.
Instant ClientSession::grant_expected() const {
  return streams_changed_ +
         std::max(limits::kStreamPatience, 3 * connection()->liveness().probe_timeout);
}

Instant ClientSession::patience_ends() const {
  if (waiting_.empty()) return kNever;
  const Instant deadline = waiting_.front().deadline;
  return could_open_streams() ? std::min(deadline, grant_expected()) : deadline;
}

std::string ClientSession::why_no_stream() const {
  if (!could_open_streams()) return "no connection to the server in time";
  return fmt::format("the server allows no more flows at once ({} are open)", core_.flows().size());
}

// Null: none at present.
quic::Stream* ClientSession::new_stream() {
  return takes_flows() && !is_resuming_ ? connection()->open_stream() : nullptr;
}

void ClientSession::want_several_paths(Instant now) {
  if (!std::exchange(uses_several_paths_, true)) choice_.begin(now);
}

buffers::ByteStream& ClientSession::begin_flow(Instant now, quic::Stream& stream,
                                               session::FlowOpen open) {
  if (!takes_multipath()) open.multipath = Multipath::fastest;
  if (open.multipath != Multipath::fastest) want_several_paths(now);
  if (open.flow_id == 0 && is_resumable()) open.flow_id = next_flow_id_++;
  Bytes head;
  session::encode_flow_open(dialect_, open, head);
  if (open.multipath != Multipath::fastest && !open.is_udp()) {
    Stripe& stripe = core_.lanes().add_stripe(open.flow_id, {.mode = open.multipath});
    core_.lanes().begin(now, stripe, stream, std::move(head));
    return stripe;
  }
  stream.output.append(head);
  stream.output.set_origin();
  if (is_resumable()) stream.flow_id = open.flow_id;
  stream.submit();
  return stream;
}

void ClientSession::start_waiting(Instant now) {
  while (!waiting_.empty()) {
    quic::Stream* stream = new_stream();
    if (stream == nullptr) break;
    StartFlow start = std::move(waiting_.front().start);
    waiting_.pop_front();
    start(now, {stream});
  }
  waiting_timeout_.set(patience_ends());
}

// Whoever connected would rather know than wait on.
void ClientSession::on_waiting_timeout(Instant now) {
  while (!waiting_.empty() && patience_ends() <= now) {
    StartFlow start = std::move(waiting_.front().start);
    waiting_.pop_front();
    if (could_open_streams()) {
      CULVERT_PROBE("peer.a local connection waits in vain for a stream");
    } else {
      CULVERT_PROBE("peer.a local connection waits in vain for the server");
    }
    refuse_flow(now, std::move(start), why_no_stream());
  }
  waiting_timeout_.set(patience_ends());
}

void ClientSession::add_flow(std::unique_ptr<StreamUser> flow) {
  ++context_.stats.flows_opened;
  core_.add(std::move(flow));
}

void ClientSession::announce_gone(std::uint64_t flow_id) {
  if (resume_talk_) resume_talk_->announce_gone(std::span(&flow_id, 1));
}

// --- paths -------------------------------------------------------------------------------------

void ClientSession::on_network_changed(Instant now) {
  choice_.on_network_changed(now);
}

// Nothing is known against the new path, but it may never work.
void ClientSession::on_move_stalled(Instant now) {
  look_elsewhere(now);
}

void ClientSession::on_move_over(Instant now) {
  if (!is_silent()) owner_.on_silence_over(now);
}

void ClientSession::on_no_way(Instant now) {
  if (choice_.is_cut_off()) owner_.on_silence(now);
}

void ClientSession::leave() {
  if (ControlStream* control = core_.control()) control->channel().leave("client ends");
}

std::vector<ClientPath> ClientSession::paths() const {
  if (!is_connected()) return {};
  std::vector<ClientPath> paths{{.path = connection()->path(),
                                 .connection = connection()->stats(),
                                 .is_silent = is_silent()}};
  std::ranges::move(choice_.lanes().paths(), std::back_inserter(paths));
  return paths;
}

void ClientSession::close(Instant now, session::CloseCode code, std::string_view reason) {
  if (code != session::CloseCode::moved) choice_.end(now, code);
  if (!is_connected()) return;
  connection()->close(now, static_cast<std::uint64_t>(code), reason);
}

}  // namespace culvert::peer
