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

// Queued DATAGRAMs besides the bound in bytes: that many of 64 bytes.
constexpr std::size_t kMaxQueuedDatagrams = limits::kDatagramQueueBytes / 64;
// Our client's first destination id: unpredictable (RFC 9000 7.2 asks for 8 bytes or more).
constexpr std::size_t kFirstDestinationBytes = 16;

constexpr Duration kMaxAckDelay = std::chrono::milliseconds(25);  // RFC 9000 18.2, the default

// What ngtcp2 1.11 holds for a stream, with the first piece of what came out of order.
constexpr std::size_t kLibraryBytesOfStream = 1024;
// The budget is told of what else it holds in such steps.
constexpr std::size_t kLibraryStep = 64 * 1024;

ngtcp2_cid to_cid(const ConnectionId& id) {
  ngtcp2_cid cid;
  ngtcp2_cid_init(&cid, id.bytes.data(), id.size);
  return cid;
}

}  // namespace

ConnectionImpl::ConnectionImpl(ConnectionHost& host, Instant now, bool is_client)
    : host_(host),
      is_client_(is_client),
      has_own_pacer_(BbrControl::kIsBuiltIn ||
                     host.config().transport.congestion_control == CongestionControl::cubic),
      ids_(host, this),
      streams_(host.chunks()),
      credit_(std::make_shared<buffers::SessionBudget>(2 * limits::kConnectionWindowFirst)),
      incoming_datagrams_(limits::kDatagramQueueBytes, kMaxQueuedDatagrams),
      outgoing_datagrams_(limits::kDatagramQueueBytes, kMaxQueuedDatagrams),
      scheduler_(streams_, outgoing_datagrams_, *this),
      library_context_{.rng = &host.rng(), .bbr = &bbr_control_},
      streams_granted_(host.config().transport.initial_streams_bidi),
      streams_allowed_(streams_granted_),
      clock_(now) {}

