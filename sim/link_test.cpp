#include "sim/link.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Instant kStart{std::chrono::seconds(1)};

Packet packet_of(std::size_t wire_bytes, std::uint8_t mark = 0) {
  Packet packet;
  packet.payload.assign(wire_bytes - kHeaderBytes, mark);
  return packet;
}

std::vector<std::uint8_t> deliver_all(Link& link) {
  std::vector<std::uint8_t> marks;
  while (auto packet = link.poll(kNever)) marks.push_back(packet->payload.front());
  return marks;
}

TEST(Link, delays_by_rate_and_propagation) {
  SeededRng rng(1);
  Link link({.bits_per_second = 8'000'000, .delay = milliseconds(10)});  // 1 byte per microsecond
  link.handle_packet(kStart, rng, packet_of(1000));
  link.handle_packet(kStart, rng, packet_of(1000));
  EXPECT_EQ(link.next_delivery(), kStart + milliseconds(10) + microseconds(1000));
  EXPECT_TRUE(link.poll(link.next_delivery()));
  EXPECT_EQ(link.next_delivery(), kStart + milliseconds(10) + microseconds(2000));
}

TEST(Link, drops_the_tail_when_the_queue_is_full) {
  SeededRng rng(1);
  Link link({.bits_per_second = 8'000'000, .queue_bytes = 3000});
  for (int i = 0; i < 10; ++i) link.handle_packet(kStart, rng, packet_of(1000));
  EXPECT_EQ(link.stats().queue_drops, 7U);
}

TEST(Link, holds_a_queue_that_is_given_in_time) {
  EXPECT_EQ(queue_bytes_for(100'000'000, milliseconds(50)), 625'000U);
  SeededRng rng(1);
  Link link(
      {.bits_per_second = 8'000'000, .queue_bytes = queue_bytes_for(8'000'000, milliseconds(5))});
  for (int i = 0; i < 10; ++i) link.handle_packet(kStart, rng, packet_of(1000));
  EXPECT_EQ(link.stats().queue_drops, 5U);
  Instant last{};
  while (link.next_delivery() != kNever) {
    last = link.next_delivery();
    EXPECT_TRUE(link.poll(last));
  }
  EXPECT_EQ(last, kStart + milliseconds(5));
}

TEST(Link, counts_a_payload_alone_where_it_is_the_whole_packet) {
  SeededRng rng(1);
  Link link({.bits_per_second = 8'000'000, .mtu = 1000, .header_bytes = 0});
  Packet packet;
  packet.payload.assign(1000, 7);
  link.handle_packet(kStart, rng, packet);
  EXPECT_EQ(link.next_delivery(), kStart + microseconds(1000));
  packet.payload.push_back(7);
  link.handle_packet(kStart, rng, packet);
  EXPECT_EQ(link.stats().mtu_drops, 1U);
}

TEST(Link, loses_about_as_many_as_asked) {
  SeededRng rng(1);
  Link link({.loss = 0.2});
  for (int i = 0; i < 10'000; ++i) link.handle_packet(kStart, rng, packet_of(100));
  EXPECT_NEAR(static_cast<double>(link.stats().lost), 2000, 150);
}

TEST(Link, loses_in_bursts) {
  SeededRng rng(1);
  Link link({.burst_start = 0.01, .burst_end = 0.2, .burst_loss = 1.0});
  std::uint64_t runs = 0;
  std::uint64_t lost_before = 0;
  bool was_lost = false;
  for (int i = 0; i < 20'000; ++i) {
    link.handle_packet(kStart, rng, packet_of(100));
    const bool is_lost = link.stats().lost != lost_before;
    if (is_lost && !was_lost) ++runs;
    was_lost = is_lost;
    lost_before = link.stats().lost;
  }
  EXPECT_NEAR(static_cast<double>(link.stats().lost) / static_cast<double>(runs), 5.0, 1.0);
}

TEST(Link, jitter_alone_keeps_the_order_and_reordering_breaks_it) {
  for (const bool reorders : {false, true}) {
    SeededRng rng(3);
    Link link({.delay = milliseconds(5),
               .jitter = milliseconds(5),
               .reorder = reorders ? 0.2 : 0.0,
               .reorder_delay = milliseconds(20)});
    for (std::uint8_t i = 0; i < 200; ++i) {
      link.handle_packet(kStart + microseconds(i * 100), rng, packet_of(100, i));
    }
    const auto marks = deliver_all(link);
    EXPECT_EQ(marks.size(), 200U);
    EXPECT_EQ(std::ranges::is_sorted(marks), !reorders);
  }
}

TEST(Link, duplicates) {
  SeededRng rng(1);
  Link link({.duplicate = 1.0});
  link.handle_packet(kStart, rng, packet_of(100, 9));
  EXPECT_EQ(deliver_all(link), (std::vector<std::uint8_t>{9, 9}));
}

TEST(Link, holds_packets_and_releases_them_together) {
  SeededRng rng(1);
  Link link(
      {.delay = milliseconds(1), .hold_least = milliseconds(10), .hold_most = milliseconds(20)});
  std::vector<Instant> released;
  for (int ms = 0; ms < 100; ++ms) {
    link.handle_packet(kStart + milliseconds(ms), rng,
                       packet_of(100, static_cast<std::uint8_t>(ms)));
  }
  for (Instant due = link.next_delivery(); due != kNever; due = link.next_delivery()) {
    released.push_back(due);
    ASSERT_TRUE(link.poll(due));
  }
  ASSERT_EQ(released.size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(released));
  released.erase(std::ranges::unique(released).begin(), released.end());
  EXPECT_GE(released.size(), 5U);
  EXPECT_LE(released.size(), 11U);
  for (std::size_t i = 1; i < released.size(); ++i) {
    EXPECT_GE(released[i] - released[i - 1], milliseconds(10));
    EXPECT_LE(released[i] - released[i - 1], milliseconds(20));
  }
}

TEST(Link, swallows_what_exceeds_the_mtu) {
  SeededRng rng(1);
  Link link({.mtu = 1400});
  link.handle_packet(kStart, rng, packet_of(1400));
  link.handle_packet(kStart, rng, packet_of(1401));
  EXPECT_EQ(link.stats().mtu_drops, 1U);
  EXPECT_EQ(deliver_all(link).size(), 1U);
}

TEST(Link, marks_congestion_only_on_packets_that_allow_it) {
  SeededRng rng(1);
  Link link({.mark_ce = 1.0});
  Packet capable = packet_of(100);
  capable.ecn = Ecn::ect0;
  link.handle_packet(kStart, rng, capable);
  link.handle_packet(kStart, rng, packet_of(100));
  EXPECT_EQ(link.poll(kNever)->ecn, Ecn::ce);
  EXPECT_EQ(link.poll(kNever)->ecn, Ecn::not_ect);
}

TEST(Link, down_delivers_nothing_new_but_what_was_under_way) {
  SeededRng rng(1);
  Link link({.delay = milliseconds(5)});
  link.handle_packet(kStart, rng, packet_of(100, 1));
  link.config().is_down = true;
  link.handle_packet(kStart, rng, packet_of(100, 2));
  EXPECT_EQ(deliver_all(link), (std::vector<std::uint8_t>{1}));
}

}  // namespace
}  // namespace culvert::sim
