#include "quic/input_gate.h"

#include "quic/endpoint.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

constexpr Instant kGateStart(std::chrono::seconds(100));
constexpr Duration kGateRoundTrip = std::chrono::milliseconds(40);
const PathId kGateHome{.local = {IpAddress::v4(0x0A000001), 4433},
                       .remote = {IpAddress::v4(0x0A000002), 50'000}};
const PathId kGateElsewhere{.local = kGateHome.local,
                            .remote = {IpAddress::v4(0x0A000003), 50'000}};

// With a short header, to some connection id.
Bytes short_packet(std::uint8_t payload) {
  Bytes packet(60, payload);
  packet[0] = 0x40;
  for (std::size_t i = 1; i <= kConnectionIdBytes; ++i) packet[i] = 9;
  return packet;
}

TEST(InputGate, at_a_client_holds_what_follows_the_handshake_until_that_has_ended) {
  InputGate gate(true);
  EXPECT_FALSE(gate.admit(kGateStart, kGateRoundTrip, kGateHome, Ecn::ect0, short_packet(1)));
  EXPECT_TRUE(gate.take(kGateStart).empty());
  EXPECT_FALSE(gate.has_some_at_once());
  gate.end_handshake();
  EXPECT_TRUE(gate.has_some_at_once());
  const auto held = gate.take(kGateStart);
  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ(held[0].bytes, short_packet(1));
  EXPECT_EQ(held[0].ecn, Ecn::ect0);
  EXPECT_FALSE(gate.has_some_at_once());
  EXPECT_TRUE(gate.admit(kGateStart, kGateRoundTrip, kGateHome, Ecn::ect0, short_packet(2)));
}

TEST(InputGate, at_a_server_holds_what_may_be_a_copy_for_a_while) {
  InputGate gate(false);
  gate.set_home(kGateHome);
  const auto usual =
      gate.admit(kGateStart, kGateRoundTrip, kGateHome, Ecn::not_ect, short_packet(1));
  ASSERT_TRUE(usual);
  EXPECT_EQ(usual->path, kGateHome);
  EXPECT_FALSE(
      gate.admit(kGateStart, kGateRoundTrip, kGateElsewhere, Ecn::not_ect, short_packet(2)));
  EXPECT_TRUE(gate.take(kGateStart).empty());
  const Instant due = gate.next_due();
  ASSERT_LE(due, kGateStart + kGateRoundTrip / 2);
  const auto held = gate.take(due);
  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ(held[0].path, kGateElsewhere);
  EXPECT_EQ(gate.next_due(), kNever);
}

}  // namespace
}  // namespace culvert::quic
