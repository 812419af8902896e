#include "congestion/bbr.h"

#include "congestion/bottleneck_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace culvert::congestion {
namespace {

using model::BbrController;
using model::Bottleneck;
using model::Flow;
using model::Wire;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Phase = Bbr::Phase;

constexpr Duration kWarmUp = seconds(3);
const Bottleneck kUsualWire{};  // 100 Mbit/s, 20 ms, a queue of 50 ms

const Bbr& bbr_of(const Flow& flow) {
  return flow.as<BbrController>().bbr;
}

struct WireOutcome {
  std::vector<double> rates;  // of what the bottleneck carries, after kWarmUp
  std::vector<double> queue_ms;
  [[nodiscard]] double queue_at(double part) const {
    return queue_ms[static_cast<std::size_t>(part * static_cast<double>(queue_ms.size() - 1))];
  }
};

// `flows`: b is Bbr, c CUBIC; each begins 100 ms after the one before.
WireOutcome outcome_of(const Bottleneck& bottleneck, const std::string& flows, Duration span,
                       unsigned seed = 1) {
  Wire wire(bottleneck, seed);
  std::vector<Flow*> all;
  for (const char kind : flows) {
    all.push_back(kind == 'b' ? &wire.add_bbr() : &wire.add_cubic());
    wire.at(wire.now() + milliseconds(100) * static_cast<int>(all.size()),
            [flow = all.back()] { flow->send(); });
  }
  wire.run_for(kWarmUp);
  std::vector<std::uint64_t> before;
  for (const Flow* flow : all) before.push_back(flow->delivered());
  WireOutcome outcome;
  for (Duration passed{}; passed < span; passed += milliseconds(1)) {
    wire.run_for(milliseconds(1));
    outcome.queue_ms.push_back(1e3 * in_seconds(wire.queue_delay()));
  }
  std::ranges::sort(outcome.queue_ms);
  for (std::size_t i = 0; i < all.size(); ++i) {
    outcome.rates.push_back(8 * static_cast<double>(all[i]->delivered() - before[i]) /
                            in_seconds(span) / bottleneck.bits_per_second);
  }
  return outcome;
}

TEST(BbrFigures, fills_a_wire_and_leaves_its_queue_empty) {
  const WireOutcome outcome = outcome_of(kUsualWire, "b", seconds(20));
  EXPECT_GT(outcome.rates[0], 0.97);
  EXPECT_LT(outcome.queue_at(0.5), 2.0);
  EXPECT_LT(outcome.queue_at(1), 15.0);
}

TEST(BbrFigures, fills_a_wire_that_loses_packets_at_random) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    Bottleneck bottleneck{.round_trip = milliseconds(50), .loss = 0.01};
    EXPECT_GT(outcome_of(bottleneck, "b", seconds(20), seed).rates[0], 0.92) << seed;
    bottleneck = {.round_trip = milliseconds(100), .loss = 0.02};
    EXPECT_GT(outcome_of(bottleneck, "b", seconds(20), seed).rates[0], 0.88) << seed;
    bottleneck.loss = 0.1;
    EXPECT_GT(outcome_of(bottleneck, "b", seconds(20), seed).rates[0], 0.7) << seed;
  }
}

TEST(BbrFigures, makes_up_for_what_is_lost_on_the_way_to_the_bottleneck) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    Bottleneck bottleneck{.round_trip = milliseconds(50), .loss = 0.01, .is_lost_before = true};
    WireOutcome outcome = outcome_of(bottleneck, "b", seconds(20), seed);
    EXPECT_GT(outcome.rates[0], 0.985) << seed;
    EXPECT_LT(outcome.queue_at(0.5), 4.0) << seed;
    bottleneck.round_trip = milliseconds(100);
    bottleneck.loss = 0.02;
    outcome = outcome_of(bottleneck, "b", seconds(20), seed);
    EXPECT_GT(outcome.rates[0], 0.975) << seed;
    EXPECT_LT(outcome.queue_at(0.5), 4.0) << seed;
  }
}

