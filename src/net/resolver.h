// Host names to addresses, by c-ares on the loop that asks: no thread waits for a name server,
// so a name that is slow delays no other. Honours /etc/hosts and /etc/resolv.conf. What only
// another module of /etc/nsswitch.conf may know is looked up by glibc, in a thread of its own
// (docs/decisions/0017-*). Private to net/.
#pragma once

#include "net/descriptors.h"
#include "net/loop.h"
#include "net/name_services.h"
#include "ports/ports.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace culvert::net {

struct ResolverOptions {
  // Twice each server, the second time for twice as long: all of it within kResolveTimeout where
  // there is one, and a second one has its turn where the first is dead.
  Duration server_timeout = std::chrono::milliseconds(1'500);
  // Instead of those of /etc/resolv.conf: "127.0.0.1:5353,...". For tests.
  std::string servers{};
  // For tests, too.
  std::function<NameServices()> name_services = read_name_services;
  std::function<Result<std::vector<IpAddress>>(const std::string& host)> ask_modules = ask_glibc;
};

// One per process; any thread. Lookups belong to their loop and die before it.
class Resolver {
 public:
  explicit Resolver(ResolverOptions options = {});
  ~Resolver();

  // Literal addresses and "localhost" are answered without a lookup, but never from inside
  // this call. The answer comes within limits::kResolveTimeout. `descriptors`, which outlives the
  // lookup: its sockets come out of those that flows may have; null: of any.
  [[nodiscard]] std::unique_ptr<ResolvePort> resolve(Loop& loop, const std::string& host,
                                                     const DescriptorBudget* descriptors,
                                                     ResolveHandler& handler);

  // How many are under way.
  using Count = std::atomic<std::uint32_t>;

 private:
  ResolverOptions options_;
  // Shared with them.
  std::shared_ptr<Count> lookups_ = std::make_shared<Count>(0);
  std::shared_ptr<Count> module_lookups_ = std::make_shared<Count>(0);
};

}  // namespace culvert::net
