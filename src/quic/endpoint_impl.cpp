#include "quic/endpoint_impl.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/probe.h"
#include "quic/packet_protection.h"

#include <algorithm>

namespace culvert::quic {
namespace {

ByteView to_view(const ngtcp2_cid& cid) {
  return {cid.data, cid.datalen};
}

bool is_long_header(ByteView bytes) {
  return (bytes[0] & 0x80) != 0;
}

}  // namespace

Result<std::unique_ptr<Endpoint>> Endpoint::create(EndpointConfig config, Rng& rng, Logger& log,
                                                   buffers::ChunkPool& chunks) {
  const ProtectionBackend protection = config.protection.value_or(best_protection());
  if (!is_available(protection)) {
    return fail(ErrorKind::configuration,
                "this machine lacks the packet protection that was asked for");
  }
  if (config.accepts_connections && config.alpns.empty()) {
    return fail(ErrorKind::configuration, "a server needs at least one application protocol");
  }
  CULVERT_TRY(auto credentials, TlsCredentials::create(config.identity));
  return std::unique_ptr<Endpoint>(std::make_unique<EndpointImpl>(
      std::move(config), std::move(credentials), protection, rng, log, chunks));
}

EndpointImpl::EndpointImpl(EndpointConfig config, std::unique_ptr<TlsCredentials> credentials,
                           ProtectionBackend protection, Rng& rng, Logger& log,
                           buffers::ChunkPool& chunks)
    : config_(std::move(config)),
      credentials_(std::move(credentials)),
      protection_(protection),
      rng_(rng),
      log_(log),
      chunks_(chunks),
      replies_(config_.static_secret, config_.identity, rng),
      by_id_(rng),
      by_peer_token_(rng),
      admission_(rng) {}

EndpointImpl::~EndpointImpl() = default;

// --- routing -----------------------------------------------------------------------------

ConnectionImpl* EndpointImpl::find(ByteView destination) {
  if (last_ != nullptr && std::ranges::equal(destination, last_id_.view())) return last_;
  ConnectionImpl* found = by_id_.find(destination);
  if (found != nullptr) {
    last_ = found;
    last_id_ = ConnectionId(destination);
  }
  return found;
}

Routing EndpointImpl::handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes,
                                      TxBuilder& replies) {
  ngtcp2_version_cid ids{};
  const int rv = bytes.empty() ? NGTCP2_ERR_INVALID_ARGUMENT
                               : ngtcp2_pkt_decode_version_cid(&ids, bytes.data(), bytes.size(),
                                                               kConnectionIdBytes);
  if (rv != 0 && rv != NGTCP2_ERR_VERSION_NEGOTIATION) {
    ++stats_.dropped_malformed;
    return Dropped{};
  }
  const ByteView destination(ids.dcid, ids.dcidlen);
  if (ConnectionImpl* connection = find(destination); connection != nullptr) {
    connection->handle_datagram(now, path, ecn, bytes);
    return RoutedTo{connection};
  }
  const Arrival arrival{.now = now, .path = path, .ecn = ecn, .bytes = bytes};
  if (!is_long_header(bytes)) return handle_unknown_short(arrival, destination, replies);
  return handle_unknown_long(arrival, ids, replies);
}

bool EndpointImpl::belongs_elsewhere(ByteView destination) const {
  return destination.size() == kConnectionIdBytes && destination[0] != config_.worker_index &&
         destination[0] < config_.worker_count;
}

Routing EndpointImpl::handle_unknown_short(const Arrival& arrival, ByteView destination,
                                           TxBuilder& replies) {
  // A stateless reset looks like a packet with random ids; its last bytes tell whose it is.
  if (arrival.bytes.size() >= kMinStatelessResetBytes) {
    ConnectionImpl* reset =
        by_peer_token_.find(arrival.bytes.last(NGTCP2_STATELESS_RESET_TOKENLEN));
    if (reset != nullptr) {
      reset->handle_datagram(arrival.now, arrival.path, arrival.ecn, arrival.bytes);
      return RoutedTo{reset};
    }
  }
  if (belongs_elsewhere(destination)) return BelongsToWorker{destination[0]};
  ++stats_.dropped_unknown;
  if (replies_.write_reset(arrival.now, arrival.path, ConnectionId(destination),
                           arrival.bytes.size(), replies)) {
    CULVERT_PROBE("quic.a packet of a connection that is gone");
    ++stats_.stateless_resets_sent;
  }
  return Dropped{};
}

