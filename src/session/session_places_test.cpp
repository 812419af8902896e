#include "session/session_places.h"

#include <gtest/gtest.h>

namespace culvert::session {
namespace {

using namespace std::chrono_literals;

CredentialId credential(std::uint8_t number) {
  return {number};
}

SessionGate::Verdict admit(SessionPlaces& places, std::uint64_t session, std::uint8_t of = 1,
                           SessionLimits limits = {.sessions = 4, .per_credential = 4}) {
  return places.admit({.session = session,
                       .worker = static_cast<std::uint8_t>(session),
                       .credential = credential(of)},
                      limits);
}

TEST(SessionPlaces, are_as_many_as_the_limit) {
  SessionPlaces places;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    EXPECT_EQ(admit(places, id).admittance, Admittance::admitted);
  }
  EXPECT_EQ(admit(places, 5).admittance, Admittance::server_full);
  places.leave(2);
  EXPECT_EQ(admit(places, 5).admittance, Admittance::admitted);
  EXPECT_EQ(places.size(), 4U);
}

TEST(SessionPlaces, longest_suspended_session_goes_first) {
  SessionPlaces places;
  for (std::uint64_t id = 1; id <= 4; ++id) static_cast<void>(admit(places, id));
  places.suspend(Instant(20s), 1);
  places.suspend(Instant(10s), 3);
  places.suspend(Instant(5s), 4);
  places.resume(4);
  const auto first = admit(places, 5);
  EXPECT_EQ(first.admittance, Admittance::admitted);
  ASSERT_TRUE(first.leaver);
  EXPECT_EQ(first.leaver->session, 3U);
  EXPECT_EQ(first.leaver->worker, 3U);
  EXPECT_EQ(admit(places, 6).leaver->session, 1U);
  EXPECT_EQ(admit(places, 7).admittance, Admittance::server_full);
  places.leave(3);  // its worker has ended it
  places.suspend(Instant(30s), 3);
  EXPECT_EQ(admit(places, 7).admittance, Admittance::server_full);
}

TEST(SessionPlaces, nobody_goes_while_there_is_room) {
  SessionPlaces places;
  static_cast<void>(admit(places, 1));
  places.suspend(Instant(1s), 1);
  EXPECT_FALSE(admit(places, 2).leaver);
}

TEST(SessionPlaces, one_credential_has_its_share_and_gives_up_its_own) {
  constexpr SessionLimits kLimits{.sessions = 4, .per_credential = 3};
  SessionPlaces places;
  for (std::uint64_t id = 1; id <= 3; ++id) static_cast<void>(admit(places, id, 1, kLimits));
  EXPECT_EQ(admit(places, 4, 1, kLimits).admittance, Admittance::credential_full);
  EXPECT_EQ(admit(places, 5, 2, kLimits).admittance, Admittance::admitted);
  places.suspend(Instant(1s), 5);
  places.suspend(Instant(2s), 2);
  EXPECT_EQ(admit(places, 6, 1, kLimits).leaver->session, 2U) << "not the other's, older as it is";
  EXPECT_EQ(admit(places, 7, 3, kLimits).leaver->session, 5U);
}

TEST(SessionPlaces, share_is_all_there_is_for_the_only_credential) {
  EXPECT_EQ(default_share(100, 1), 100U);
  EXPECT_EQ(default_share(100, 0), 100U);
  EXPECT_EQ(default_share(100, 2), 75U);
  EXPECT_EQ(default_share(2, 2), 2U);
  EXPECT_EQ(default_share(1, 5), 1U);
}

}  // namespace
}  // namespace culvert::session