// Its own losses, where a queue is short, are no reason to send more.
TEST(BbrFigures, does_not_make_up_for_what_it_loses_itself) {
  Wire wire({.round_trip = milliseconds(20), .queue = milliseconds(2)});
  Flow& flow = wire.add_bbr();
  flow.send();
  wire.run_for(kWarmUp);
  const std::uint64_t dropped = wire.dropped();
  const std::uint64_t delivered = flow.delivered();
  wire.run_for(seconds(20));
  const auto packets = static_cast<double>(flow.delivered() - delivered) / model::kPacket;
  EXPECT_LT(static_cast<double>(wire.dropped() - dropped) / packets, 0.02);
}

// A few packets of the first twenty are soon lost by chance; that is no full queue.
TEST(BbrFigures, is_up_to_speed_in_few_rounds_where_packets_are_lost_at_random) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    Wire wire({.round_trip = milliseconds(100), .loss = 0.02}, seed);
    Flow& flow = wire.add_bbr();
    flow.send();
    while (bbr_of(flow).phase() == Phase::startup) wire.run_for(milliseconds(1));
    EXPECT_GT(bbr_of(flow).bandwidth() * 8, 50e6) << seed;
  }
}

// A machine that is busy looks at its packets when it gets to it.
TEST(BbrFigures, is_not_misled_by_jitter_on_a_fast_wire) {
  const Bottleneck bottleneck{.bits_per_second = 1e9,
                              .round_trip = milliseconds(10),
                              .queue = milliseconds(10),
                              .jitter = milliseconds(3)};
  EXPECT_GT(outcome_of(bottleneck, "b", seconds(10)).rates[0], 0.99);
}

TEST(BbrFigures, fills_wires_of_all_rates_and_queues) {
  for (const double rate : {1e6, 10e6, 1e9}) {
    const Bottleneck bottleneck{
        .bits_per_second = rate, .round_trip = milliseconds(10), .queue = milliseconds(200)};
    EXPECT_GT(outcome_of(bottleneck, "b", seconds(10)).rates[0], 0.93) << rate;
  }
  for (const int queue : {2, 10, 500}) {
    const Bottleneck bottleneck{.queue = milliseconds(queue)};
    EXPECT_GT(outcome_of(bottleneck, "b", seconds(10)).rates[0], 0.95) << queue;
  }
}

TEST(BbrFigures, is_not_misled_by_jitter) {
  const Bottleneck bottleneck{.bits_per_second = 50e6,
                              .round_trip = milliseconds(40),
                              .loss = 0.01,
                              .queue = milliseconds(100),
                              .jitter = milliseconds(10)};
  EXPECT_GT(outcome_of(bottleneck, "b", seconds(20)).rates[0], 0.85);
}

TEST(BbrFigures, shares_with_cubic_whichever_was_first) {
  for (const unsigned seed : {1U, 2U, 3U}) {
    for (const int queue : {10, 50, 200}) {
      const Bottleneck bottleneck{.queue = milliseconds(queue)};
      const WireOutcome after = outcome_of(bottleneck, "bc", seconds(40), seed);
      EXPECT_GT(after.rates[1], 0.3) << queue << " ms, seed " << seed;
      EXPECT_GT(after.rates[0], 0.2) << queue << " ms, seed " << seed;
      const WireOutcome before = outcome_of(bottleneck, "cb", seconds(40), seed);
      EXPECT_GT(before.rates[0], 0.3) << queue << " ms, seed " << seed;
      EXPECT_GT(before.rates[1], 0.2) << queue << " ms, seed " << seed;
    }
  }
}

