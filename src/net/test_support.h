// For net's own tests: a host whose loop runs until a test says done, or fails after a
// generous bound. The kernel is real here, so real time passes; no test waits for a fixed
// time. Not part of the library.
#pragma once

#include "net/kernel_host.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::net {

class LoopTest : public ::testing::Test {
 protected:
  explicit LoopTest(UdpFeatures features = {}, unsigned workers = 1)
      : group_(null_logger(), features, workers) {}

  KernelHost& host() { return group_.host(0); }
  // Runs until done().
  void run() {
    const auto guard = host().after(std::chrono::seconds(20), [this](Instant) {
      ADD_FAILURE() << "nothing happened for 20 s";
      host().stop();
    });
    host().run();
  }
  void done() { host().stop(); }

  HostGroup group_;
};

inline SocketAddress loopback_v4(std::uint16_t port = 0) {
  return {IpAddress::loopback(Family::v4), port};
}
inline SocketAddress loopback_v6(std::uint16_t port = 0) {
  return {IpAddress::loopback(Family::v6), port};
}

// One datagram, copied out of a batch.
struct Received {
  PathId path;
  Ecn ecn;
  std::string bytes;
};

// Collects datagrams, cut at segment boundaries, and calls `on_more` after each batch.
class UdpRecorder : public UdpHandler {
 public:
  void on_udp_readable(Instant) override {
    std::array<RxDatagram, 8> batch;
    while (const std::size_t count = port->recv_batch(batch)) {
      for (std::size_t i = 0; i < count; ++i) {
        const RxDatagram& rx = batch[i];
        glued += rx.bytes.size() > rx.segment_size ? 1 : 0;
        for_each_segment(rx, [&](ByteView bytes) {
          received.push_back({rx.path, rx.ecn, std::string(as_text(bytes))});
        });
      }
    }
    if (on_more) on_more();
  }
  void on_udp_writable(Instant) override {
    if (on_writable) on_writable();
  }

  UdpPort* port = nullptr;
  std::vector<Received> received;
  std::size_t glued = 0;  // how many receive calls brought several datagrams at once
  std::function<void()> on_more;
  std::function<void()> on_writable;
};

}  // namespace culvert::net
