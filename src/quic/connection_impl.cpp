#include "quic/connection_impl.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "base/probe.h"
#include "quic/close_reason.h"
#include "quic/connection_callbacks.h"
#include "quic/endpoint.h"
#include "quic/transport_setup.h"

#include <algorithm>
#include <utility>

namespace culvert::quic {
namespace {

// Our client's first destination id: unpredictable (RFC 9000 7.2 asks for 8 bytes or more).
constexpr std::size_t kFirstDestinationBytes = 16;

constexpr Duration kMaxAckDelay = std::chrono::milliseconds(25);  // RFC 9000 18.2, the default

// What ngtcp2 1.11 holds for a stream, with the first piece of what came out of order.
constexpr std::size_t kLibraryBytesOfStream = 1024;

ngtcp2_cid to_cid(const ConnectionId& id) {
  ngtcp2_cid cid;
  ngtcp2_cid_init(&cid, id.bytes.data(), id.size);
  return cid;
}

}  // namespace

ConnectionImpl::ConnectionImpl(ConnectionHost& host, Instant now, bool is_client)
    : host_(host),
      gate_(is_client),
      ids_(host, this),
      streams_(host.chunks()),
      places_(host.config().transport.initial_streams_bidi),
      credit_(std::make_shared<buffers::SessionBudget>(2 * limits::kConnectionWindowFirst)),
      scheduler_(streams_, datagrams_.outgoing(), *this),
      bbr_control_(host.rng(), host.config().transport.congestion_control),
      allowance_(BbrControl::kIsBuiltIn ||
                 host.config().transport.congestion_control == CongestionControl::cubic),
      clock_(now) {}

ConnectionImpl::~ConnectionImpl() {
  // First ngtcp2, which points into streams and TLS.
  if (connection_ != nullptr) ngtcp2_conn_del(connection_);
  for (const auto& stream : streams_.all()) credit_.budget().let_go(stream->held);
  datagrams_.uncount(credit_.budget());
  library_memory_.uncount(credit_.budget());
}

Result<std::unique_ptr<ConnectionImpl>> ConnectionImpl::connect(ConnectionHost& host, Instant now,
                                                                const PathId& path,
                                                                const ConnectOptions& options) {
  std::unique_ptr<ConnectionImpl> connection(new ConnectionImpl(host, now, true));
  std::array<std::uint8_t, kFirstDestinationBytes> destination;
  host.rng().fill(destination);
  ByteView first_destination = destination;
  if (options.worker) {
    destination[0] = *options.worker;
    first_destination = first_destination.first(kConnectionIdBytes);
  }
  TlsOptions tls;
  if (!options.alpn.empty()) tls.alpns = {options.alpn};
  tls.peer = options.peer;
  if (Status status = connection->set_up(path, ConnectionId(first_destination), nullptr, tls);
      !status) {
    return forward(status);
  }
  return connection;
}

Result<std::unique_ptr<ConnectionImpl>> ConnectionImpl::accept(ConnectionHost& host, Instant now,
                                                               const PathId& path,
                                                               const AcceptedInitial& initial) {
  std::unique_ptr<ConnectionImpl> connection(new ConnectionImpl(host, now, false));
  TlsOptions tls;
  tls.is_server = true;
  tls.alpns = host.config().alpns;
  if (Status status = connection->set_up(path, initial.source, &initial, tls); !status) {
    return forward(status);
  }
  return connection;
}

Status ConnectionImpl::set_up(const PathId& path, const ConnectionId& destination,
                              const AcceptedInitial* initial, const TlsOptions& tls_options) {
  const EndpointConfig& config = host_.config();
  ngtcp2_settings settings =
      make_settings(config.transport, to_timestamp(clock_.last()), bbr_control_.context());
  ngtcp2_transport_params params = make_transport_params(config.transport);
  const ConnectionId source = host_.make_connection_id();
  const ngtcp2_cid source_cid = to_cid(source);
  const ngtcp2_cid destination_cid = to_cid(destination);

  ConnectionId original = destination;
  if (initial != nullptr) {
    original = initial->original_destination.value_or(initial->destination);
    params.original_dcid = to_cid(original);
    params.original_dcid_present = 1;
    params.stateless_reset_token_present = 1;
    std::ranges::copy(host_.reset_token(source), params.stateless_reset_token);
    if (initial->original_destination) {
      params.retry_scid = to_cid(initial->destination);
      params.retry_scid_present = 1;
      settings.token = initial->token.data();
      settings.tokenlen = initial->token.size();
      settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    }
  }
  if (gate_.is_client() && tls_options.peer) {
    const ByteView ticket = host_.ticket_for(*tls_options.peer);
    settings.token = ticket.data();  // copied
    settings.tokenlen = ticket.size();
    settings.token_type = NGTCP2_TOKEN_TYPE_NEW_TOKEN;
  }
  if (config.qlog) {
    qlog_id_ = hex_encode(original.view());
    settings.qlog_write = &write_qlog;
  }

  TlsOptions with_protection = tls_options;
  with_protection.protection = host_.protection();
  with_protection.key_log = &config.key_log;
  with_protection.refuses_preferred_address = settings.qlog_write != nullptr;
  CULVERT_TRY(tls_, TlsSession::create(host_.credentials(), with_protection));

  if (gate_.is_client()) paths_.names().begin(path);
  gate_.set_home(path);
  const PathStorage storage(path);
  const ngtcp2_callbacks callbacks = make_callbacks(host_.protection());
  const int rv =
      gate_.is_client()
          ? ngtcp2_conn_client_new(&connection_, &destination_cid, &source_cid, storage.path(),
                                   NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params,
                                   library_memory_.allocator(), this)
          : ngtcp2_conn_server_new(&connection_, &destination_cid, &source_cid, storage.path(),
                                   initial->version, &callbacks, &settings, &params,
                                   library_memory_.allocator(), this);
  if (rv != 0) {
    return fail(ErrorKind::internal,
                fmt::format("cannot set up a QUIC connection: {}", ngtcp2_strerror(rv)));
  }
  tls_->attach(*connection_);
  if (!ids_.add(source) || (initial != nullptr && !ids_.add(initial->destination))) {
    return fail(ErrorKind::internal, "a connection id is already in use");
  }
  return {};
}

Instant ConnectionImpl::from_library(ngtcp2_tstamp timestamp) const {
  return clock_.to_ours(to_instant(timestamp));
}

// Whatever is the first to happen after a stop accounts for it.
Instant ConnectionImpl::advance(Instant now) {
  if (life_.is_open() && clock_.is_suspicious(now)) account_for_stop(now);
  return clock_.advance(now);
}

void ConnectionImpl::account_for_stop(Instant now) {
  switch (clock_.account_for_stop(now, to_instant(ngtcp2_conn_get_expiry(connection_)),
                                  idle_timeout())) {
    case StoppedClock::Stop::none:
      return;
    case StoppedClock::Stop::made_up_for:
      CULVERT_PROBE("quic.the program stood still");
      return;
    case StoppedClock::Stop::too_long:
      CULVERT_PROBE("quic.the program stood still for longer than its peer waits");
      fail_with(NGTCP2_ERR_IDLE_CLOSE);
  }
}

// RFC 9000 10.1: the smaller of what both sides have said.
Duration ConnectionImpl::idle_timeout() const {
  ngtcp2_duration timeout = ngtcp2_conn_get_local_transport_params(connection_)->max_idle_timeout;
  const auto* peer = ngtcp2_conn_get_remote_transport_params(connection_);
  if (peer != nullptr && peer->max_idle_timeout != 0) {
    timeout = timeout == 0 ? peer->max_idle_timeout : std::min(timeout, peer->max_idle_timeout);
  }
  return timeout == 0 ? Duration::max() : Duration(static_cast<Duration::rep>(timeout));
}

// --- input -------------------------------------------------------------------------------

void ConnectionImpl::handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes) {
  advance(now);
  tally_.on_received(now, bytes.size());
  life_.on_received();
  if (!life_.is_open()) return;
  const auto admitted = gate_.admit(now, allowance_.round_trip(), path, ecn, bytes);
  read_waiting(now);
  if (admitted && life_.is_open()) read(now, admitted->path, ecn, admitted->bytes);
}

