// Flows at the server. Private to drive/.
#pragma once

#include "flow/datagram_copies.h"
#include "flow/dialer.h"
#include "flow/stream_pump.h"
#include "peer/server_flow_factory.h"
#include "peer/server_session.h"
#include "session/flow_open.h"
#include "tunnel/source.h"

#include <memory>

namespace culvert::flow {

// Reads the head of a stream the client opened, then hands the stream to a flow of the
// right kind.
class ServerFlowHead final : public peer::StreamUser {
 public:
  ServerFlowHead(peer::ServerSession& session, quic::Stream& stream);
  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant) override {}
  void on_quic_reset(Instant now, std::uint64_t code) override;
  void on_quic_stop_sending(Instant, std::uint64_t) override {}
  void on_quic_closed(Instant) override {}
  [[nodiscard]] bool is_flow() const override { return false; }

 private:
  void give_up(Instant now, std::string_view why);

  peer::ServerSession& session_;
  quic::Stream& stream_;
};

// A byte stream to a TCP or Unix source. What the client sends early waits in the stream's
// input until the source is connected.
class ServerStreamFlow final : public peer::StreamUser, public DialHandler, public PumpOwner {
 public:
  ServerStreamFlow(peer::ServerSession& session, buffers::ByteStream& stream,
                   const tunnel::Source& source);
  void start(Instant now) { dialer_->start(now); }

  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant now) override;
  void on_quic_reset(Instant now, std::uint64_t code) override;
  void on_quic_stop_sending(Instant now, std::uint64_t code) override;
  void on_quic_closed(Instant now) override;
  void on_resumed(Instant now, quic::Stream& stream) override;
  void on_dialled(Instant now, std::unique_ptr<StreamPort> port,
                  const StreamAddress& address) override;
  void on_dial_failed(Instant now, session::RefusalCode code, const std::string& reason) override;
  void on_pump_finished(Instant now) override;
  void on_pump_broken(Instant now) override;
  void on_policy_changed(Instant now) override;

 private:
  void leave(Instant now);  // lets go of the stream and retires

  peer::ServerSession& session_;
  buffers::ByteStream* stream_;
  std::string source_;              // for the audit trail
  std::unique_ptr<Dialer> dialer_;  // until connected
  StreamAddress reached_;           // afterwards
  peer::DescriptorUse descriptor_;  // of the pump's port
  StreamPump pump_;
};

// One UDP sender of the client, with a socket of its own towards the source.
class ServerUdpFlow final : public peer::StreamUser,
                            public peer::DatagramUser,
                            public AddressHandler,
                            public UdpHandler {
 public:
  ServerUdpFlow(peer::ServerSession& session, quic::Stream& stream, std::uint64_t id,
                const tunnel::Source& source, Multipath mode);
  ~ServerUdpFlow() override;

  // A datagram from the client in a DATAGRAM frame.
  void on_datagram(Instant now, ByteView payload) override;

  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant) override {}
  void on_quic_reset(Instant now, std::uint64_t code) override;
  void on_quic_stop_sending(Instant now, std::uint64_t code) override;
  void on_quic_closed(Instant now) override;
  void on_resumed(Instant, quic::Stream& stream) override { stream_ = &stream; }
  void on_addresses(Instant now, std::vector<SocketAddress> addresses) override;
  void on_no_address(Instant now, session::RefusalCode code, const std::string& reason) override;
  void on_udp_readable(Instant now) override;
  void on_udp_writable(Instant) override {}
  void on_policy_changed(Instant now) override;

 private:
  void forward(Instant now, ByteView payload);
  void reply(ByteView payload);
  void on_idle(Instant now);
  void leave(Instant now);

  peer::ServerSession& session_;
  quic::Stream* stream_;
  std::uint64_t id_;
  Multipath mode_;
  DatagramCopies copies_;
  tunnel::Source source_;
  std::unique_ptr<SourceLookup> lookup_;
  peer::DescriptorUse descriptor_;  // of the port
  std::unique_ptr<UdpPort> port_;
  SocketAddress remote_;
  MemberTimer<ServerUdpFlow, &ServerUdpFlow::on_idle> idle_;
};

class ServerFlows final : public peer::ServerFlowFactory {
 public:
  void read_head(peer::ServerSession& session, quic::Stream& stream) override;
  void start_stream_flow(Instant now, peer::ServerSession& session, buffers::ByteStream& stream,
                         const tunnel::Source& source) override;
  void start_udp_flow(peer::ServerSession& session, quic::Stream& stream,
                      const session::FlowOpen& open, const tunnel::Source& source) override;
};

}  // namespace culvert::flow
