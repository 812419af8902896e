#include "drive/client_tunnel.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace culvert::drive {
namespace {

constexpr std::size_t kMessagesPerTurn = 64;

}  // namespace

void open_stream_flow(Instant now, SessionSource& sessions, Worker& worker,
                      std::unique_ptr<StreamPort> port, ClientStreamFlowOptions options) {
  ClientSession* session = sessions.session();
  if (session == nullptr) {
    worker.log().debug("flow", "{}: no session, connection reset", options.source);
    port->reset();
    return;
  }
  const Multipath mode = options.multipath.value_or(session->context().config.multipath);
  session->with_new_stream(
      now, mode,
      [session, port = std::move(port), options = std::move(options)](
          Instant started, ClientSession::NewStream opened) mutable {
        if (opened.stream == nullptr) {
          const Error error{ErrorKind::unreachable, std::move(opened.why_none), options.source};
          session->context().worker.warnings().warn(started, error.text());
          refuse_local(*port, options, error.what);
          if (options.on_end) options.on_end(started, error);
          return;
        }
        if (options.group && options.group->is_closed()) {  // the tunnel went while it waited
          port->reset();
          session->carrier().reset(*opened.stream, 0);
          return;
        }
        session->add_flow(std::make_unique<ClientStreamFlow>(started, *session, *opened.stream,
                                                             std::move(port), std::move(options)));
      });
}

std::vector<StreamAddress> listen_addresses(const tunnel::Target& target) {
  switch (target.kind) {
    case tunnel::Target::Kind::unix_path:
      return {UnixPath{target.path}};
    case tunnel::Target::Kind::all_loopback:
      return {SocketAddress{IpAddress::loopback(Family::v4), target.address.port},
              SocketAddress{IpAddress::loopback(Family::v6), target.address.port}};
    case tunnel::Target::Kind::address:
      break;
  }
  return {target.address};
}

// --- TCP and Unix sockets --------------------------------------------------------------------

StreamTunnel::StreamTunnel(SessionSource& sessions, Worker& worker, const tunnel::TunnelSpec& spec,
                           std::shared_ptr<FlowGroup> flows)
    : sessions_(sessions), worker_(worker), spec_(spec), flows_(std::move(flows)) {}

Status StreamTunnel::open() {
  Error first_error;
  std::uint16_t port = spec_.target.address.port;
  for (StreamAddress address : listen_addresses(spec_.target)) {
    // With port 0, every loopback address gets the port that the first was given.
    if (auto* socket_address = std::get_if<SocketAddress>(&address)) socket_address->port = port;
    auto listener = worker_.host().listen_stream(address, *this);
    if (!listener) {
      worker_.log().debug("tunnel", "cannot listen on {}: {}", to_text(address),
                          listener.error().text());
      if (first_error.what.empty()) first_error = std::move(listener).error();
      continue;
    }
    const StreamAddress bound = (*listener)->local_address();
    if (const auto* socket_address = std::get_if<SocketAddress>(&bound)) {
      port = socket_address->port;
    }
    listeners_.push_back(std::move(*listener));
  }
  if (listeners_.empty()) {
    return std::unexpected(std::move(first_error).in("cannot listen on " + spec_.target.text()));
  }
  return {};
}

std::vector<std::string> StreamTunnel::local_addresses() const {
  std::vector<std::string> addresses;
  for (const auto& listener : listeners_) addresses.push_back(to_text(listener->local_address()));
  return addresses;
}

void StreamTunnel::on_accept(Instant now, std::unique_ptr<StreamPort> stream) {
  flows_->count_opened();
  open_stream_flow(now, sessions_, worker_, std::move(stream),
                   {.source = spec_.source.text(),
                    .multipath = spec_.options.multipath,
                    .on_reply = {},
                    .on_end = {},
                    .group = flows_});
}

// --- UDP -------------------------------------------------------------------------------------

UdpTunnel::UdpTunnel(SessionSource& sessions, Worker& worker, ClientContext& context,
                     const tunnel::TunnelSpec& spec, std::shared_ptr<FlowGroup> counters)
    : sessions_(sessions),
      worker_(worker),
      context_(context),
      spec_(spec),
      counters_(std::move(counters)),
      flows_(spec.options.udp_idle_timeout.value_or(context.config.udp_flow_idle),
             limits::kMaxUdpFlowsPerTunnel),
      expiry_(worker.timers(), *this) {}

UdpTunnel::~UdpTunnel() {
  *is_alive_ = false;
  for (const auto& socket : sockets_) {
    if (socket->port) worker_.egress().forget(*socket->port);
  }
}