void ConnectionImpl::read_waiting(Instant now) {
  for (const InputGate::Datagram& held : gate_.take(now)) {
    if (life_.is_open()) read(now, held.path, held.ecn, held.bytes);
  }
}

void ConnectionImpl::read(Instant now, const PathId& path, Ecn ecn, ByteView bytes) {
  const ngtcp2_pkt_info info{.ecn = static_cast<std::uint8_t>(ecn)};
  const int rv = ngtcp2_conn_read_pkt(connection_, paths_.arrival(path), &info, bytes.data(),
                                      bytes.size(), library_now());
  settle_acknowledged(streams_.acknowledged.take());
  may_have_stopped_ = true;
  if (life_.was_reset()) {
    begin_drain();
    report(closed_by_stateless_reset(is_established()));
    return;
  }
  switch (rv) {
    case 0:
      if (!check_peer()) return;
      answer_.on_received(now);
      return;
    case NGTCP2_ERR_DRAINING:
      begin_drain();
      report(closed_by_peer(*ngtcp2_conn_get_ccerr(connection_), is_established()));
      return;
    case NGTCP2_ERR_DROP_CONN:
      life_.drop();
      report(closed_by_error(rv, 0, is_established()));
      return;
    case NGTCP2_ERR_RETRY:
      life_.want_retry();
      return;
    default:
      fail_with(rv);
  }
}

