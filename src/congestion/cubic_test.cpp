#include "congestion/cubic.h"

#include "congestion/bottleneck_model.h"
#include "congestion/pacer.h"

#include <gtest/gtest.h>

#include <memory>

namespace culvert::congestion {
namespace {

using model::Bottleneck;
using model::Wire;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kSegment = 1500;

// Standing for so many flows.
class OwnCubic final : public model::Controller {
 public:
  explicit OwnCubic(unsigned flows) { cubic.set_flows(flows); }
  void on_ack(Instant now, const Ack& ack) override {
    if (ack.rtt > Duration::zero()) rtt_ = ack.rtt;
    cubic.on_ack(now, ack);
  }
  void on_lost(Instant now, std::uint64_t bytes, bool is_new_event) override {
    cubic.on_lost(now, is_new_event ? now : Instant{}, bytes);
  }
  [[nodiscard]] double window() const override { return static_cast<double>(cubic.window_bytes()); }
  [[nodiscard]] double pace() const override {
    return pace_of_window(rtt_, rtt_, cubic.window_bytes());
  }
  Cubic cubic{kSegment};

 private:
  Duration rtt_{};
};

// What `count` plain flows of CUBIC have together, and one of ours that stands for as many.
struct Rates {
  double plain;
  double ours;
};
Rates rates_alone(const Bottleneck& bottleneck, unsigned count, Duration span) {
  Rates rates{};
  for (const bool is_ours : {false, true}) {
    Wire wire(bottleneck, 7);
    std::uint64_t before = 0;
    for (unsigned i = 0; i < (is_ours ? 1 : count); ++i) {
      model::Flow& flow = is_ours ? wire.add(std::make_unique<OwnCubic>(count)) : wire.add_cubic();
      flow.send();
    }
    wire.run_for(seconds(5));
    before = wire.delivered();
    wire.run_for(span);
    (is_ours ? rates.ours : rates.plain) =
        8 * static_cast<double>(wire.delivered() - before) / in_seconds(span);
  }
  return rates;
}

TEST(Cubic, fills_a_path_that_loses_nothing) {
  for (const int round_trip : {10, 50, 200}) {
    Wire wire({.round_trip = milliseconds(round_trip), .queue = milliseconds(50)});
    model::Flow& flow = wire.add(std::make_unique<OwnCubic>(1));
    flow.send();
    wire.run_for(seconds(10));
    const std::uint64_t before = flow.delivered();
    wire.run_for(seconds(20));
    EXPECT_GT(8 * static_cast<double>(flow.delivered() - before) / 20, 93e6) << round_trip;
  }
}

TEST(Cubic, slows_down_before_it_overflows_the_queue) {
  Wire wire({.round_trip = milliseconds(50), .queue = milliseconds(100)});
  model::Flow& flow = wire.add(std::make_unique<OwnCubic>(1));
  flow.send();
  Wire plain(wire.bottleneck);
  plain.add_cubic().send();
  wire.run_for(seconds(2));
  plain.run_for(seconds(2));
  EXPECT_LT(wire.dropped(), plain.dropped() / 3);
  EXPECT_GT(flow.delivered(), 2 * 100'000'000 / 8 / 2);
}

TEST(Cubic, has_the_rate_of_as_many_plain_flows_where_packets_are_lost) {
  for (const int round_trip : {20, 50, 100}) {
    for (const unsigned flows : {1U, 2U, 8U}) {
      const Rates rates =
          rates_alone({.round_trip = milliseconds(round_trip), .loss = 0.01}, flows, seconds(60));
      EXPECT_GT(rates.ours, 0.8 * rates.plain) << round_trip << " ms, " << flows << " flows";
      if (flows == 1) continue;  // chance decides over so few packets
      EXPECT_LT(rates.ours, 1.6 * rates.plain) << round_trip << " ms, " << flows << " flows";
    }
  }
}

// Spread packets are lost less than bursts are, so one of ours has somewhat more.
TEST(Cubic, shares_with_as_many_plain_flows) {
  for (const unsigned flows : {1U, 4U, 8U}) {
    Wire wire({.round_trip = milliseconds(20), .queue = milliseconds(50)});
    model::Flow& ours = wire.add(std::make_unique<OwnCubic>(flows));
    ours.send();
    for (unsigned i = 0; i < flows; ++i) wire.add_cubic().send();
    wire.run_for(seconds(20));
    const std::uint64_t all_before = wire.delivered();
    const std::uint64_t ours_before = ours.delivered();
    wire.run_for(seconds(60));
    const double share = static_cast<double>(ours.delivered() - ours_before) /
                         static_cast<double>(wire.delivered() - all_before);
    EXPECT_GT(share, 0.3) << flows;
    EXPECT_LT(share, 0.72) << flows;
  }
}

Ack of_packets(std::uint64_t& delivered, std::uint64_t packets, std::uint64_t in_flight) {
  const std::uint64_t before = delivered;
  delivered += packets * kSegment;
  return {.delivered = delivered,
          .prior_delivered = before,
          .rtt = milliseconds(20),
          .acked = packets * kSegment,
          .in_flight = in_flight};
}

TEST(Cubic, takes_a_cut_back_when_all_that_was_lost_was_only_late) {
  Cubic cubic(kSegment);
  Instant now(seconds(10));
  std::uint64_t delivered = 0;
  cubic.on_ack(now, of_packets(delivered, 10, 10 * kSegment));
  const std::uint64_t before = cubic.window_bytes();
  cubic.on_lost(now, now - milliseconds(30), kSegment);
  cubic.on_lost(now, now - milliseconds(29), kSegment);
  EXPECT_EQ(cubic.window_bytes(), before * 7 / 10);
  cubic.on_found(kSegment);
  EXPECT_EQ(cubic.window_bytes(), before * 7 / 10) << "the other is still lost";
  cubic.on_found(kSegment);
  EXPECT_EQ(cubic.window_bytes(), before);
  now += milliseconds(20);
  cubic.on_ack(now, of_packets(delivered, 10, before));
  EXPECT_GT(cubic.window_bytes(), before + 9 * kSegment) << "slow start goes on";
}

TEST(Cubic, cuts_once_for_all_that_was_sent_before_it_knew) {
  Cubic cubic(kSegment);
  const Instant now(seconds(10));
  std::uint64_t delivered = 0;
  cubic.on_ack(now, of_packets(delivered, 30, 30 * kSegment));
  const std::uint64_t before = cubic.window_bytes();
  cubic.on_marked(now, now - milliseconds(20));
  cubic.on_marked(now, now - milliseconds(10));
  cubic.on_lost(now, now - milliseconds(5), kSegment);
  EXPECT_EQ(cubic.window_bytes(), before * 7 / 10);
  cubic.on_marked(now + milliseconds(20), now + milliseconds(1));
  EXPECT_LT(cubic.window_bytes(), before / 2 + kSegment);
  cubic.on_found(kSegment);
  EXPECT_LT(cubic.window_bytes(), before / 2 + kSegment) << "marks are no mistake";
}

TEST(Cubic, grows_by_nothing_that_it_does_not_use) {
  Cubic cubic(kSegment);
  Instant now(seconds(10));
  std::uint64_t delivered = 0;
  cubic.on_ack(now, of_packets(delivered, 20, 20 * kSegment));
  cubic.on_lost(now, now, kSegment);
  const std::uint64_t before = cubic.window_bytes();
  for (int i = 0; i < 500; ++i) {  // a keystroke each
    now += milliseconds(20);
    Ack ack = of_packets(delivered, 1, 0);
    ack.is_app_limited = true;
    cubic.on_ack(now, ack);
  }
  EXPECT_EQ(cubic.window_bytes(), before);
  now += milliseconds(20);
  cubic.on_ack(now, of_packets(delivered, before / kSegment, before));
  EXPECT_LT(cubic.window_bytes(), before + before / 8) << "ten seconds of them are no growth";
}

TEST(Cubic, begins_with_little_after_persistent_congestion) {
  EXPECT_EQ(Cubic(kSegment).window_bytes(), 10 * kSegment);
  EXPECT_EQ(Cubic(kSegment, Cubic::Start::after_congestion).window_bytes(), 4 * kSegment);
}

}  // namespace
}  // namespace culvert::congestion
