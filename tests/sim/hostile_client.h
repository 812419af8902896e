// A client that has what it needs to log in, and obeys no rule of docs/protocol/culvert-1.md
// that it is not made to: each step of the protocol is a call, in any order, with any content.
#pragma once

#include "session/flow_open.h"
#include "session/handshake.h"
#include "session/message.h"
#include "session/resume.h"
#include "tests/sim/raw_peer.h"
#include "tests/sim/tunnel_world.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace culvert::sim {

class HostileClient;

// Both features, as in Hello.
inline constexpr std::uint64_t kAllFeatures = session::kFeatureResume | session::kFeatureMultipath;

// Where a flow of a session ends: a target that is called. Talkers wait for a FlowPlan first.
inline constexpr std::string_view kTarget = "tcp://127.0.0.1:9000";

// One connection of it, with its control stream open.
class HostileLine {
 public:
  HostileLine(HostileClient& client, RawConnection& wire);

  // --- the control stream; what it waits for comes within seconds or not at all ----------------
  void say(const session::MessageBuilder& message);
  void say(ByteView bytes);
  [[nodiscard]] std::optional<HeardMessage> hear();
  // Hello, and the Challenge that answers it.
  bool greet(std::uint64_t features = kAllFeatures);
  // The right proof for this connection; greet() comes first.
  [[nodiscard]] session::MessageBuilder proof() const;
  // All the way to Accepted.
  bool log_in(std::uint64_t features = kAllFeatures);
  // After greet(): the answer to a Resume, Join or Promote with this key.
  std::optional<HeardMessage> resume(const session::SessionId& id, const session::ResumeKey& key);
  std::optional<HeardMessage> join(const session::SessionId& id, const session::ResumeKey& key);
  std::optional<HeardMessage> promote(const session::ResumeKey& key);
  void done(std::uint64_t count);
  void gone(const std::vector<std::uint64_t>& ids);

  // --- flows -------------------------------------------------------------------------------------
  // Null: the server grants no stream.
  RawStream* open(const session::FlowOpen& open, ByteView behind = {});

  // True: the server closes the connection with this code, within `within`.
  [[nodiscard]] bool is_thrown_out(session::CloseCode code,
                                   Duration within = std::chrono::seconds(3));

  [[nodiscard]] session::SessionId session_id() const { return session_id_; }
  // Of the session that runs on this connection; also when that is closed.
  [[nodiscard]] const session::ResumeKey& key() const { return key_; }
  [[nodiscard]] std::uint64_t grace_s() const { return grace_s_; }
  [[nodiscard]] const std::array<std::uint8_t, 32>& nonce() const { return nonce_; }
  [[nodiscard]] const session::ExporterValue& exporter() const { return exporter_; }

  RawConnection& wire;
  RawStream& control;

 private:
  HostileClient& client_;
  session::ExporterValue exporter_;
  session::ResumeKey key_;
  std::array<std::uint8_t, 32> nonce_{};
  session::SessionId session_id_{};
  std::uint64_t grace_s_ = 0;
};

class HostileClient {
 public:
  // A machine and a key of its own; the token is the one that the server knows.
  explicit HostileClient(TunnelWorld& tunnel, std::uint8_t number = 1,
                         quic::TransportConfig transport = {});

  // Another connection of the same key, to worker 0.
  [[nodiscard]] HostileLine& connect();
  // connect(), and log_in() that must succeed.
  [[nodiscard]] HostileLine& log_in();
  // connect(), and the session of `line` resumed there.
  [[nodiscard]] HostileLine& resume(const HostileLine& line);
  // connect(), and joined to the session of `line`.
  [[nodiscard]] HostileLine& join(const HostileLine& line);

  [[nodiscard]] TunnelWorld& tunnel() { return tunnel_; }
  bool wait(const std::function<bool()>& done, Duration within = std::chrono::seconds(3)) {
    return tunnel_.world.run_until(done, tunnel_.world.now() + within);
  }
  // Whether anything of it reaches anybody.
  void set_silent(bool is_silent) {
    peer_.host().machine().uplink().is_down = is_silent;
    peer_.host().machine().downlink().is_down = is_silent;
  }
  void run_for(Duration duration) { tunnel_.world.run_for(duration); }

 private:
  TunnelWorld& tunnel_;
  RawPeer peer_;
  std::vector<std::unique_ptr<HostileLine>> lines_;
};

}  // namespace culvert::sim
