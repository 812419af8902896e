// Where a client's users come in: listeners for tunnels. They survive a session: while
// there is none, connections are refused. Private to drive/.
#pragma once

#include "drive/client_flow.h"
#include "drive/client_session.h"
#include "drive/flow_group.h"
#include "tunnel/source.h"
#include "tunnel/udp_flow_table.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert::drive {

// The way from a listener to the session of the moment.
class SessionSource {
 public:
  [[nodiscard]] virtual ClientSession* session() = 0;  // null: none now

 protected:
  ~SessionSource() = default;
};

// Opens a flow for `port`; resets it when the client has no session or too much waits.
void open_stream_flow(Instant now, SessionSource& sessions, Worker& worker,
                      std::unique_ptr<StreamPort> port, ClientStreamFlowOptions options);

// The addresses a target means: both loopbacks for localhost.
[[nodiscard]] std::vector<StreamAddress> listen_addresses(const tunnel::Target& target);

// The listeners of a TCP or Unix tunnel.
class StreamTunnel final : public ListenerHandler {
 public:
  StreamTunnel(SessionSource& sessions, Worker& worker, const tunnel::TunnelSpec& spec,
               std::shared_ptr<FlowGroup> flows);
  // Listens on every address of the target; fails when none can be bound.
  [[nodiscard]] Status open();
  [[nodiscard]] std::vector<std::string> local_addresses() const;

 private:
  void on_accept(Instant now, std::unique_ptr<StreamPort> stream) override;

  SessionSource& sessions_;
  Worker& worker_;
  tunnel::TunnelSpec spec_;
  std::shared_ptr<FlowGroup> flows_;  // shared with the flows
  std::vector<std::unique_ptr<ListenerPort>> listeners_;
};

// The sockets of a UDP tunnel and its senders' flows.
class UdpTunnel final : public UdpReplyHandler {
 public:
  UdpTunnel(SessionSource& sessions, Worker& worker, ClientContext& context,
            const tunnel::TunnelSpec& spec, std::shared_ptr<FlowGroup> counters);
  ~UdpTunnel();
  [[nodiscard]] Status open();
  // Ends every flow and closes the sockets.
  void close(Instant now);
  [[nodiscard]] std::size_t flow_count() const { return flows_.size(); }
  [[nodiscard]] std::vector<std::string> local_addresses() const;

 private:
  struct Socket final : UdpHandler {
    void on_udp_readable(Instant now) override { tunnel->on_readable(now, *this); }
    void on_udp_writable(Instant) override {}
    UdpTunnel* tunnel = nullptr;
    std::uint16_t index = 0;
    std::unique_ptr<UdpPort> port;
  };

  void on_readable(Instant now, Socket& socket);
  void on_datagram(Instant now, Socket& socket, const SocketAddress& sender, ByteView payload);
  // Starts a flow whose first datagram is `payload`.
  void start_flow(Instant now, Socket& socket, const SocketAddress& sender, ByteView payload);
  void on_udp_flow_reply(const session::FlowReply& reply) override { counters_->on_reply(reply); }
  void on_udp_reply(Instant now, ClientUdpFlow& flow, ByteView payload) override;
  void on_udp_flow_ended(Instant now, ClientUdpFlow& flow, const std::string& reason) override;
  void on_expiry(Instant now);
  void drop(Instant now, tunnel::UdpFlow& flow);

  SessionSource& sessions_;
  Worker& worker_;
  ClientContext& context_;
  tunnel::TunnelSpec spec_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::shared_ptr<FlowGroup> counters_;  // shared with the tunnel's owner
  tunnel::UdpFlowTable flows_;
  // Shared with flow starts that may come after this object's end.
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
  MemberTimer<UdpTunnel, &UdpTunnel::on_expiry> expiry_;
};

}  // namespace culvert::drive