// Its probes must not be what keeps the other small: a queue that is no longer than the round trip
// is gone whenever one of the two takes its packets out.
TEST(BbrFigures, shares_with_cubic_in_the_short_queue_of_a_fast_wire) {
  for (const Duration jitter : {microseconds(0), microseconds(500), microseconds(3000)}) {
    const Bottleneck bottleneck{.bits_per_second = 1e9,
                                .round_trip = milliseconds(10),
                                .queue = milliseconds(10),
                                .jitter = jitter};
    double after = 0;
    double before = 0;
    for (const unsigned seed : {1U, 2U, 3U, 4U}) {
      after += outcome_of(bottleneck, "bc", seconds(8), seed).rates[1] / 4;
      before += outcome_of(bottleneck, "cb", seconds(8), seed).rates[0] / 4;
    }
    EXPECT_GT(after, 0.35) << jitter / microseconds(1) << " us";
    EXPECT_GT(before, 0.35) << jitter / microseconds(1) << " us";
  }
}

// CUBIC without its slow start takes minutes for a share of a fast wire.
TEST(BbrFigures, finds_its_share_of_a_queue_that_another_has_filled) {
  for (const Duration jitter : {milliseconds(0), milliseconds(1), milliseconds(3)}) {
    const Bottleneck bottleneck{.bits_per_second = 1e9,
                                .round_trip = milliseconds(10),
                                .queue = milliseconds(50),
                                .jitter = jitter};
    EXPECT_GT(outcome_of(bottleneck, "cb", seconds(8)).rates[1], 0.2) << jitter / milliseconds(1);
  }
}

TEST(BbrFigures, leaves_the_queue_again_when_the_other_has_gone) {
  Wire wire(kUsualWire);
  Flow& flow = wire.add_bbr();
  Flow& other = wire.add_cubic();
  flow.send();
  wire.at(wire.now() + seconds(1), [&] { other.send(); });
  wire.run_for(seconds(5));
  for (int i = 0; i < 5000 && bbr_of(flow).phase() != Phase::beside; ++i) {
    wire.run_for(milliseconds(1));
  }
  EXPECT_EQ(bbr_of(flow).phase(), Phase::beside);
  other.is_interactive = true;  // has nothing to send any more
  wire.run_for(seconds(8));
  std::vector<double> queue_ms;
  for (int i = 0; i < 2000; ++i) {
    wire.run_for(milliseconds(1));
    queue_ms.push_back(1e3 * in_seconds(wire.queue_delay()));
  }
  std::ranges::sort(queue_ms);
  EXPECT_LT(queue_ms[1000], 3.0);
  EXPECT_GT(bbr_of(flow).bandwidth() * 8, 90e6);
}

TEST(BbrFigures, shares_with_its_like) {
  const WireOutcome two = outcome_of(kUsualWire, "bb", seconds(30));
  EXPECT_GT(std::ranges::min(two.rates), 0.35);
  EXPECT_GT(two.rates[0] + two.rates[1], 0.95);
  EXPECT_LT(two.queue_at(0.5), 15.0);
  const WireOutcome four = outcome_of(kUsualWire, "bbbb", seconds(30));
  EXPECT_GT(std::ranges::min(four.rates), 0.1);
}

TEST(BbrFigures, follows_a_rate_that_changes) {
  Wire wire(kUsualWire);
  Flow& flow = wire.add_bbr();
  flow.send();
  wire.run_for(seconds(3));
  wire.bottleneck.bits_per_second = 20e6;
  wire.run_for(seconds(2));
  EXPECT_NEAR(bbr_of(flow).bandwidth() * 8, 20e6, 2e6);
  EXPECT_LT(wire.queue_delay(), milliseconds(15));
  wire.bottleneck.bits_per_second = 100e6;
  wire.run_for(seconds(3));
  EXPECT_GT(bbr_of(flow).bandwidth() * 8, 90e6);
}

