// Test helper: a machine that has nothing, for those that have a little of their own.
#pragma once

#include "ports/ports.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert {

class NullHost : public Host {
 public:
  void set_handler(HostHandler&) override {}
  [[nodiscard]] Instant now() override { return Instant{}; }
  void set_deadline(Instant) override {}
  std::unique_ptr<TimerPort> after(Duration, std::function<void(Instant)>) override {
    return nullptr;
  }
  void request_turn_end() override {}
  void set_rest(Duration) override {}
  bool hand_over(std::uint8_t, const RxDatagram&) override { return false; }
  Result<std::unique_ptr<UdpPort>> open_udp(const UdpOptions&, UdpHandler&) override {
    return fail(ErrorKind::internal, "no datagrams here");
  }
  Result<std::unique_ptr<StreamPort>> connect_stream(const StreamAddress&, Purpose,
                                                     StreamHandler&) override {
    return fail(ErrorKind::internal, "no streams here");
  }
  Result<std::unique_ptr<ListenerPort>> listen_stream(const StreamAddress&, Purpose,
                                                      ListenerHandler&) override {
    return fail(ErrorKind::internal, "no streams here");
  }
  Result<std::unique_ptr<StreamPort>> open_stdio(StreamHandler&) override {
    return fail(ErrorKind::internal, "no streams here");
  }
  std::unique_ptr<ResolvePort> resolve(const std::string&, Purpose, ResolveHandler&) override {
    return nullptr;
  }
  Result<IpAddress> local_address_towards(const IpAddress&) override {
    return fail(ErrorKind::internal, "no routes here");
  }
  std::vector<LocalAddress> local_addresses() override { return {}; }
  void give_back_memory() override {}
  Rng& rng() override { return rng_; }

 private:
  SeededRng rng_{1};
};

}  // namespace culvert