ConnectionImpl::~ConnectionImpl() {
  // First ngtcp2, which points into streams and TLS.
  if (connection_ != nullptr) ngtcp2_conn_del(connection_);
  for (const auto& stream : streams_.all()) credit_.budget().let_go(stream->held);
  credit_.budget().let_go(datagrams_held_);
  credit_.budget().release(datagrams_waiting_);
  static_cast<void>(credit_.budget().count_library(library_counted_, 0));
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
      make_settings(config.transport, to_timestamp(clock_.last()), library_context_);
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
  if (is_client_ && tls_options.peer) {
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

  if (is_client_ && path.local.ip.is_unspecified()) wildcard_local_ = path.local;
  path_guard_.set_home(path);
  const PathStorage storage(path);
  const ngtcp2_callbacks callbacks = make_callbacks(host_.protection());
  const int rv =
      is_client_ ? ngtcp2_conn_client_new(&connection_, &destination_cid, &source_cid,
                                          storage.path(), NGTCP2_PROTO_VER_V1, &callbacks,
                                          &settings, &params, library_memory_.allocator(), this)
                 : ngtcp2_conn_server_new(&connection_, &destination_cid, &source_cid,
                                          storage.path(), initial->version, &callbacks, &settings,
                                          &params, library_memory_.allocator(), this);
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
  if (life_ == Life::open && clock_.is_suspicious(now)) account_for_stop(now);
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

PathId ConnectionImpl::arrival_path(const PathId& path) const {
  if (!wildcard_local_ || path.local.port != wildcard_local_->port) return path;
  return {.local = *wildcard_local_, .remote = path.remote};
}

void ConnectionImpl::handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes) {
  advance(now);
  ++stats_.packets_received;
  heard_at_ = now;
  stats_.bytes_received += bytes.size();
  if (life_ != Life::open) {
    if (life_ == Life::closing) close_packet_.on_received();
    return;
  }
  if (is_client_ && !has_ended_handshake_) {
    bytes = early_packets_.hold(path, ecn, bytes);
    if (bytes.empty()) return;
  }
  read_early_packets(now);
  if (life_ != Life::open) return;
  if (is_client_) return read(now, path, ecn, bytes);
  const auto told = path_guard_.judge(now, round_trip_, path, ecn, bytes);
  read_guarded(now);
  if (told && life_ == Life::open) read(now, *told, ecn, bytes);
}

void ConnectionImpl::read_guarded(Instant now) {
  if (!path_guard_.has_some_to_take(now)) return;
  for (const PathGuard::Datagram& held : path_guard_.take()) {
    if (life_ == Life::open) read(now, held.path, held.ecn, held.bytes);
  }
}

void ConnectionImpl::read_early_packets(Instant now) {
  if (!has_early_packets_to_read()) return;
  for (const EarlyPackets::Packet& packet : early_packets_.take()) {
    if (life_ == Life::open) read(now, packet.path, packet.ecn, packet.bytes);
  }
}

void ConnectionImpl::read(Instant now, const PathId& path, Ecn ecn, ByteView bytes) {
  const ngtcp2_pkt_info info{.ecn = static_cast<std::uint8_t>(ecn)};
  const ngtcp2_path* from = wildcard_local_ ? rx_path_.get(arrival_path(path)) : rx_path_.get(path);
  const int rv =
      ngtcp2_conn_read_pkt(connection_, from, &info, bytes.data(), bytes.size(), library_now());
  settle_acknowledged();
  may_have_stopped_ = true;
  if (was_reset_) {
    begin_drain();
    report(closed_by_stateless_reset(is_established_));
    return;
  }
  switch (rv) {
    case 0:
      if (!check_peer()) return;
      answer_.on_received(now);
      return;
    case NGTCP2_ERR_DRAINING:
      begin_drain();
      report(closed_by_peer(*ngtcp2_conn_get_ccerr(connection_), is_established_));
      return;
    case NGTCP2_ERR_DROP_CONN:
      was_dropped_ = true;
      life_ = Life::drained;
      report(closed_by_error(rv, 0, is_established_));
      return;
    case NGTCP2_ERR_RETRY:
      wants_retry_ = true;
      life_ = Life::drained;
      return;
    default:
      fail_with(rv);
  }
}

bool ConnectionImpl::check_peer() {
  const bool was_lied_to = bbr_control_.was_lied_to();
  if (!was_lied_to && !is_library_bloated()) return true;
  report(was_lied_to ? closed_by_false_acknowledgement() : closed_by_excess());
  close_packet_.set_transport_error(was_lied_to ? NGTCP2_PROTOCOL_VIOLATION
                                                : NGTCP2_INTERNAL_ERROR);
  begin_close();
  return false;
}

// What the peer may send ahead may wait out of order. Beside that there are notes of packets and
// streams.
bool ConnectionImpl::is_library_bloated() {
  const std::size_t usual = credit_.ahead() + streams_.size() * kLibraryBytesOfStream;
  const std::size_t bytes = library_memory_.bytes();
  const std::size_t beyond = bytes > usual ? bytes - usual : 0;
  const std::size_t rounded = beyond / kLibraryStep * kLibraryStep;
  if (rounded == library_counted_) return false;
  return !credit_.budget().count_library(library_counted_, rounded) ||
         beyond > limits::kLibraryBytes;
}

void ConnectionImpl::handle_timeout(Instant now) {
  advance(now);
  if (life_ == Life::drained) return;
  if (life_ != Life::open) {
    if (now >= drained_at_) life_ = Life::drained;
    return;
  }
  may_have_stopped_ = true;
  rest_datagrams();
  read_early_packets(now);
  if (life_ == Life::open) read_guarded(now);
  if (life_ != Life::open) return;
  if (credit_.next_timeout() <= clock_.last()) extend_connection();
  may_owe_probes_ = true;
  if (const int rv = ngtcp2_conn_handle_expiry(connection_, library_now()); rv != 0) fail_with(rv);
}

Instant ConnectionImpl::next_timeout() const {
  switch (life_) {
    case Life::open:
      if (has_early_packets_to_read()) return clock_.last_of_ours();
      // Also where ngtcp2 names a later time: what it lost or owes has no timer of its own,
      // it expects to be asked after every packet.
      if (is_holding_answer()) {
        return std::min({answer_.due(), repeats_.next_due(), path_guard_.next_due()});
      }
      return std::min({from_library(ngtcp2_conn_get_expiry(connection_)), paced_until(),
                       repeats_.next_due(), path_guard_.next_due(),
                       clock_.to_ours(credit_.next_timeout())});
    case Life::drained:
      return kNever;
    default:
      return drained_at_;
  }
}

// --- state ---------------------------------------------------------------------------------

PathId ConnectionImpl::path() const {
  return to_path_id(*ngtcp2_conn_get_path(connection_));
}

ConnectionStats ConnectionImpl::stats() const {
  ConnectionStats stats = stats_;
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
  stats.packets_lost = datagrams_lost_ + lost_with_closed_streams_;
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
  return {.packets_received = stats_.packets_received,
          .heard_at = heard_at_,
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
  if (!is_established_) {
    return fail(ErrorKind::internal, "the TLS exporter was used before the handshake completed");
  }
  return tls_->export_keying_material(label, context, out);
}

Status ConnectionImpl::migrate(Instant now, const PathId& path, Migration migration) {
  const ngtcp2_tstamp timestamp = to_timestamp(advance(now));
  if (life_ != Life::open || !is_client_) {
    return fail(ErrorKind::internal, "only the client of an open connection can migrate");
  }
  answer_.hurry();
  stir();
  const PathStorage storage(path);
  const auto initiate = migration == Migration::at_once ? ngtcp2_conn_initiate_immediate_migration
                                                        : ngtcp2_conn_initiate_migration;
  switch (const int rv = initiate(connection_, storage.path(), timestamp)) {
    case 0:
      if (path.local.ip.is_unspecified()) wildcard_local_ = path.local;
      return {};
    case NGTCP2_ERR_INVALID_STATE:
      return fail(ErrorKind::refused,
                  "cannot migrate: the handshake is not confirmed yet, or the peer forbids it");
    case NGTCP2_ERR_CONN_ID_BLOCKED:
      return fail(ErrorKind::limit, "cannot migrate now: the peer gave no spare connection id");
    case NGTCP2_ERR_INVALID_ARGUMENT:
      return fail(ErrorKind::internal, "cannot migrate: the connection already uses this address",
                  path.local.text());
    default:
      return fail(ErrorKind::internal, fmt::format("cannot migrate: {}", ngtcp2_strerror(rv)));
  }
}

bool ConnectionImpl::update_keys(Instant now) {
  const ngtcp2_tstamp timestamp = to_timestamp(advance(now));
  return life_ == Life::open && ngtcp2_conn_initiate_key_update(connection_, timestamp) == 0;
}

void ConnectionImpl::on_path_validated(const ngtcp2_path& path) {
  if (ngtcp2_path_eq(&path, ngtcp2_conn_get_path(connection_)) == 0) return;
  events_.emplace_back(PathChanged{to_path_id(path)});
  path_guard_.set_home(to_path_id(path));
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
  if (life_ != Life::open || !is_established_ || bytes_in_flight() > 0) return;
  loss_timer_.want_ping();
  set_keep_alive();
  stir();
}

bool ConnectionImpl::on_handshake_completed() {
  if (!tls_->is_agreed()) {
    host_.log().warn("quic", "handshake completed without a proven key or application protocol");
    return false;
  }
  is_established_ = true;
  answer_.hurry();  // the peer waits for the end of the handshake
  alpn_ = tls_->alpn();
  tolerate_own_count_of_ids(*connection_);
  set_keep_alive();
  host_.log().debug("quic", "handshake completed peer={} alpn={}", tls_->peer().short_text(),
                    alpn_);
  events_.emplace_back(HandshakeCompleted{.peer = tls_->peer(), .alpn = alpn_});
  return true;
}

}  // namespace culvert::quic
