#include "quic/close_reason.h"

#include "base/limits.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

struct Case {
  ngtcp2_ccerr_type type;
  std::uint64_t code;
  bool was_established;
  ErrorKind kind;
};

TEST(CloseReason, maps_the_peers_codes_to_kinds) {
  constexpr auto kTransport = NGTCP2_CCERR_TYPE_TRANSPORT;
  constexpr auto kApplication = NGTCP2_CCERR_TYPE_APPLICATION;
  for (const Case& c : {
           Case{kApplication, 0, true, ErrorKind::cancelled},
           Case{kApplication, 7, true, ErrorKind::lost},
           Case{kTransport, NGTCP2_NO_ERROR, true, ErrorKind::lost},
           Case{kTransport, NGTCP2_NO_ERROR, false, ErrorKind::unreachable},
           Case{kTransport, NGTCP2_CONNECTION_REFUSED, false, ErrorKind::unreachable},
           Case{kTransport, NGTCP2_PROTOCOL_VIOLATION, true, ErrorKind::protocol},
           Case{kTransport, NGTCP2_CRYPTO_ERROR + 42, false, ErrorKind::authentication},
           Case{kTransport, NGTCP2_CRYPTO_ERROR + 48, false, ErrorKind::authentication},
           Case{kTransport, NGTCP2_CRYPTO_ERROR + 120, false, ErrorKind::protocol},
       }) {
    ngtcp2_ccerr error;
    ngtcp2_ccerr_default(&error);
    error.type = c.type;
    error.error_code = c.code;
    const Closed closed = closed_by_peer(error, c.was_established);
    EXPECT_EQ(closed.error.kind, c.kind) << c.code;
    EXPECT_TRUE(closed.is_by_peer);
    EXPECT_EQ(closed.application_code.has_value(), c.type == kApplication);
    EXPECT_FALSE(closed.error.what.empty());
  }
}

TEST(CloseReason, timeouts_mean_unreachable_before_and_lost_after_establishment) {
  EXPECT_EQ(closed_by_error(NGTCP2_ERR_IDLE_CLOSE, 0, false).error.kind, ErrorKind::unreachable);
  EXPECT_EQ(closed_by_error(NGTCP2_ERR_IDLE_CLOSE, 0, true).error.kind, ErrorKind::lost);
  EXPECT_EQ(closed_by_error(NGTCP2_ERR_HANDSHAKE_TIMEOUT, 0, false).error.kind,
            ErrorKind::unreachable);
  EXPECT_EQ(closed_by_error(NGTCP2_ERR_CRYPTO, 42, false).error.kind, ErrorKind::authentication);
  EXPECT_EQ(closed_by_error(NGTCP2_ERR_FLOW_CONTROL, 0, true).error.kind, ErrorKind::protocol);
  EXPECT_EQ(closed_by_stateless_reset(true).error.kind, ErrorKind::lost);
}

TEST(CloseReason, phrases_become_printable_and_bounded) {
  EXPECT_EQ(printable_reason(as_bytes("all well")), "all well");
  EXPECT_EQ(printable_reason(as_bytes("a\x1b[31m\xff")), "a?[31m?");
  EXPECT_EQ(printable_reason(Bytes(10'000, 'x')).size(), limits::kReasonBytes);
  EXPECT_EQ(printable_reason({}), "");
}

}  // namespace
}  // namespace culvert::quic