bool ConnectionImpl::check_peer() {
  const bool was_lied_to = bbr_control_.was_lied_to();
  if (!was_lied_to && !is_library_bloated()) return true;
  report(was_lied_to ? closed_by_false_acknowledgement() : closed_by_excess());
  life_.packet().set_transport_error(was_lied_to ? NGTCP2_PROTOCOL_VIOLATION
                                                 : NGTCP2_INTERNAL_ERROR);
  begin_close();
  return false;
}

// What the peer may send ahead may wait out of order. Beside that there are notes of packets and
// streams.
bool ConnectionImpl::is_library_bloated() {
  const std::size_t usual = credit_.ahead() + streams_.size() * kLibraryBytesOfStream;
  return library_memory_.is_too_much(credit_.budget(), usual);
}

void ConnectionImpl::handle_timeout(Instant now) {
  advance(now);
  if (!life_.is_open()) return life_.handle_timeout(now);
  may_have_stopped_ = true;
  datagrams_.rest(clock_.last(), credit_.budget());
  read_waiting(now);
  if (!life_.is_open()) return;
  if (credit_.next_timeout() <= clock_.last()) extend_connection();
  loss_timer_.note_timer_ran_out();
  if (const int rv = ngtcp2_conn_handle_expiry(connection_, library_now()); rv != 0) {
    return fail_with(rv);
  }
  bbr_control_.note_timeouts(clock_.last());
}

Instant ConnectionImpl::next_timeout() const {
  if (!life_.is_open()) return life_.next_timeout();
  if (gate_.has_some_at_once()) return clock_.last_of_ours();
  // Also where ngtcp2 names a later time: what it lost or owes has no timer of its own, it expects
  // to be asked after every packet.
  if (is_holding_answer()) {
    return std::min({answer_.due(), repeats_.next_due(), gate_.next_due()});
  }
  return std::min({from_library(ngtcp2_conn_get_expiry(connection_)), paced_until(),
                   repeats_.next_due(), gate_.next_due(), clock_.to_ours(credit_.next_timeout())});
}

// --- state ---------------------------------------------------------------------------------

PathId ConnectionImpl::path() const {
  return paths_.names().meant_by(*ngtcp2_conn_get_path(connection_));
}

ConnectionStats ConnectionImpl::stats() const {
  ConnectionStats stats = tally_.stats();
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_, &info);
  stats.smoothed_rtt = Duration(static_cast<Duration::rep>(info.smoothed_rtt));
  // Before the first sample ngtcp2 has UINT64_MAX.
  stats.min_rtt = info.min_rtt == UINT64_MAX ? Duration::zero()
                                             : Duration(static_cast<Duration::rep>(info.min_rtt));
  stats.congestion_window_bytes = info.cwnd;
  stats.bytes_in_flight = info.bytes_in_flight;
  stats.max_udp_payload_bytes = ngtcp2_conn_get_path_max_tx_udp_payload_size(connection_);
  stats.datagrams_dropped += scheduler_.datagrams_dropped();
  for (const auto& stream : streams_.all()) {
    stats.packets_lost += ngtcp2_conn_get_stream_loss_count(connection_, stream->id);
  }
  return stats;
}

Liveness ConnectionImpl::liveness() const {
  ngtcp2_conn_info info;
  ngtcp2_conn_get_conn_info(connection_, &info);
  Duration rtt(static_cast<Duration::rep>(info.smoothed_rtt));
  Duration probe_timeout(static_cast<Duration::rep>(ngtcp2_conn_get_pto(connection_)));
  const Duration present =
      congestion::present_rtt(rtt, Duration(static_cast<Duration::rep>(info.latest_rtt)));
  if (info.latest_rtt != 0 && present < rtt) {
    rtt = present;
    // RFC 9002 6.2.1 as after a first sample, whose variation is half of it.
    probe_timeout = std::min(probe_timeout, 3 * rtt + kMaxAckDelay);
  }
  return {.packets_received = tally_.packets_received(),
          .heard_at = tally_.heard_at(),
          .bytes_in_flight = info.bytes_in_flight,
          .congestion_window_bytes = info.cwnd,
          .smoothed_rtt = rtt,
          .probe_timeout = probe_timeout};
}

