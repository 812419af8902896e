#include "flow/client_socks.h"

#include "base/limits.h"
#include "flow/udp_ingress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::flow {
namespace {

using tunnel::SocksReply;

constexpr std::size_t kReadBytes = 1024;

SocksReply reply_code(const session::FlowReply& reply) {
  const auto* refused = std::get_if<session::FlowRefused>(&reply);
  if (refused == nullptr) return SocksReply::succeeded;
  switch (refused->code) {
    case session::RefusalCode::not_allowed:
      return SocksReply::not_allowed;
    case session::RefusalCode::not_resolved:
    case session::RefusalCode::unreachable:
      return SocksReply::host_unreachable;
    case session::RefusalCode::dial_refused:
      return SocksReply::connection_refused;
    case session::RefusalCode::dial_timeout:
      return SocksReply::ttl_expired;
    default:
      return SocksReply::general_failure;
  }
}

}  // namespace

SocksConnection::SocksConnection(Instant now, SocksListener& listener,
                                 std::unique_ptr<StreamPort> port)
    : listener_(listener), port_(std::move(port)), timeout_(listener.worker().timers(), *this) {
  port_->set_handler(*this);
  port_->want_readable();
  timeout_.set(now + limits::kProxyRequestTimeout);
}

SocksConnection::~SocksConnection() {
  alive_.end();
  if (udp_) listener_.worker().egress().forget(*udp_);
}

void SocksConnection::on_stream_failed(Instant now, const Error&) {
  end(now);
}

// Reads no further than the request, byte by byte: what follows belongs to the flow, and an
// optimistic client sends it before the reply. A request is small (limits::kProxyHeadBytes).
void SocksConnection::on_stream_readable(Instant now) {
  std::array<std::uint8_t, kReadBytes> buffer;
  const std::array<ByteSpan, 1> spans{ByteSpan(buffer).first(udp_ ? kReadBytes : 1)};
  while (port_ != nullptr) {
    const IoResult result = port_->try_read(spans);
    if (result.status == IoStatus::would_block) {
      port_->want_readable();
      return;
    }
    if (result.status != IoStatus::ok) {
      end(now);
      return;
    }
    if (udp_) continue;  // an association's TCP connection carries nothing
    proxy_.handle_data(ByteView(buffer).first(result.bytes));
    write(proxy_.take_output());
    if (const auto event = proxy_.poll_event()) {
      handle_event(now, *event);
      if (!udp_) return;
    }
  }
}

void SocksConnection::write(ByteView bytes) {
  if (bytes.empty() || port_ == nullptr) return;
  const std::array<ByteView, 1> views{bytes};
  // A few bytes into an empty socket buffer; should it refuse, the client times out.
  static_cast<void>(port_->try_write(views));
}

void SocksConnection::handle_event(Instant now, const tunnel::SocksEvent& event) {
  timeout_.cancel();
  if (const auto* request = std::get_if<tunnel::SocksConnect>(&event)) {
    connect(now, request->destination);
  } else if (const auto* association = std::get_if<tunnel::SocksUdpAssociate>(&event)) {
    associate(now, association->sender);
  } else {
    listener_.note_refusal(now, std::get<tunnel::SocksRefused>(event).why);
    if (port_) port_->shutdown_write();
    end(now);
  }
}

void SocksConnection::connect(Instant now, const HostPort& destination) {
  auto source = tunnel::Source::parse("tcp://" + destination.text());
  const tunnel::ProxyProtocol protocol = proxy_.protocol();
  if (!source) {
    write(tunnel::ProxyServer::reply(protocol, SocksReply::general_failure));
    port_->shutdown_write();
    end(now);
    return;
  }
  open_stream_flow(now, listener_.sessions(), listener_.worker(), std::move(port_),
                   {.source = source->text(),
                    .on_reply =
                        [protocol](const session::FlowReply& reply) {
                          return tunnel::ProxyServer::reply(protocol, reply_code(reply));
                        },
                    .on_end = {}});
  end(now);
}

// --- UDP ASSOCIATE -----------------------------------------------------------------------------

void SocksConnection::associate(Instant now, const HostPort& announced) {
  // At the very address that the client reached us by: it has a route there, and the answer
  // must name an address (a listener may be at 0.0.0.0).
  const auto ends = port_->ends();
  Result<std::unique_ptr<UdpPort>> udp = fail(ErrorKind::io, "not a TCP connection", "SOCKS5");
  if (ends) udp = listener_.worker().host().open_udp({.bind = {ends->local.ip, 0}}, *this);
  if (!udp) {
    listener_.worker().warnings().warn(
        now, fmt::format("SOCKS5 UDP ASSOCIATE refused: {}", udp.error().text()));
    write(tunnel::Socks5Server::reply(SocksReply::general_failure, {}));
    end(now);
    return;
  }
  udp_ = std::move(*udp);
  udp_owner_.emplace(ends->remote.ip, announced);
  write(tunnel::Socks5Server::reply(SocksReply::succeeded, udp_->local_address()));
}

void SocksConnection::on_udp_readable(Instant now) {
  take_datagrams(*udp_,
                 [&](const PathId& path, ByteView payload) { relay(now, path.remote, payload); });
}

