// Host on a simulated machine: one worker's view of a kernel. TCP is modelled as
// what applications see of it: a reliable byte pipe with a bounded buffer, a delay, half
// close and reset, to other machines over their links (tcp_end.h); UDP goes through the Network
// with all its faults.
#pragma once

#include "base/alive.h"
#include "ports/ports.h"
#include "sim/network.h"
#include "sim/world.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace culvert::sim {

// Behaviours of the kernel that a seed may choose.
struct HostKnobs {
  bool coalesces_datagrams = true;  // GRO
  double send_blocked = 0;          // chance that send_batch stops short
  std::size_t udp_queue_bytes = 4 << 20;
  std::size_t stream_buffer_bytes = 256 * 1024;  // per direction, before try_write blocks
  Duration stream_delay = std::chrono::microseconds(50);
  std::size_t max_io_bytes = 0;  // non-zero: one try_read/try_write moves at most this
  Duration resolve_delay = std::chrono::milliseconds(3);
};

// Workers of one process: they may hand datagrams to each other.
class SimHost;
struct SimProcess {
  std::vector<SimHost*> workers;  // by worker index
};

class SimHost final : public Host {
 public:
  SimHost(Machine& machine, HostKnobs knobs, SimProcess* process = nullptr);
  ~SimHost() override;

  void set_handler(HostHandler& handler) override { handler_ = &handler; }
  [[nodiscard]] Instant now() override { return world().now(); }
  void set_deadline(Instant deadline) override;
  std::unique_ptr<TimerPort> after(Duration delay, std::function<void(Instant now)> task) override;
  void set_rest(Duration) override {}  // here a turn costs nothing
  void request_turn_end() override;
  bool hand_over(std::uint8_t worker_index, const RxDatagram& datagram) override;
  Result<std::unique_ptr<UdpPort>> open_udp(const UdpOptions& options,
                                            UdpHandler& handler) override;
  Result<std::unique_ptr<StreamPort>> connect_stream(const StreamAddress& address, Purpose purpose,
                                                     StreamHandler& handler) override;
  Result<std::unique_ptr<ListenerPort>> listen_stream(const StreamAddress& address, Purpose purpose,
                                                      ListenerHandler& handler) override;
  Result<std::unique_ptr<StreamPort>> open_stdio(StreamHandler& handler) override;
  std::unique_ptr<ResolvePort> resolve(const std::string& host, Purpose purpose,
                                       ResolveHandler& handler) override;
  Result<IpAddress> local_address_towards(const IpAddress& remote) override;
  std::vector<LocalAddress> local_addresses() override;
  void give_back_memory() override { ++memory_returns_; }
  Rng& rng() override { return rng_; }

  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] World& world() { return machine_.network().world(); }
  [[nodiscard]] const HostKnobs& knobs() const { return knobs_; }
  [[nodiscard]] std::uint64_t memory_returns() const { return memory_returns_; }
  // As SIGSTOP and SIGCONT to the program: nothing of it runs until `awake_at`, while packets
  // and what local programs write wait for it in the kernel.
  void stop_until(Instant awake_at) { *awake_at_ = std::max(*awake_at_, awake_at); }
  // Runs `action` then, or as soon as the program is awake.
  void run_after(Duration delay, Action action);
  // The other end of open_stdio(), for a test to read and write.
  [[nodiscard]] std::unique_ptr<StreamPort> take_stdio_peer();

 private:
  class Connecting;
  struct Dial;
  void dial(Dial dial);

  Machine& machine_;
  HostKnobs knobs_;
  SimProcess* process_;
  SeededRng rng_;
  std::uint64_t memory_returns_ = 0;
  HostHandler* handler_ = nullptr;
  Instant deadline_ = kNever;
  std::uint64_t deadline_generation_ = 0;
  bool is_turn_end_requested_ = false;
  std::unique_ptr<StreamPort> stdio_peer_;
  // Events in the world's queue outlive ports and hosts; they hold this and check it.
  Alive alive_;
  std::shared_ptr<Instant> awake_at_ = std::make_shared<Instant>();
};

}  // namespace culvert::sim
