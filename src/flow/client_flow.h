// Flows at the client. Private to drive/.
#pragma once

#include "flow/datagram_copies.h"
#include "flow/flow_group.h"
#include "flow/stream_pump.h"
#include "peer/client_session.h"
#include "session/flow_open.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace culvert::flow {

// Told once how the opening of a flow went: a SOCKS listener answers its caller by it.
// Returns bytes to write to the local end before anything else.
using FlowReplyHook = std::function<Bytes(const session::FlowReply& reply)>;
// Called once when the flow is over; with an error where it did not end in order.
using FlowEndHook = std::function<void(Instant now, const std::optional<Error>& error)>;

struct ClientStreamFlowOptions {
  std::string source;
  std::optional<Multipath> multipath{};  // empty: the client's
  FlowReplyHook on_reply;                // may be empty
  FlowEndHook on_end;                    // may be empty
  std::shared_ptr<FlowGroup> group{};    // of the tunnel it belongs to, if any; shared with it
};

// A refusal as the client's user reads it.
[[nodiscard]] std::string refusal_text(const session::FlowRefused& refused);
// Ends a local stream that never had a flow: a SOCKS caller is answered, others are reset.
void refuse_local(StreamPort& port, const ClientStreamFlowOptions& options, std::string_view why);

// A local byte stream carried to a source. The head and whatever the local end has to say
// leave together; a refusal resets the local end.
class ClientStreamFlow final : public peer::StreamUser, public PumpOwner, public GroupedFlow {
 public:
  ClientStreamFlow(Instant now, peer::ClientSession& session, quic::Stream& stream,
                   std::unique_ptr<StreamPort> port, ClientStreamFlowOptions options);

  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant now) override;
  void on_quic_reset(Instant now, std::uint64_t code) override;
  void on_quic_stop_sending(Instant now, std::uint64_t code) override;
  void on_quic_closed(Instant now) override;
  void on_resumed(Instant now, quic::Stream& stream) override;
  [[nodiscard]] std::string_view source() const override { return options_.source; }
  void on_pump_finished(Instant now) override;
  void on_pump_broken(Instant now) override;
  void end_with_tunnel(Instant now) override;

 private:
  [[nodiscard]] bool read_reply(Instant now);
  void on_refused(Instant now, const session::FlowRefused& refused);
  void leave(Instant now, const std::optional<Error>& error);
  [[nodiscard]] Error broken(std::string what) const;

  peer::ClientSession& session_;
  ClientStreamFlowOptions options_;
  buffers::ByteStream* stream_;
  FlowMembership membership_;
  StreamPump pump_;
  bool has_reply_ = false;
};

class ClientUdpFlow;

class UdpReplyHandler {
 public:
  // What the server said to the flow's opening.
  virtual void on_udp_flow_reply(const session::FlowReply&) {}
  virtual void on_udp_reply(Instant now, ClientUdpFlow& flow, ByteView payload) = 0;
  // The flow is over; it will not call again.
  virtual void on_udp_flow_ended(Instant now, ClientUdpFlow& flow, const std::string& reason) = 0;

 protected:
  ~UdpReplyHandler() = default;
};

struct ClientUdpFlowOptions {
  std::uint64_t id = 0;
  std::string source;
  Multipath multipath = Multipath::fastest;
};

// The datagrams of one local sender to one source. Until the server has accepted the flow
// they travel on its stream behind the head, in order; afterwards in DATAGRAM frames, or on
// the stream when they do not fit (culvert/1), or always on the stream (mf/4).
class ClientUdpFlow final : public peer::StreamUser, public peer::DatagramUser {
 public:
  ClientUdpFlow(Instant now, peer::ClientSession& session, quic::Stream& stream,
                ClientUdpFlowOptions options, UdpReplyHandler& handler);

  void send(ByteView payload);
  void on_datagram(Instant now, ByteView payload) override;
  // The handler wants no more of it.
  void finish(Instant now);
  [[nodiscard]] std::uint64_t id() const { return id_; }

  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant) override {}
  void on_quic_reset(Instant now, std::uint64_t code) override;
  void on_quic_stop_sending(Instant now, std::uint64_t code) override;
  void on_quic_closed(Instant now) override;
  void on_resumed(Instant, quic::Stream& stream) override { stream_ = &stream; }
  [[nodiscard]] std::string_view source() const override { return source_; }

 private:
  void deliver(Instant now, ByteView payload);
  void leave(Instant now);
  void end(Instant now, const std::string& reason);

  peer::ClientSession& session_;
  quic::Stream* stream_;
  std::uint64_t id_;
  std::string source_;
  Multipath mode_;
  DatagramCopies copies_;
  UdpReplyHandler* handler_;  // null once told of the end
  bool is_accepted_ = false;
};

}  // namespace culvert::flow