void SocksConnection::relay(Instant now, const SocketAddress& sender, ByteView bytes) {
  auto& dropped = listener_.context().stats.udp_dropped;
  const auto datagram = tunnel::decode_socks_datagram(bytes);
  if (!datagram || !udp_owner_->admits(sender)) {
    ++dropped;
    return;
  }
  if (const auto known = flows_.find(datagram->destination); known != flows_.end()) {
    if (known->second != nullptr) known->second->send(datagram->payload);
    return;
  }
  const auto source = tunnel::Source::parse("udp://" + datagram->destination.text());
  peer::ClientSession* session = listener_.sessions().session();
  if (!source || session == nullptr || flows_.size() >= limits::kMaxProxyDestinations) {
    ++dropped;
    return;
  }
  flows_[datagram->destination] = nullptr;
  session->with_new_stream(now, [this, alive = alive_.token(), session,
                                 destination = datagram->destination, text = source->text(),
                                 first = Bytes(datagram->payload.begin(), datagram->payload.end())](
                                    Instant started, const peer::ClientSession::NewStream& opened) {
    quic::Stream* stream = opened.stream;
    if (!alive) {
      if (stream != nullptr) stream->reset(0);
      return;
    }
    if (stream == nullptr) {
      listener_.worker().warnings().warn(started, fmt::format("{}: {}", text, opened.why_none));
      ++listener_.context().stats.udp_dropped;
      flows_.erase(destination);
      return;
    }
    auto udp = std::make_unique<ClientUdpFlow>(
        started, *session, *stream,
        ClientUdpFlowOptions{.id = session->next_flow_id(),
                             .source = text,
                             .multipath = session->context().config.policy.multipath},
        *this);
    ClientUdpFlow& flow = *udp;
    session->add_flow(std::move(udp));
    flow.send(first);
    flows_[destination] = &flow;
    by_flow_[&flow] = destination;
  });
}

void SocksConnection::on_udp_reply(Instant, ClientUdpFlow& flow, ByteView payload) {
  const auto destination = by_flow_.find(&flow);
  if (destination == by_flow_.end() || !udp_ || !udp_owner_->address()) return;
  Bytes datagram;
  tunnel::encode_socks_datagram_header(destination->second, datagram);
  datagram.insert(datagram.end(), payload.begin(), payload.end());
  listener_.worker().egress().send(*udp_, {.local = {}, .remote = *udp_owner_->address()},
                                   datagram);
}

void SocksConnection::on_udp_flow_ended(Instant, ClientUdpFlow& flow, const std::string&) {
  const auto destination = by_flow_.find(&flow);
  if (destination == by_flow_.end()) return;
  flows_.erase(destination->second);
  by_flow_.erase(destination);
}

void SocksConnection::end(Instant now) {
  timeout_.cancel();
  alive_.end();
  for (const auto& [flow, destination] : by_flow_) flow->finish(now);
  by_flow_.clear();
  flows_.clear();
  if (udp_) listener_.worker().egress().forget(*udp_);
  udp_.reset();
  port_.reset();
  listener_.remove(*this);
}

SocksListener::SocksListener(SessionSource& sessions, drive::Worker& worker,
                             peer::ClientContext& context, const tunnel::Target& target)
    : sessions_(sessions),
      worker_(worker),
      context_(context),
      target_(target.text()),
      places_(target),
      due_(worker.timers(), *this) {}

SocksListener::~SocksListener() = default;

void SocksListener::on_due(Instant now) {
  places_.open_due(now, [this](std::size_t, const StreamAddress& at) -> Result<StreamAddress> {
    CULVERT_TRY(auto listener, worker_.host().listen_stream(at, Purpose::listener, *this));
    listeners_.push_back(std::move(listener));
    return listeners_.back()->local_address();
  });
  for (const std::string& address : places_.take_opened()) {
    worker_.log().info("tunnel", "Listening on SOCKS5 {}", address);
  }
  if (may_warn_) warn_of_failures();
  due_.set(places_.next_timeout());
}

void SocksListener::warn_of_failures() {
  may_warn_ = true;
  const std::string failure = places_.take_failure();
  if (!failure.empty()) worker_.log().warn("socks", "{}; trying again", failure);
}

void SocksListener::on_accept(Instant now, std::unique_ptr<StreamPort> stream) {
  if (connections_.size() >= limits::kMaxProxyConnections) {
    stream->reset();
    return;
  }
  auto connection = std::make_unique<SocksConnection>(now, *this, std::move(stream));
  SocksConnection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void SocksListener::note_refusal(Instant now, std::string_view why) {
  worker_.warnings().warn(
      now, fmt::format("a program at the proxy port {} was refused: {}", target_, why));
}

void SocksListener::close(Instant now) {
  due_.cancel();
  listeners_.clear();
  while (!connections_.empty()) connections_.begin()->second->end(now);
}

void SocksListener::remove(SocksConnection& connection) {
  const auto found = connections_.find(&connection);
  if (found == connections_.end()) return;
  worker_.bury(std::move(found->second));
  connections_.erase(found);
}

}  // namespace culvert::flow
