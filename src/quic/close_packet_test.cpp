#include "quic/close_packet.h"

#include "base/limits.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

const PathId kClosePath{.local = {IpAddress::v4(0x0A000001), 1},
                        .remote = {IpAddress::v4(0x0A000002), 2}};

TEST(ClosePacket, says_what_it_was_told_and_cuts_what_is_too_long) {
  ClosePacket close;
  close.set_application_error(7, std::string(2 * limits::kReasonBytes, 'x'));
  EXPECT_EQ(close.error().type, NGTCP2_CCERR_TYPE_APPLICATION);
  EXPECT_EQ(close.error().error_code, 7U);
  EXPECT_EQ(close.error().reasonlen, limits::kReasonBytes);
  EXPECT_EQ(close.error().reason[0], 'x');

  ClosePacket refused;
  refused.set_transport_error(NGTCP2_CONNECTION_REFUSED);
  EXPECT_EQ(refused.error().type, NGTCP2_CCERR_TYPE_TRANSPORT);
  EXPECT_EQ(refused.error().error_code, std::uint64_t{NGTCP2_CONNECTION_REFUSED});
  EXPECT_EQ(refused.error().reasonlen, 0U);

  ClosePacket alert;
  alert.set_tls_alert(120);
  EXPECT_EQ(alert.error().error_code, NGTCP2_CRYPTO_ERROR | 120U);

  ClosePacket broken;
  broken.set_library_error(NGTCP2_ERR_FLOW_CONTROL);
  EXPECT_EQ(broken.error().error_code, std::uint64_t{NGTCP2_FLOW_CONTROL_ERROR});
}

TEST(ClosePacket, is_sent_again_ever_less_often_to_who_goes_on) {
  ClosePacket close;
  close.on_received();
  EXPECT_FALSE(close.is_due()) << "there is none yet";
  const Bytes packet(40, 1);
  close.on_written(kClosePath, packet);
  EXPECT_FALSE(close.is_due());
  std::vector<int> answered;
  for (int i = 1; i <= 40; ++i) {
    close.on_received();
    if (!close.is_due()) continue;
    answered.push_back(i);
    TxBuilder out(2'000);
    ASSERT_TRUE(close.resend(out));
    ASSERT_EQ(out.batches().size(), 1U);
    EXPECT_EQ(out.batches()[0].path, kClosePath);
    EXPECT_EQ(Bytes(out.batches()[0].bytes.begin(), out.batches()[0].bytes.end()), packet);
  }
  EXPECT_EQ(answered, (std::vector{1, 2, 4, 8, 16, 32}));
}

TEST(ClosePacket, stays_due_until_there_is_room) {
  ClosePacket close;
  close.on_written(kClosePath, Bytes(40, 1));
  close.on_received();
  TxBuilder full(10);
  EXPECT_FALSE(close.resend(full));
  EXPECT_TRUE(close.is_due());
}

}  // namespace
}  // namespace culvert::quic