bool ConnectionImpl::owns_connection_id(ByteView dcid) const {
  return ids_.contains(dcid);
}

Status ConnectionImpl::export_keying_material(std::string_view label, ByteView context,
                                              ByteSpan out) const {
  if (!is_established()) {
    return fail(ErrorKind::internal, "the TLS exporter was used before the handshake completed");
  }
  return tls_->export_keying_material(label, context, out);
}

Status ConnectionImpl::migrate(Instant now, const PathId& path, Migration migration) {
  const ngtcp2_tstamp timestamp = to_timestamp(advance(now));
  if (!life_.is_open() || !is_client()) {
    return fail(ErrorKind::internal, "only the client of an open connection can migrate");
  }
  answer_.hurry();
  stir();
  const PathStorage present(to_path_id(*ngtcp2_conn_get_path(connection_)));
  const PathId name = paths_.names().name_of(*present.path(), path);
  const PathStorage storage(name);
  const auto initiate = migration == Migration::at_once ? ngtcp2_conn_initiate_immediate_migration
                                                        : ngtcp2_conn_initiate_migration;
  switch (const int rv = initiate(connection_, storage.path(), timestamp)) {
    case 0:
      paths_.names().remember(*present.path(), path, name);
      return {};
    case NGTCP2_ERR_INVALID_STATE:
      return fail(ErrorKind::refused,
                  "cannot migrate: the handshake is not confirmed yet, or the peer forbids it");
    case NGTCP2_ERR_CONN_ID_BLOCKED:
      return fail(ErrorKind::limit, "cannot migrate now: the peer gave no spare connection id");
    case NGTCP2_ERR_INVALID_ARGUMENT:
      return fail(ErrorKind::internal, "cannot migrate: the connection already uses this path",
                  path.local.text() + " -> " + path.remote.text());
    default:
      return fail(ErrorKind::internal, fmt::format("cannot migrate: {}", ngtcp2_strerror(rv)));
  }
}

bool ConnectionImpl::update_keys(Instant now) {
  const ngtcp2_tstamp timestamp = to_timestamp(advance(now));
  return life_.is_open() && ngtcp2_conn_initiate_key_update(connection_, timestamp) == 0;
}

void ConnectionImpl::on_path_validated(const ngtcp2_path& path) {
  if (ngtcp2_path_eq(&path, ngtcp2_conn_get_path(connection_)) == 0) return;
  const PathId meant = paths_.names().meant_by(path);
  events_.push(PathChanged{meant});
  gate_.set_home(meant);
}

bool ConnectionImpl::on_new_connection_id(ngtcp2_cid& id, std::uint8_t* token, std::size_t size) {
  const auto made = ids_.make();
  if (!made || made->size != size) return false;
  id = to_cid(*made);
  std::ranges::copy(host_.reset_token(*made), token);
  return true;
}

void ConnectionImpl::on_connection_id_retired(const ngtcp2_cid& id) {
  ids_.retire({id.data, id.datalen});
}

void ConnectionImpl::on_peer_token(bool is_in_use, ByteView token) {
  if (is_in_use) {
    ids_.add_peer_token(token);
  } else {
    ids_.retire_peer_token(token);
  }
}

void ConnectionImpl::set_keep_alive() {
  ngtcp2_conn_set_keep_alive_timeout(connection_,
                                     loss_timer_.ping_after(host_.config().transport.keep_alive));
}

void ConnectionImpl::ping(Instant now) {
  // The timer that makes ngtcp2 send it counts from the last packet: seen later it would be one
  // that was not served, as after a stop.
  advance(now);
  if (!life_.is_open() || !is_established() || bytes_in_flight() > 0) return;
  loss_timer_.want_ping();
  set_keep_alive();
  stir();
}

bool ConnectionImpl::on_handshake_completed() {
  if (!tls_->complete()) {
    host_.log().warn("quic", "handshake completed without a proven key or application protocol");
    return false;
  }
  answer_.hurry();  // the peer waits for the end of the handshake
  tolerate_own_count_of_ids(*connection_);
  set_keep_alive();
  host_.log().debug("quic", "handshake completed peer={} alpn={}", tls_->peer().short_text(),
                    tls_->alpn());
  events_.push(HandshakeCompleted{.peer = tls_->peer(), .alpn = tls_->alpn()});
  return true;
}

}  // namespace culvert::quic
