#include "quic/send_allowance.h"

#include "base/rng.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

constexpr Instant kAllowanceStart(std::chrono::seconds(100));

class SendAllowanceTest : public testing::Test {
 public:
  SendAllowanceTest() {
    info.smoothed_rtt = 100 * NGTCP2_MILLISECONDS;
    info.latest_rtt = 100 * NGTCP2_MILLISECONDS;
    info.cwnd = 100'000;
  }
  SeededRng rng{1};
  BbrControl control{rng, CongestionControl::cubic};  // of no connection
  ngtcp2_conn_info info{};
};

TEST_F(SendAllowanceTest, spreads_a_window_over_the_round_trip) {
  SendAllowance allowance(true);
  allowance.update(kAllowanceStart, info, control);
  EXPECT_EQ(allowance.round_trip(), std::chrono::milliseconds(100));
  EXPECT_EQ(allowance.window_bytes(), 100'000U);
  allowance.on_sent(50'000);
  EXPECT_FALSE(allowance.may_send());
  // At 5/4 of the window a round trip.
  EXPECT_GT(allowance.next_send(), kAllowanceStart + std::chrono::milliseconds(30));
  EXPECT_LE(allowance.next_send(), kAllowanceStart + std::chrono::milliseconds(41));
  allowance.update(allowance.next_send(), info, control);
  EXPECT_TRUE(allowance.may_send());
}

TEST_F(SendAllowanceTest, leaves_it_to_who_else_paces) {
  SendAllowance allowance(false);
  allowance.update(kAllowanceStart, info, control);
  allowance.on_sent(50'000);
  EXPECT_TRUE(allowance.may_send());
  EXPECT_EQ(allowance.window_bytes(), 100'000U);
}

}  // namespace
}  // namespace culvert::quic
