// Reliable byte streams between simulated programs of one machine, as StreamPort. Between machines:
// tcp_end.h.
#pragma once

#include "base/alive.h"
#include "ports/ports.h"
#include "sim/network.h"
#include "sim/world.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

namespace culvert::sim {

struct PipeConfig {
  std::size_t buffer_bytes = 256 * 1024;
  Duration delay = std::chrono::microseconds(50);
  std::size_t max_io_bytes = 0;  // 0 = no limit per call
  // Until then neither end hears of anything (SimHost::stop_until()); null: at any time.
  std::shared_ptr<const Instant> awake_at{};
};

// One end of a pipe. Destroying it with unread input resets the peer, as a kernel does;
// otherwise the peer reads what was written and then the end.
class PipeEnd final : public StreamPort {
 public:
  static std::pair<std::unique_ptr<PipeEnd>, std::unique_ptr<PipeEnd>> make_pair(
      World& world, const PipeConfig& config, std::string name_a, std::string name_b);
  ~PipeEnd() override;

  IoResult try_read(std::span<const ByteSpan> into) override;
  IoResult try_write(std::span<const ByteView> from) override;
  void want_readable() override;
  void want_writable() override;
  void shutdown_write() override;
  void reset() override;
  void set_handler(StreamHandler& handler) override { handler_ = &handler; }
  std::string remote_text() const override { return remote_name_; }

 private:
  // What one side has written and the other has not read. Shared by the two ends and the
  // events that carry bytes between them.
  struct Direction {
    std::deque<std::uint8_t> arrived;
    std::size_t under_way = 0;
    bool is_fin_sent = false;
    bool has_fin_arrived = false;
    bool is_reader_gone = false;
  };
  struct Shared {
    World& world;
    PipeConfig config;
    Direction direction[2];
    PipeEnd* end[2] = {nullptr, nullptr};
    bool is_reset = false;
  };

  PipeEnd(std::shared_ptr<Shared> shared, int side, std::string remote_name);
  [[nodiscard]] Direction& incoming() { return shared_->direction[1 - side_]; }
  [[nodiscard]] Direction& outgoing() { return shared_->direction[side_]; }
  [[nodiscard]] bool is_readable();
  [[nodiscard]] bool is_writable();
  static void break_pipe(const std::shared_ptr<Shared>& shared);
  static void notify(const std::shared_ptr<Shared>& shared, int side);

  std::shared_ptr<Shared> shared_;
  int side_;
  std::string remote_name_;
  StreamHandler* handler_ = nullptr;
  bool wants_readable_ = false;
  bool wants_writable_ = false;
};

class SimListener final : public ListenerPort {
 public:
  SimListener(Machine& machine, StreamAddress address, ListenerHandler& handler);
  ~SimListener() override;
  StreamAddress local_address() const override { return address_; }
  void pause() override { is_paused_ = true; }
  void resume() override;

  // A new connection's server end; waits in the backlog while paused.
  void offer(std::unique_ptr<StreamPort> stream);

 private:
  void schedule_accept();

  Machine& machine_;
  StreamAddress address_;
  ListenerHandler& handler_;
  std::deque<std::unique_ptr<StreamPort>> backlog_;
  bool is_paused_ = false;
  Alive alive_;
};

// Who of this machine listens at `address`; nullptr when nobody does.
[[nodiscard]] SimListener* find_listener_at(Machine& machine, const StreamAddress& address);
// Finds who listens at `address`, seen from `from`; nullptr when nobody does.
[[nodiscard]] SimListener* find_listener(Machine& from, const StreamAddress& address);

}  // namespace culvert::sim
