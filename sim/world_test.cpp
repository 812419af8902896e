#include "sim/world.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;

TEST(World, runs_events_by_time_and_then_by_order_of_arrival) {
  World world(1);
  std::vector<int> order;
  world.after(milliseconds(2), [&](Instant) { order.push_back(3); });
  world.after(milliseconds(1), [&](Instant) { order.push_back(1); });
  world.after(milliseconds(1), [&](Instant) { order.push_back(2); });
  world.run_for(milliseconds(5));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(World, stops_at_the_deadline_and_stands_there) {
  World world(1);
  const Instant start = world.now();
  bool has_run = false;
  world.after(milliseconds(10), [&](Instant) { has_run = true; });
  EXPECT_FALSE(world.run_until([&] { return has_run; }, start + milliseconds(9)));
  EXPECT_EQ(world.now(), start + milliseconds(9));
  EXPECT_TRUE(world.run_until([&] { return has_run; }, start + milliseconds(11)));
  EXPECT_EQ(world.now(), start + milliseconds(10));
}

TEST(World, an_event_in_the_past_runs_now) {
  World world(1);
  const Instant start = world.now();
  Instant seen{};
  world.at(start - milliseconds(5), [&](Instant now) { seen = now; });
  world.run_for(milliseconds(1));
  EXPECT_EQ(seen, start);
}

TEST(World, a_livelock_ends_by_the_event_budget) {
  World world(1);
  world.set_event_budget(1000);
  Action again;
  const std::function<void()> spin = [&] { world.after(Duration{}, [&](Instant) { spin(); }); };
  spin();
  EXPECT_FALSE(world.run_until([] { return false; }, kNever));
  EXPECT_TRUE(world.is_livelocked());
}

TEST(World, generators_of_components_are_independent_and_repeatable) {
  World first(7);
  World second(7);
  EXPECT_EQ(first.rng_for("a").next(), second.rng_for("a").next());
  EXPECT_NE(first.rng_for("a").next(), first.rng_for("b").next());
  EXPECT_NE(first.rng_for("a").next(), World(8).rng_for("a").next());
}

TEST(World, the_trace_hash_depends_on_values_order_and_time) {
  World first(1);
  World second(1);
  first.trace(1);
  first.trace(2);
  second.trace(2);
  second.trace(1);
  EXPECT_NE(first.trace_hash(), second.trace_hash());
}

}  // namespace
}  // namespace culvert::sim
