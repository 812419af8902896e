// The local proxy listener: SOCKS5 (CONNECT and UDP ASSOCIATE), SOCKS4, 4A and HTTP CONNECT to
// whatever the server allows.
// Private to drive/.
#pragma once

#include "base/alive.h"
#include "flow/client_tunnel.h"
#include "flow/listen_places.h"
#include "tunnel/proxy_server.h"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::flow {

class SocksListener;

// One TCP connection to the listener: until its request is read, then, for UDP ASSOCIATE,
// as long as the association lives (RFC 1928 7).
class SocksConnection final : public StreamHandler, public UdpHandler, public UdpReplyHandler {
 public:
  SocksConnection(Instant now, SocksListener& listener, std::unique_ptr<StreamPort> port);
  ~SocksConnection() override;
  void end(Instant now);

 private:
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant now, const Error& error) override;
  void on_stream_readable(Instant now) override;
  void on_stream_writable(Instant) override {}
  void on_udp_readable(Instant now) override;
  void on_udp_writable(Instant) override {}
  void on_udp_reply(Instant now, ClientUdpFlow& flow, ByteView payload) override;
  void on_udp_flow_ended(Instant now, ClientUdpFlow& flow, const std::string& reason) override;

  void handle_event(Instant now, const tunnel::SocksEvent& event);
  void connect(Instant now, const HostPort& destination);
  void associate(Instant now, const HostPort& announced);
  void on_request_timeout(Instant now) { end(now); }
  void relay(Instant now, const SocketAddress& sender, ByteView datagram);
  void write(ByteView bytes);

  SocksListener& listener_;
  std::unique_ptr<StreamPort> port_;
  tunnel::ProxyServer proxy_;
  std::unique_ptr<UdpPort> udp_;
  std::optional<tunnel::SocksUdpOwner> udp_owner_;
  std::map<HostPort, ClientUdpFlow*> flows_;  // null: waits for a stream
  std::unordered_map<ClientUdpFlow*, HostPort> by_flow_;
  Alive alive_;  // for flow starts that may come after this object's end
  MemberTimer<SocksConnection, &SocksConnection::on_request_timeout> timeout_;
};

class SocksListener final : public ListenerHandler {
 public:
  SocksListener(SessionSource& sessions, drive::Worker& worker, peer::ClientContext& context,
                const tunnel::Target& target);
  ~SocksListener() override;
  // Where a place cannot be had, it is tried again until close().
  void open(Instant now) { on_due(now); }
  // Says so from now on when one cannot. Not before it is known whether the client goes on.
  void warn_of_failures();
  [[nodiscard]] const ListenPlaces& places() const { return places_; }
  void close(Instant now);

  [[nodiscard]] SessionSource& sessions() { return sessions_; }
  [[nodiscard]] drive::Worker& worker() { return worker_; }
  [[nodiscard]] peer::ClientContext& context() { return context_; }
  void remove(SocksConnection& connection);
  void note_refusal(Instant now, std::string_view why);

 private:
  void on_accept(Instant now, std::unique_ptr<StreamPort> stream) override;
  void on_due(Instant now);

  SessionSource& sessions_;
  drive::Worker& worker_;
  peer::ClientContext& context_;
  std::string target_;
  ListenPlaces places_;
  bool may_warn_ = false;
  std::vector<std::unique_ptr<ListenerPort>> listeners_;
  std::unordered_map<SocksConnection*, std::unique_ptr<SocksConnection>> connections_;
  MemberTimer<SocksListener, &SocksListener::on_due> due_;
};

}  // namespace culvert::flow
