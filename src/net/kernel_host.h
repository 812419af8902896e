// Host bound to the Linux kernel: one KernelHost per worker thread, all of a
// process in one HostGroup.
//
//   HostGroup group(log, features, 4);
//   KernelHost& host = group.host(0);       // one per thread
//   auto server = role::Server::create(host, ...);
//   host.run();                             // until host.stop()
#pragma once

#include "net/descriptors.h"
#include "net/features.h"
#include "net/interfaces.h"
#include "net/system_rng.h"
#include "ports/ports.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace culvert::net {

class Loop;
class NetworkWatch;
class Resolver;
struct ResolverOptions;
class KernelHost;

// What the hosts of one process share. Created before and destroyed after the threads
// that run its hosts; the hosts belong to it.
class HostGroup {
 public:
  HostGroup(Logger& log, UdpFeatures features, unsigned worker_count, InterfaceRules rules = {});
  ~HostGroup();
  HostGroup(const HostGroup&) = delete;
  HostGroup& operator=(const HostGroup&) = delete;

  [[nodiscard]] KernelHost& host(unsigned index) { return *hosts_[index]; }
  [[nodiscard]] unsigned size() const { return static_cast<unsigned>(hosts_.size()); }
  [[nodiscard]] Resolver& resolver() { return *resolver_; }
  // Instead of that of this machine; before any lookup. For tests.
  void set_resolver(const ResolverOptions& options);
  [[nodiscard]] Logger& log() { return log_; }
  [[nodiscard]] UdpFeatures features() const { return features_; }
  [[nodiscard]] const InterfaceRules& interface_rules() const { return interface_rules_; }
  [[nodiscard]] DescriptorBudget& descriptors() { return descriptors_; }

  // Conditions worth one log line per process, not one per socket.
  struct Notes {
    std::atomic<bool> clamped_buffers = false;
    std::atomic<bool> gso_refused = false;
    std::atomic<bool> gro_refused = false;
    std::atomic<bool> ipv6_absent = false;
    std::atomic<bool> descriptors_exhausted = false;
  };
  [[nodiscard]] Notes& notes() { return notes_; }

 private:
  Logger& log_;
  UdpFeatures features_;
  InterfaceRules interface_rules_;
  DescriptorBudget descriptors_;
  Notes notes_;
  std::unique_ptr<Resolver> resolver_;
  std::vector<std::unique_ptr<KernelHost>> hosts_;
};

// Owned by its HostGroup. Everything but post() belongs to the thread that calls run();
// before run() to the thread that sets things up. Ports die before the host.
class KernelHost final : public Host {
 public:
  explicit KernelHost(HostGroup& group);
  ~KernelHost() override;

  void run();   // until stop()
  void stop();  // on the host's thread
  // From any thread: runs `task` on the host's thread. False when too much waits there.
  bool post(std::move_only_function<void(Instant now)> task);
  // `task` once on the loop for each of these signals; replaces earlier calls. One host of
  // a process does this. SIGPIPE is ignored by the first HostGroup.
  void watch_signals(const std::vector<int>& signals,
                     std::function<void(Instant now, int signal)> task);
  // `task` on the loop when one of these files was changed or replaced, some 200 ms later, so
  // that a burst is one call. Replaces earlier calls. An error names a directory that cannot be
  // watched; what can be is.
  [[nodiscard]] Status watch_files(std::vector<std::string> paths,
                                   std::function<void(Instant now)> task);
  [[nodiscard]] Instant now() override;

  void set_handler(HostHandler& handler) override;
  void set_deadline(Instant deadline) override;
  std::unique_ptr<TimerPort> after(Duration delay, std::function<void(Instant now)> task) override;
  void set_rest(Duration rest) override;
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
  void give_back_memory() override;
  Rng& rng() override { return rng_; }

 private:
  struct State;  // members that need net/loop.h
  HostGroup& group_;
  SystemRng rng_;
  std::unique_ptr<State> state_;
};

}  // namespace culvert::net
