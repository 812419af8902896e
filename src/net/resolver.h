// Host names to addresses, by getaddrinfo on two threads (it has no asynchronous form that
// honours /etc/nsswitch.conf). One per process; threads start with the first lookup.
// Private to net/.
#pragma once

#include "drive/ports.h"
#include "net/loop.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert::net {

class Resolver {
 public:
  Resolver();
  // Does not wait for lookups under way: their threads end by themselves, into nothing.
  ~Resolver();

  // Literal addresses and "localhost" are answered without a lookup, but never from inside
  // this call. The answer comes within limits::kResolveTimeout.
  [[nodiscard]] std::unique_ptr<drive::ResolvePort> resolve(Loop& loop, const std::string& host,
                                                            drive::ResolveHandler& handler);

  struct Pool;  // what the lookup threads hold on to

 private:
  std::shared_ptr<Pool> pool_;  // shared with the threads
};

}  // namespace culvert::net
