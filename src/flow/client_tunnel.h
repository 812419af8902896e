// Where a client's users come in: listeners for tunnels. They survive a session: while
// there is none, connections are refused. Private to drive/.
#pragma once

#include "base/alive.h"
#include "flow/client_flow.h"
#include "flow/flow_group.h"
#include "flow/listen_places.h"
#include "peer/client_session.h"
#include "tunnel/source.h"
#include "tunnel/udp_flow_table.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert::flow {

// The way from a listener to the session of the moment.
class SessionSource {
 public:
  [[nodiscard]] virtual peer::ClientSession* session() = 0;  // null: none now

 protected:
  ~SessionSource() = default;
};

// Opens a flow for `port`; resets it when the client has no session or too much waits.
void open_stream_flow(Instant now, SessionSource& sessions, drive::Worker& worker,
                      std::unique_ptr<StreamPort> port, ClientStreamFlowOptions options);

// The listeners of a TCP or Unix tunnel.
class StreamTunnel final {
 public:
  StreamTunnel(SessionSource& sessions, drive::Worker& worker, const tunnel::TunnelSpec& spec,
               std::shared_ptr<FlowGroup> flows);
  // Listens where the target says, as far as that is due.
  void open_due(Instant now);
  [[nodiscard]] ListenPlaces& places() { return places_; }

 private:
  struct Listener final : ListenerHandler {
    Listener(StreamTunnel& its_tunnel, std::uint16_t its_offset)
        : tunnel(its_tunnel), port_offset(its_offset) {}
    void on_accept(Instant now, std::unique_ptr<StreamPort> stream) override {
      tunnel.on_accept(now, *this, std::move(stream));
    }
    StreamTunnel& tunnel;
    std::uint16_t port_offset;
    std::unique_ptr<ListenerPort> port;
  };

  void on_accept(Instant now, const Listener& listener, std::unique_ptr<StreamPort> stream);

  SessionSource& sessions_;
  drive::Worker& worker_;
  tunnel::TunnelSpec spec_;
  std::shared_ptr<FlowGroup> flows_;  // shared with the flows
  ListenPlaces places_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

// The sockets of a UDP tunnel and its senders' flows.
class UdpTunnel final : public UdpReplyHandler {
 public:
  UdpTunnel(SessionSource& sessions, drive::Worker& worker, peer::ClientContext& context,
            const tunnel::TunnelSpec& spec, std::shared_ptr<FlowGroup> counters);
  ~UdpTunnel();
  // Listens where the target says, as far as that is due.
  void open_due(Instant now);
  // Ends every flow and closes the sockets.
  void close(Instant now);
  [[nodiscard]] std::size_t flow_count() const { return flows_.size(); }
  [[nodiscard]] ListenPlaces& places() { return places_; }

 private:
  struct Socket final : UdpHandler {
    void on_udp_readable(Instant now) override { tunnel->on_readable(now, *this); }
    void on_udp_writable(Instant) override {}
    UdpTunnel* tunnel = nullptr;
    std::uint16_t index = 0;  // of sockets_
    std::uint16_t port_offset = 0;
    std::unique_ptr<UdpPort> port;
  };

  void on_readable(Instant now, Socket& socket);
  void on_datagram(Instant now, Socket& socket, const PathId& path, ByteView payload);
  // Starts a flow whose first datagram is `payload`.
  void start_flow(Instant now, Socket& socket, const PathId& path, ByteView payload);
  void on_udp_flow_reply(const session::FlowReply& reply) override { counters_->on_reply(reply); }
  void on_udp_reply(Instant now, ClientUdpFlow& flow, ByteView payload) override;
  void on_udp_flow_ended(Instant now, ClientUdpFlow& flow, const std::string& reason) override;
  void on_expiry(Instant now);
  void drop(Instant now, tunnel::UdpFlow& flow);

  SessionSource& sessions_;
  drive::Worker& worker_;
  peer::ClientContext& context_;
  tunnel::TunnelSpec spec_;
  ListenPlaces places_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::shared_ptr<FlowGroup> counters_;  // shared with the tunnel's owner
  tunnel::UdpFlowTable flows_;
  Alive alive_;  // for flow starts that may come after this object's end
  MemberTimer<UdpTunnel, &UdpTunnel::on_expiry> expiry_;
};

}  // namespace culvert::flow