Routing EndpointImpl::handle_unknown_long(const Arrival& arrival, const ngtcp2_version_cid& ids,
                                          TxBuilder& replies) {
  if (!config_.accepts_connections || ids.version == 0) {  // 0: Version Negotiation itself
    ++stats_.dropped_unknown;
    return Dropped{};
  }
  if (ids.version != NGTCP2_PROTO_VER_V1) {
    // RFC 9000 6.1, 14.1: only datagrams as large as an Initial must be are answered.
    if (arrival.bytes.size() >= NGTCP2_MAX_UDP_PAYLOAD_SIZE &&
        replies_.write_version_negotiation(arrival.now, arrival.path, {ids.dcid, ids.dcidlen},
                                           {ids.scid, ids.scidlen}, replies)) {
      ++stats_.version_negotiations_sent;
    } else {
      ++stats_.dropped_unknown;
    }
    return Dropped{};
  }
  ngtcp2_pkt_hd initial;
  if (ngtcp2_accept(&initial, arrival.bytes.data(), arrival.bytes.size()) != 0) {
    // Of a connection that is gone, or too small for a first packet.
    if (belongs_elsewhere({ids.dcid, ids.dcidlen})) return BelongsToWorker{ids.dcid[0]};
    ++stats_.dropped_unknown;
    return Dropped{};
  }
  return handle_initial(arrival, initial, replies);
}

// --- accepting ---------------------------------------------------------------------------

Routing EndpointImpl::handle_initial(const Arrival& arrival, const ngtcp2_pkt_hd& initial,
                                     TxBuilder& replies) {
  // The client wants the worker that has its session (ConnectOptions::worker).
  if (belongs_elsewhere(to_view(initial.dcid))) {
    CULVERT_PROBE("quic.a first packet asks for another worker");
    return BelongsToWorker{initial.dcid.data[0]};
  }
  const CheckedToken token = replies_.check_token(arrival.now, arrival.path, initial);
  if (token.verdict == TokenVerdict::invalid) {
    // A client takes only one Retry, so a second one would not help (RFC 9000 8.1.2).
    ++stats_.dropped_unknown;
    replies_.write_refusal(arrival.now, arrival.path, initial, NGTCP2_INVALID_TOKEN, replies);
    return Dropped{};
  }
  // Who has a ticket has no need to show that he gets what is sent to him: nobody could spend
  // the ticket in another's name, and a Retry would take the place of it.
  if (token.verdict == TokenVerdict::none && !token.ticket &&
      admission_.size() >= limits::kRetryThreshold) {
    return send_retry(arrival, initial, replies);
  }
  return accept(arrival, initial, token, replies);
}

Routing EndpointImpl::send_retry(const Arrival& arrival, const ngtcp2_pkt_hd& initial,
                                 TxBuilder& replies) {
  if (replies_.write_retry(arrival.now, arrival.path, initial, make_connection_id(), replies)) {
    ++stats_.retries_sent;
  } else {
    ++stats_.dropped_unknown;
  }
  return Dropped{};
}

Routing EndpointImpl::accept(const Arrival& arrival, const ngtcp2_pkt_hd& initial,
                             const CheckedToken& token, TxBuilder& replies) {
  // Before TLS, which is what costs. Without a proven address nobody is displaced: Retry comes
  // before places are scarce.
  const auto admitted = admission_.apply(arrival.now, arrival.path.remote.ip, token.ticket);
  if (!admitted.place) {
    ++stats_.refused;
    replies_.write_refusal(arrival.now, arrival.path, initial, NGTCP2_CONNECTION_REFUSED, replies);
    return Dropped{};
  }
  if (admitted.displaced) displace(arrival.now, *admitted.displaced);

  AcceptedInitial accepted;
  accepted.destination = ConnectionId(to_view(initial.dcid));
  accepted.source = ConnectionId(to_view(initial.scid));
  accepted.version = initial.version;
  if (token.verdict == TokenVerdict::valid) {
    accepted.token = {initial.token, initial.tokenlen};
    accepted.original_destination = token.original_destination;
  }
  auto made = ConnectionImpl::accept(*this, arrival.now, arrival.path, accepted);
  if (!made) {
    log_.warn("quic", "cannot accept a connection from={} what={}", arrival.path.remote.text(),
              made.error().text());
    ++stats_.dropped_unknown;
    admission_.leave(*admitted.place);
    return Dropped{};
  }
  const std::unique_ptr<ConnectionImpl>& connection = *made;
  connection->handle_datagram(arrival.now, arrival.path, arrival.ecn, arrival.bytes);
  if (connection->wants_retry()) {
    admission_.withdraw(arrival.now, *admitted.place);
    return send_retry(arrival, initial, replies);
  }
  if (connection->was_dropped()) {  // only looked like an Initial, perhaps in another's name
    ++stats_.dropped_malformed;
    admission_.withdraw(arrival.now, *admitted.place);
    return Dropped{};
  }
  ++stats_.accepted;
  ConnectionImpl* routed = connection.get();
  routed->place = admitted.place;
  by_place_.emplace(*admitted.place, routed);
  if (routed->is_closed()) admission_.set_over(*admitted.place);  // its ClientHello was refused
  connections_.emplace(routed, std::move(*made));
  return RoutedTo{routed};
}

