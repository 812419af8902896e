#include "peer/session_place.h"

#include <gtest/gtest.h>

namespace culvert::peer {
namespace {

constexpr session::SessionLimits kLimits{.sessions = 2, .per_credential = 2};

struct Places {
  SessionPlace take(std::uint64_t session) {
    EXPECT_EQ(gate.admit({.session = session}, kLimits).admittance, session::Admittance::admitted);
    return {gate, session};
  }
  session::SessionPlaces gate;
};

TEST(SessionPlace, is_given_back_once_whoever_has_it_last) {
  Places places;
  {
    SessionPlace first = places.take(1);
    const SessionPlace owner = std::move(first);
    EXPECT_EQ(owner.session(), 1U);
    const SessionPlace second = places.take(2);
    EXPECT_EQ(places.gate.size(), 2U);
  }
  EXPECT_EQ(places.gate.size(), 0U);
}

TEST(SessionPlace, can_be_left_before_its_end) {
  Places places;
  SessionPlace place = places.take(1);
  place.leave();
  EXPECT_EQ(places.gate.size(), 0U);
  const SessionPlace other = places.take(1);  // the number means somebody else now
  place.leave();
  EXPECT_EQ(places.gate.size(), 1U);
}

TEST(SessionPlace, gives_way_only_while_its_client_is_away) {
  Places places;
  SessionPlace away = places.take(1);
  SessionPlace back = places.take(2);
  away.suspend(Instant(std::chrono::seconds(1)));
  back.suspend(Instant(std::chrono::seconds(0)));
  back.resume();
  const auto verdict = places.gate.admit({.session = 3}, kLimits);
  ASSERT_TRUE(verdict.leaver);
  EXPECT_EQ(verdict.leaver->session, 1U);
}

}  // namespace
}  // namespace culvert::peer