Status UdpTunnel::open() {
  Error first_error;
  std::uint16_t port = spec_.target.address.port;
  for (const StreamAddress& address : listen_addresses(spec_.target)) {
    auto socket = std::make_unique<Socket>();
    socket->tunnel = this;
    socket->index = static_cast<std::uint16_t>(sockets_.size());
    SocketAddress bind = std::get<SocketAddress>(address);
    bind.port = port;
    const UdpOptions options{.bind = bind,
                             .is_dual_stack = bind.ip.is_v6() && bind.ip.is_unspecified(),
                             .has_large_buffers = true};
    auto opened = worker_.host().open_udp(options, *socket);
    if (!opened) {
      if (first_error.what.empty()) first_error = std::move(opened).error();
      continue;
    }
    socket->port = std::move(*opened);
    port = socket->port->local_address().port;
    sockets_.push_back(std::move(socket));
  }
  if (sockets_.empty()) {
    return std::unexpected(std::move(first_error).in("cannot listen on " + spec_.target.text()));
  }
  return {};
}

std::vector<std::string> UdpTunnel::local_addresses() const {
  std::vector<std::string> addresses;
  for (const auto& socket : sockets_) addresses.push_back(socket->port->local_address().text());
  return addresses;
}

void UdpTunnel::close(Instant now) {
  while (tunnel::UdpFlow* flow = flows_.idlest()) drop(now, *flow);
  for (const auto& socket : sockets_) worker_.egress().forget(*socket->port);
  sockets_.clear();
}

void UdpTunnel::on_readable(Instant now, Socket& socket) {
  std::array<RxDatagram, 16> batch;
  for (std::size_t taken = 0; taken < kMessagesPerTurn;) {
    const std::size_t count = socket.port->recv_batch(batch);
    if (count == 0) return;
    taken += count;
    for (const RxDatagram& datagram : std::span(batch).first(count)) {
      for_each_segment(datagram, [&](ByteView payload) {
        on_datagram(now, socket, datagram.path.remote, payload);
      });
    }
  }
}

void UdpTunnel::on_datagram(Instant now, Socket& socket, const SocketAddress& sender,
                            ByteView payload) {
  tunnel::UdpFlow* flow = flows_.find(sender, socket.index);
  if (flow == nullptr) {
    start_flow(now, socket, sender, payload);
    return;
  }
  flows_.touch(now, *flow);
  counters_->traffic().bytes_up += payload.size();
  // Null while the flow waits for a stream.
  if (auto* udp = static_cast<ClientUdpFlow*>(flow->context)) {
    udp->send(payload);
  } else {
    ++context_.stats.udp_dropped;
  }
}

void UdpTunnel::start_flow(Instant now, Socket& socket, const SocketAddress& sender,
                           ByteView payload) {
  ClientSession* session = sessions_.session();
  if (session == nullptr) {
    ++context_.stats.udp_dropped;
    return;
  }
  if (flows_.is_full()) drop(now, *flows_.idlest());
  const std::uint64_t id = session->next_flow_id();
  flows_.add(now, id, sender, socket.index);
  expiry_.set(flows_.next_timeout());
  counters_->count_opened();
  counters_->traffic().bytes_up += payload.size();
  session->with_new_stream(
      now, Multipath::fastest,
      [this, alive = is_alive_, session, id, first = Bytes(payload.begin(), payload.end())](
          Instant started, const ClientSession::NewStream& opened) {
        quic::Stream* stream = opened.stream;
        if (!*alive) {
          if (stream != nullptr) session->carrier().reset(*stream, 0);
          return;
        }
        if (stream == nullptr) {
          worker_.warnings().warn(started,
                                  fmt::format("{}: {}", spec_.source.text(), opened.why_none));
          ++context_.stats.udp_dropped;
          if (tunnel::UdpFlow* entry = flows_.find(id)) flows_.remove(*entry);
          return;
        }
        auto udp = std::make_unique<ClientUdpFlow>(
            started, *session, *stream,
            ClientUdpFlowOptions{
                .id = id,
                .source = spec_.source.text(),
                .multipath = spec_.options.multipath.value_or(context_.config.multipath)},
            *this);
        ClientUdpFlow& flow = *udp;
        session->add_flow(std::move(udp));
        flow.send(first);
        if (tunnel::UdpFlow* entry = flows_.find(id)) {
          entry->context = &flow;
        } else {
          flow.finish(started);  // expired while it waited
        }
      });
}

void UdpTunnel::on_udp_reply(Instant now, ClientUdpFlow& flow, ByteView payload) {
  tunnel::UdpFlow* entry = flows_.find(flow.id());
  if (entry == nullptr || entry->socket >= sockets_.size()) return;
  flows_.touch(now, *entry);
  counters_->traffic().bytes_down += payload.size();
  worker_.egress().send(*sockets_[entry->socket]->port, {.local = {}, .remote = entry->sender},
                        payload);
}

void UdpTunnel::on_udp_flow_ended(Instant, ClientUdpFlow& flow, const std::string&) {
  if (tunnel::UdpFlow* entry = flows_.find(flow.id())) flows_.remove(*entry);
}

void UdpTunnel::on_expiry(Instant now) {
  while (tunnel::UdpFlow* flow = flows_.poll_expired(now)) drop(now, *flow);
  expiry_.set(flows_.next_timeout());
}

void UdpTunnel::drop(Instant now, tunnel::UdpFlow& flow) {
  auto* udp = static_cast<ClientUdpFlow*>(flow.context);
  flows_.remove(flow);
  if (udp != nullptr) udp->finish(now);
}

}  // namespace culvert::drive