void EndpointImpl::accept_protocols(std::vector<std::string> alpns) {
  config_.accepts_connections = !alpns.empty();
  config_.alpns = std::move(alpns);
}

Result<Connection*> EndpointImpl::connect(Instant now, const PathId& path,
                                          const ConnectOptions& options) {
  CULVERT_TRY(auto connection, ConnectionImpl::connect(*this, now, path, options));
  ConnectionImpl* connected = connection.get();
  connections_.emplace(connected, std::move(connection));
  return connected;
}

void EndpointImpl::remove(Connection& connection) {
  const auto found = connections_.find(&connection);
  CULVERT_ASSERT(found != connections_.end());
  ConnectionImpl& removed = *found->second;
  if (removed.place) {
    admission_.leave(*removed.place);
    by_place_.erase(*removed.place);
  }
  connections_.erase(found);
}

void EndpointImpl::set_authenticated(Connection& connection) {
  const auto found = connections_.find(&connection);
  CULVERT_ASSERT(found != connections_.end());
  ConnectionImpl& connected = *found->second;
  if (!connected.place) return;
  admission_.authenticated(connected.last_now(), *connected.place);
  by_place_.erase(*connected.place);
  connected.place.reset();
  connected.give_ticket(replies_.make_ticket(connected.peer()));
}

void EndpointImpl::displace(Instant now, Admission::Place place) {
  const auto found = by_place_.find(place);
  CULVERT_ASSERT(found != by_place_.end());
  ConnectionImpl& connection = *found->second;
  by_place_.erase(found);
  connection.place.reset();
  connection.displace(now);
  ++stats_.refused;
  ++stats_.displaced;
}

void EndpointImpl::on_over(ConnectionImpl& connection) {
  if (connection.place) admission_.set_over(*connection.place);
}

void EndpointImpl::keep_ticket(const crypto::EndpointId& server, ByteView ticket) {
  if (ticket.empty() || ticket.size() > limits::kMaxTicketBytes) return;
  if (tickets_.size() >= limits::kMaxTickets && !tickets_.contains(server)) {
    tickets_.erase(tickets_.begin());
  }
  tickets_[server] = Bytes(ticket.begin(), ticket.end());
}

ByteView EndpointImpl::ticket_for(const crypto::EndpointId& server) const {
  const auto found = tickets_.find(server);
  return found == tickets_.end() ? ByteView{} : ByteView(found->second);
}

// --- connection ids ------------------------------------------------------------------------

ConnectionId EndpointImpl::make_connection_id() {
  std::array<std::uint8_t, kConnectionIdBytes> bytes;
  do {
    bytes[0] = config_.worker_index;
    rng_.fill(ByteSpan(bytes).subspan(1));
  } while (by_id_.find(bytes) != nullptr);
  return ConnectionId(bytes);
}

ResetToken EndpointImpl::reset_token(const ConnectionId& id) {
  return replies_.reset_token(id);
}

bool EndpointImpl::register_id(const ConnectionId& id, ConnectionImpl* connection) {
  return by_id_.insert(id, connection);
}

void EndpointImpl::unregister_id(const ConnectionId& id) {
  by_id_.erase(id);
  last_ = nullptr;
}

bool EndpointImpl::register_peer_token(const ConnectionId& token, ConnectionImpl* connection) {
  return by_peer_token_.insert(token, connection);
}

void EndpointImpl::unregister_peer_token(const ConnectionId& token) {
  by_peer_token_.erase(token);
}

}  // namespace culvert::quic