TEST(BbrFigures, remembers_the_rate_over_quiet_times) {
  Wire wire(kUsualWire);
  Flow& flow = wire.add_bbr();
  flow.send();
  wire.run_for(seconds(3));
  flow.is_interactive = true;
  for (int i = 0; i < 500; ++i) {
    wire.run_for(milliseconds(20));
    flow.offer(1);
  }
  EXPECT_GT(bbr_of(flow).bandwidth() * 8, 90e6);
}

// Others have come while there were only keystrokes: that says nothing of the bandwidth.
TEST(BbrFigures, bulk_after_keystrokes_gets_up_to_speed_as_at_the_beginning) {
  for (const int more : {0, 4, 10, 40}) {
    Wire wire(kUsualWire);
    Flow& flow = wire.add_bbr();
    flow.is_interactive = true;
    for (int i = 0; i < 500; ++i) {
      if (i == 200) wire.bottleneck.round_trip += milliseconds(more);
      wire.run_for(milliseconds(20));
      flow.offer(1);
    }
    flow.is_interactive = false;
    flow.send();
    wire.run_for(seconds(1));
    const std::uint64_t before = flow.delivered();
    wire.run_for(seconds(1));
    // Where the least round trip of the last half minute is a third of what it is now, it takes
    // somewhat longer.
    EXPECT_GT(static_cast<double>(flow.delivered() - before) * 8, more == 40 ? 50e6 : 75e6) << more;
  }
}

TEST(BbrFigures, believes_a_longer_round_trip_in_the_end) {
  Wire wire(kUsualWire);
  Flow& flow = wire.add_bbr();
  flow.send();
  wire.run_for(seconds(10));
  wire.bottleneck.round_trip = milliseconds(40);  // the route has changed
  wire.run_for(seconds(70));
  EXPECT_NEAR(in_seconds(bbr_of(flow).min_rtt()), 0.04, 0.003);
  EXPECT_GT(bbr_of(flow).bandwidth() * 8, 90e6);
}

TEST(Bbr, empties_the_path_when_the_least_round_trip_is_not_seen_again) {
  Wire wire(kUsualWire);
  Flow& flow = wire.add_bbr();
  flow.send();
  wire.run_for(seconds(5));
  wire.bottleneck.round_trip = milliseconds(24);  // too little to be somebody's queue
  bool has_probed = false;
  for (int i = 0; i < 15'000 && !has_probed; ++i) {
    wire.run_for(milliseconds(1));
    has_probed = bbr_of(flow).phase() == Phase::probe_rtt;
  }
  EXPECT_TRUE(has_probed);
}

TEST(Bbr, begins_small_after_persistent_congestion) {
  EXPECT_EQ(Bbr(1000, Bbr::Start::after_congestion).window_bytes(), 4000U);
  EXPECT_EQ(Bbr(1000).window_bytes(), 20'000U);
  EXPECT_EQ(Bbr(1000).pace_per_second(), 0.0);  // nothing is known to pace by
}

TEST(Bbr, takes_a_mark_for_the_end_of_a_probe) {
  Wire wire(kUsualWire);
  Flow& flow = wire.add_bbr();
  flow.send();
  while (bbr_of(flow).phase() != Phase::up) wire.run_for(milliseconds(1));
  Bbr marked = bbr_of(flow);
  marked.on_marked(wire.now());
  EXPECT_EQ(marked.phase(), Phase::down);
  Bbr fresh(1000);
  fresh.on_marked(wire.now());
  EXPECT_EQ(fresh.phase(), Phase::drain);
}

TEST(Bbr, survives_acknowledgements_that_tell_nothing) {
  Bbr bbr(1200);
  Instant now(seconds(1));
  for (int i = 0; i < 100; ++i) {
    now += milliseconds(1);
    bbr.on_ack(now, {});
    bbr.on_lost(1200);
    bbr.on_marked(now);
  }
  EXPECT_GE(bbr.window_bytes(), 4 * 1200U);
}

}  // namespace
}  // namespace culvert::congestion
