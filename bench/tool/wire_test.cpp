#include "bench/tool/wire.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace culvert::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Instant kStart{std::chrono::seconds(1)};
constexpr sim::LinkConfig kPlain{.header_bytes = 0};

// A device of which the test has the other side: one packet a read or write, as with TUN.
class Device {
 public:
  Device() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends_.data()), 0);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    for (const int end : ends_) {
      if (end >= 0) close(end);
    }
  }
  [[nodiscard]] int wire_end() const { return ends_[0]; }
  void send(std::size_t bytes, std::uint8_t mark = 0) {
    const std::vector<std::uint8_t> packet(bytes, mark);
    ASSERT_EQ(write(ends_[1], packet.data(), bytes), static_cast<ssize_t>(bytes));
  }
  void hang_up() {
    close(ends_[1]);
    ends_[1] = -1;
  }
  // The sizes of the packets that have arrived.
  [[nodiscard]] std::vector<std::size_t> arrived() {
    std::vector<std::size_t> sizes;
    std::array<std::uint8_t, 2048> buffer{};
    for (;;) {
      const ssize_t size = read(ends_[1], buffer.data(), buffer.size());
      if (size < 0) return sizes;
      sizes.push_back(static_cast<std::size_t>(size));
    }
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

struct Bench {
  Bench(const sim::LinkConfig& up, const sim::LinkConfig& down)
      : wire({near.wire_end(), far.wire_end()}, up, down, 7) {}
  Device near;
  Device far;
  Wire wire;
};

TEST(Wire, carries_packets_whole_in_both_directions_at_their_own_delay) {
  Bench bench({.delay = milliseconds(5), .header_bytes = 0},
              {.delay = milliseconds(7), .header_bytes = 0});
  bench.near.send(100);
  bench.near.send(1500);
  bench.far.send(60);
  EXPECT_EQ(bench.wire.turn(kStart), 3U);
  EXPECT_EQ(bench.wire.next_delivery(), kStart + milliseconds(5));
  EXPECT_EQ(bench.wire.turn(kStart + milliseconds(5) - Duration(1)), 0U);
  EXPECT_EQ(bench.wire.turn(kStart + milliseconds(5)), 2U);
  EXPECT_EQ(bench.far.arrived(), (std::vector<std::size_t>{100, 1500}));
  EXPECT_EQ(bench.near.arrived(), std::vector<std::size_t>{});
  EXPECT_EQ(bench.wire.turn(kStart + milliseconds(7)), 1U);
  EXPECT_EQ(bench.near.arrived(), std::vector<std::size_t>{60});
  EXPECT_EQ(bench.wire.next_delivery(), kNever);
}

TEST(Wire, spaces_packets_by_the_rate_however_late_its_turns_are) {
  // A packet of 1,000 bytes takes 1 ms; turns come every 2.5 ms.
  Bench bench({.bits_per_second = 8'000'000, .header_bytes = 0}, kPlain);
  for (int i = 0; i < 10; ++i) bench.near.send(1000);
  std::vector<std::size_t> counts;
  for (int i = 0; i <= 4; ++i) {
    bench.wire.turn(kStart + microseconds(2500 * i));
    counts.push_back(bench.far.arrived().size());
  }
  EXPECT_EQ(counts, (std::vector<std::size_t>{0, 2, 3, 2, 3}));
  EXPECT_EQ(bench.wire.lateness().max(), milliseconds(2));
}

TEST(Wire, loses_what_the_link_loses_and_counts_it) {
  Bench bench({.loss = 0.1, .header_bytes = 0}, kPlain);
  std::size_t arrived = 0;
  for (int i = 0; i < 5000; ++i) {
    bench.near.send(100);
    bench.wire.turn(kStart);
    arrived += bench.far.arrived().size();
  }
  EXPECT_EQ(bench.wire.up().link.lost + arrived, 5000U);
  EXPECT_NEAR(static_cast<double>(bench.wire.up().link.lost), 500, 100);  // five sigma
  EXPECT_EQ(bench.wire.down().link.sent, 0U);
}

TEST(Wire, drops_at_a_full_queue) {
  Bench bench({.bits_per_second = 8'000'000,
               .queue_bytes = sim::queue_bytes_for(8'000'000, milliseconds(3)),
               .header_bytes = 0},
              kPlain);
  for (int i = 0; i < 10; ++i) bench.near.send(1000);
  bench.wire.turn(kStart);
  EXPECT_EQ(bench.wire.up().link.queue_drops, 7U);
}

TEST(Wire, counts_what_a_device_does_not_take) {
  Bench bench(kPlain, kPlain);
  bench.near.send(100);
  bench.far.hang_up();
  bench.wire.turn(kStart);
  EXPECT_EQ(bench.wire.up().refused, 1U);
  EXPECT_EQ(bench.wire.down().refused, 0U);
}

TEST(Lateness, tells_percentiles_by_steps_and_the_exact_maximum) {
  Lateness lateness;
  for (int i = 0; i < 99; ++i) lateness.add(microseconds(10));
  lateness.add(milliseconds(3));
  EXPECT_EQ(lateness.percentile(0.5), microseconds(50));
  EXPECT_EQ(lateness.percentile(0.995), milliseconds(3) + microseconds(50));
  EXPECT_EQ(lateness.max(), milliseconds(3));
  lateness.add(std::chrono::seconds(1));
  EXPECT_EQ(lateness.max(), std::chrono::seconds(1));
}

}  // namespace
}  // namespace culvert::bench
