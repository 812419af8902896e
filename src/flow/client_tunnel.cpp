#include "flow/client_tunnel.h"

#include "flow/udp_ingress.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::flow {

void open_stream_flow(Instant now, SessionSource& sessions, drive::Worker& worker,
                      std::unique_ptr<StreamPort> port, ClientStreamFlowOptions options) {
  peer::ClientSession* session = sessions.session();
  if (session == nullptr) {
    worker.log().debug("flow", "{}: no session, connection reset", options.source);
    port->reset();
    return;
  }
  session->with_new_stream(
      now, [session, port = std::move(port), options = std::move(options)](
               Instant started, peer::ClientSession::NewStream opened) mutable {
        if (opened.stream == nullptr) {
          const Error error{ErrorKind::unreachable, std::move(opened.why_none), options.source};
          session->context().worker.warnings().warn(started, error.text());
          refuse_local(*port, options, error.what);
          if (options.on_end) options.on_end(started, error);
          return;
        }
        if (options.group && options.group->is_closed()) {  // the tunnel went while it waited
          port->reset();
          opened.stream->reset(0);
          return;
        }
        session->add_flow(std::make_unique<ClientStreamFlow>(started, *session, *opened.stream,
                                                             std::move(port), std::move(options)));
      });
}

// --- TCP and Unix sockets --------------------------------------------------------------------

StreamTunnel::StreamTunnel(SessionSource& sessions, drive::Worker& worker,
                           const tunnel::TunnelSpec& spec, std::shared_ptr<FlowGroup> flows)
    : sessions_(sessions),
      worker_(worker),
      spec_(spec),
      flows_(std::move(flows)),
      places_(spec.target) {}

void StreamTunnel::open_due(Instant now) {
  places_.open_due(
      now, [this](std::size_t place, const StreamAddress& at) -> Result<StreamAddress> {
        auto listener = std::make_unique<Listener>(*this, places_.port_offset(place));
        CULVERT_TRY(listener->port, worker_.host().listen_stream(at, Purpose::listener, *listener));
        listeners_.push_back(std::move(listener));
        return listeners_.back()->port->local_address();
      });
}

void StreamTunnel::on_accept(Instant now, const Listener& listener,
                             std::unique_ptr<StreamPort> stream) {
  flows_->count_opened();
  open_stream_flow(now, sessions_, worker_, std::move(stream),
                   {.source = spec_.source.at(listener.port_offset).text(),
                    .multipath = spec_.options.multipath,
                    .on_reply = {},
                    .on_end = {},
                    .group = flows_});
}

// --- UDP -------------------------------------------------------------------------------------

UdpTunnel::UdpTunnel(SessionSource& sessions, drive::Worker& worker, peer::ClientContext& context,
                     const tunnel::TunnelSpec& spec, std::shared_ptr<FlowGroup> counters)
    : sessions_(sessions),
      worker_(worker),
      context_(context),
      spec_(spec),
      places_(spec.target),
      counters_(std::move(counters)),
      flows_(spec.options.udp_idle_timeout.value_or(context.config.policy.udp_flow_idle),
             limits::kMaxUdpFlowsPerTunnel),
      expiry_(worker.timers(), *this) {}

UdpTunnel::~UdpTunnel() {
  alive_.end();
  for (const auto& socket : sockets_) {
    if (socket->port) worker_.egress().forget(*socket->port);
  }
}

void UdpTunnel::open_due(Instant now) {
  places_.open_due(now,
                   [this](std::size_t place, const StreamAddress& at) -> Result<StreamAddress> {
                     auto socket = std::make_unique<Socket>();
                     socket->tunnel = this;
                     socket->index = static_cast<std::uint16_t>(sockets_.size());
                     socket->port_offset = places_.port_offset(place);
                     // Of many ports few are busy at a time.
                     const UdpOptions options{.purpose = Purpose::listener,
                                              .bind = std::get<SocketAddress>(at),
                                              .has_large_buffers = spec_.target.port_count == 1};
                     CULVERT_TRY(socket->port, worker_.host().open_udp(options, *socket));
                     sockets_.push_back(std::move(socket));
                     return sockets_.back()->port->local_address();
                   });
}

void UdpTunnel::close(Instant now) {
  while (tunnel::UdpFlow* flow = flows_.idlest()) drop(now, *flow);
  for (const auto& socket : sockets_) worker_.egress().forget(*socket->port);
  sockets_.clear();
}

void UdpTunnel::on_readable(Instant now, Socket& socket) {
  take_datagrams(*socket.port, [&](const PathId& path, ByteView payload) {
    on_datagram(now, socket, path, payload);
  });
}

void UdpTunnel::on_datagram(Instant now, Socket& socket, const PathId& path, ByteView payload) {
  tunnel::UdpFlow* flow = flows_.find(path.remote, socket.index);
  if (flow == nullptr) {
    start_flow(now, socket, path, payload);
    return;
  }
  flow->local = path.local.ip;
  flows_.touch(now, *flow);
  counters_->traffic().to_stream += payload.size();
  // Null while the flow waits for a stream.
  if (auto* udp = static_cast<ClientUdpFlow*>(flow->context)) {
    udp->send(payload);
  } else {
    ++context_.stats.udp_dropped;
  }
}

void UdpTunnel::start_flow(Instant now, Socket& socket, const PathId& path, ByteView payload) {
  peer::ClientSession* session = sessions_.session();
  if (session == nullptr) {
    ++context_.stats.udp_dropped;
    return;
  }
  if (flows_.is_full()) drop(now, *flows_.idlest());
  const std::uint64_t id = session->next_flow_id();
  flows_.add(now, id, path.remote, socket.index).local = path.local.ip;
  expiry_.set(flows_.next_timeout());
  counters_->count_opened();
  counters_->traffic().to_stream += payload.size();
  session->with_new_stream(
      now, [this, alive = alive_.token(), session, id, offset = socket.port_offset,
            first = Bytes(payload.begin(), payload.end())](
               Instant started, const peer::ClientSession::NewStream& opened) {
        quic::Stream* stream = opened.stream;
        if (!alive) {
          if (stream != nullptr) stream->reset(0);
          return;
        }
        if (stream == nullptr) {
          worker_.warnings().warn(
              started, fmt::format("{}: {}", spec_.source.at(offset).text(), opened.why_none));
          ++context_.stats.udp_dropped;
          if (tunnel::UdpFlow* entry = flows_.find(id)) flows_.remove(*entry);
          return;
        }
        auto udp = std::make_unique<ClientUdpFlow>(
            started, *session, *stream,
            ClientUdpFlowOptions{
                .id = id,
                .source = spec_.source.at(offset).text(),
                .multipath = spec_.options.multipath.value_or(context_.config.policy.multipath)},
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
  counters_->traffic().from_stream += payload.size();
  // From the address that the sender asked: it knows no other.
  worker_.egress().send(*sockets_[entry->socket]->port,
                        {.local = {entry->local, 0}, .remote = entry->sender}, payload);
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

}  // namespace culvert::flow
