#include "sim/tcp_flight.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Sends what it may.
std::size_t fill(TcpFlight& flight) {
  std::size_t count = 0;
  for (; flight.may_send(); ++count) flight.on_sent();
  return count;
}

TEST(TcpFlight, doubles_what_it_sends_in_each_round_trip) {
  TcpFlight flight;
  std::size_t under_way = fill(flight);
  EXPECT_EQ(under_way, 10U);
  for (const std::size_t expected : {20U, 40U, 80U}) {
    for (; under_way > 0; --under_way) flight.on_acknowledged();
    under_way = fill(flight);
    EXPECT_EQ(under_way, expected);
  }
}

TEST(TcpFlight, halves_its_window_once_for_the_losses_of_one_flight) {
  TcpFlight flight;
  fill(flight);
  for (std::uint64_t number = 2; number < 5; ++number) {
    EXPECT_EQ(flight.on_lost(number, 1, milliseconds(50), true), milliseconds(50));
  }
  EXPECT_EQ(flight.window(), 5);
  EXPECT_EQ(flight.losses(), 3U);
  EXPECT_FALSE(flight.may_send());
  for (int i = 0; i < 10; ++i) flight.on_acknowledged();
  EXPECT_LT(flight.window(), 8) << "no slow start again";
  flight.on_sent();
  static_cast<void>(flight.on_lost(flight.next() - 1, 1, milliseconds(50), true));
  EXPECT_LT(flight.window(), 4);
  EXPECT_GE(flight.window(), 2);
}

TEST(TcpFlight, waits_for_a_timeout_where_nothing_tells_of_a_loss) {
  TcpFlight flight;
  fill(flight);
  EXPECT_EQ(flight.on_lost(9, 1, milliseconds(50), false), milliseconds(250));
  EXPECT_EQ(flight.on_lost(9, 2, milliseconds(50), true), milliseconds(500));
  EXPECT_EQ(flight.on_lost(9, 3, milliseconds(50), true), milliseconds(1'000));
  EXPECT_EQ(flight.on_lost(9, 40, milliseconds(50), true), seconds(120));
}

}  // namespace
}  // namespace culvert::sim
