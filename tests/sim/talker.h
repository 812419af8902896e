// Programs at the two ends of a tunnelled TCP connection: each sends pseudo-random bytes
// derived from the flow's seed and checks every byte it receives against the other's.
#pragma once

#include "base/alive.h"
#include "ports/ports.h"
#include "sim/sim_host.h"
#include "sim/world.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::sim {

// What one flow does. The caller announces it to the callee in a header, so that any
// number of flows may share a listener.
struct FlowPlan {
  std::uint64_t seed = 0;
  std::uint32_t upload_bytes = 0;         // caller to callee
  std::uint32_t download_bytes = 0;       // callee to caller
  bool callee_waits_for_end = false;      // answers only after the caller's FIN (half-close)
  bool caller_waits_for_end = false;      // the caller's FIN comes only after the callee's
  std::uint32_t caller_resets_after = 0;  // non-zero: RST once this many bytes were sent
  std::uint32_t callee_resets_after = 0;  // non-zero: RST once this many bytes were received
  std::uint32_t read_chunk_bytes = 65'536;
  std::uint32_t read_pause_us = 0;      // a slow reader: pause between reads, both ends
  std::uint32_t read_before_pause = 0;  // ... after so many bytes without

  static constexpr std::size_t kHeaderBytes = 40;
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static FlowPlan decode(ByteView header);
  [[nodiscard]] bool has_reset() const {
    return caller_resets_after != 0 || callee_resets_after != 0;
  }
};

// One end. Owns its stream; drives itself from the loop.
class Talker final : public StreamHandler {
 public:
  enum class Side : std::uint8_t { caller, callee };
  enum class State : std::uint8_t { running, finished, reset };

  static std::unique_ptr<Talker> call(SimHost& host, const StreamAddress& address,
                                      const FlowPlan& plan);
  static std::unique_ptr<Talker> answer(SimHost& host, std::unique_ptr<StreamPort> stream);
  ~Talker() override;

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool has_wrong_bytes() const { return has_wrong_bytes_; }
  [[nodiscard]] const std::optional<FlowPlan>& plan() const { return plan_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] bool has_seen_end() const { return has_seen_end_; }
  // An orderly end before everything that was planned had come.
  [[nodiscard]] bool was_cut_short() const {
    return has_seen_end_ && (!plan_ || received_ < bytes_to_receive());
  }
  [[nodiscard]] std::string describe() const;

  void on_stream_connected(Instant now) override;
  void on_stream_failed(Instant now, const Error& error) override;
  void on_stream_readable(Instant now) override;
  void on_stream_writable(Instant now) override;

 private:
  Talker(SimHost& host, Side side);
  void step();
  void read_some();
  void write_some();
  void check(ByteView bytes);
  void give_up();  // RST
  void end(State state);
  [[nodiscard]] std::uint64_t bytes_to_send() const;
  [[nodiscard]] std::uint64_t bytes_to_receive() const;
  [[nodiscard]] bool may_send() const;

  SimHost& host_;
  Side side_;
  State state_ = State::running;
  std::unique_ptr<StreamPort> stream_;
  std::optional<FlowPlan> plan_;
  Bytes header_;  // callee: collected; caller: still to send
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  bool is_connected_ = false;
  bool has_sent_end_ = false;
  bool has_seen_end_ = false;
  bool has_wrong_bytes_ = false;
  bool is_pausing_ = false;
  Alive alive_;
};

// Accepts flows and answers each with a Talker.
class TalkerListener final : public ListenerHandler {
 public:
  TalkerListener(SimHost& host, const SocketAddress& address);
  void on_accept(Instant now, std::unique_ptr<StreamPort> stream) override;
  [[nodiscard]] const std::vector<std::unique_ptr<Talker>>& talkers() const { return talkers_; }

 private:
  SimHost& host_;
  std::unique_ptr<ListenerPort> listener_;
  std::vector<std::unique_ptr<Talker>> talkers_;
};

}  // namespace culvert::sim
