// A server that has the key its client expects, and obeys no rule of docs/protocol/culvert-1.md
// that it is not made to. By itself it lets in, resumes, joins and accepts whoever asks; a test
// replaces the answers that it wants to be wrong.
#pragma once

#include "role/client.h"
#include "session/flow_open.h"
#include "session/message.h"
#include "session/resume.h"
#include "tests/sim/raw_peer.h"
#include "tests/sim/talker.h"
#include "tests/sim/tunnel_world.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::sim {

// One connection of a client.
struct ServedLine {
  RawConnection& wire;
  RawStream* control = nullptr;
  std::vector<HeardMessage> heard;  // on the control stream
  struct Flow {
    RawStream* stream;
    session::FlowOpen open;
  };
  std::vector<Flow> flows;

  [[nodiscard]] bool has(const RawStream& stream) const {
    return std::ranges::find(flows, &stream, &Flow::stream) != flows.end();
  }
  void say(const session::MessageBuilder& message) {
    Bytes bytes;
    message.append_to(bytes);
    wire.send(*control, bytes);
  }
  void reply(RawStream& stream, const session::FlowReply& reply) {
    Bytes bytes;
    session::encode_flow_reply(session::Dialect::culvert_1, reply, bytes);
    wire.send(stream, bytes);
  }
};

// Our client, with a tunnel from port 7000, and that server.
class HostileServerWorld final : private peer::ClientObserver, private peer::RoleEventSink {
 public:
  HostileServerWorld();
  ~HostileServerWorld() override;

  // Another way for the client, before it starts.
  void add_client_address();
  void start_client();
  // The client is let in; false: it has given up, or was not within some seconds.
  bool connect();
  Talker& call(const FlowPlan& plan = {});
  bool wait(const std::function<bool()>& done, Duration within = std::chrono::seconds(5)) {
    return world.run_until(done, world.now() + within);
  }
  [[nodiscard]] ServedLine& line() { return *lines.back(); }  // the latest
  [[nodiscard]] std::size_t count(peer::RoleEventKind kind) const;

  World world;
  Network network;
  Machine& client_machine;
  Machine& server_machine;
  HostKnobs client_knobs;
  Multipath multipath = Multipath::fastest;
  bool reads_flows = true;  // otherwise nothing of them but their heads
  std::deque<std::unique_ptr<ServedLine>> lines;
  std::vector<peer::RoleEvent> events;
  std::optional<Error> end_error;
  bool is_connected = false;
  bool is_finished = false;

  // True: the test has answered.
  std::function<bool(ServedLine&, const HeardMessage&)> on_message;
  std::function<bool(ServedLine&, ServedLine::Flow&)> on_flow;

  // What it says by itself.
  static session::MessageBuilder challenge(std::uint64_t features = session::kFeatureResume |
                                                                    session::kFeatureMultipath);
  static session::MessageBuilder accepted();
  static session::MessageBuilder resumed();
  static session::SessionId session_id() { return {3, 3, 3}; }

  std::unique_ptr<role::Client> client;
  std::vector<std::unique_ptr<Talker>> callers;

 private:
  void serve(RawConnection& wire);
  void on_bytes(ServedLine& line, RawStream& stream);
  void on_head(ServedLine& line, RawStream& stream, const session::FlowOpen& open);
  void on_control(ServedLine& line, const HeardMessage& message);

  void on_connected(Instant, const SocketAddress&) override { is_connected = true; }
  void on_listening(Instant, const tunnel::TunnelSpec&, const std::string&) override {}
  void on_finished(Instant, std::optional<Error> error) override {
    is_finished = true;
    end_error = std::move(error);
  }
  bool wants_events() const override { return true; }
  void on_role_event(peer::RoleEvent event) override { events.push_back(std::move(event)); }

  crypto::SecretKey key_;
  RawPeer server_;
  std::unique_ptr<SimHost> client_host_;
};

}  // namespace culvert::sim
