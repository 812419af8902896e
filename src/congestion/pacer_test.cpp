#include "congestion/pacer.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kWindow = 100'000;
constexpr std::size_t kQuantum = 10'000;

// Bytes sent in `span` by a sender that always has some and is woken when it asks to be.
std::size_t sent_within(Pacer& pacer, Instant start, Duration span, Duration smoothed,
                        Duration latest, Duration lateness = {}) {
  std::size_t sent = 0;
  for (Instant now = start; now < start + span;) {
    pacer.update(now, pace_of_window(smoothed, latest, kWindow));
    while (pacer.may_send()) {
      pacer.on_sent(kQuantum);
      sent += kQuantum;
    }
    now = pacer.next_send() + lateness;
  }
  return sent;
}

constexpr Instant kStart = Instant(seconds(1000));

TEST(Pacer, SendsFiveQuartersOfAWindowEachRoundTrip) {
  Pacer pacer;
  const std::size_t sent =
      sent_within(pacer, kStart, seconds(1), milliseconds(100), milliseconds(100));
  EXPECT_NEAR(static_cast<double>(sent), 10 * 1.25 * kWindow, 2 * kQuantum);
}

TEST(Pacer, MakesUpForATimerThatIsLate) {
  Pacer pacer;
  const std::size_t sent =
      sent_within(pacer, kStart, seconds(1), milliseconds(100), milliseconds(100), milliseconds(2));
  EXPECT_NEAR(static_cast<double>(sent), 10 * 1.25 * kWindow, 4 * kQuantum);
}

TEST(Pacer, DoesNotMakeUpForIdleTime) {
  Pacer pacer;
  pacer.update(kStart, pace_of_window(milliseconds(100), milliseconds(100), kWindow));
  pacer.on_sent(kQuantum);
  std::size_t sent = 0;
  pacer.update(kStart + seconds(60), pace_of_window(milliseconds(100), milliseconds(100), kWindow));
  while (pacer.may_send()) {
    pacer.on_sent(kQuantum);
    sent += kQuantum;
  }
  EXPECT_LE(sent, 2 * kQuantum);
}

TEST(Pacer, BelievesASampleThatShowsTheAverageToBeOutdated) {
  Pacer pacer;
  pacer.update(kStart, pace_of_window(seconds(2), seconds(2), kWindow));
  pacer.on_sent(kWindow);
  EXPECT_GT(pacer.next_send(), kStart + seconds(1));
  pacer.update(kStart + milliseconds(1), pace_of_window(seconds(2), microseconds(200), kWindow));
  EXPECT_TRUE(pacer.may_send());
}

TEST(Pacer, LetsTwoMillisecondsLeaveAtOnce) {
  Pacer pacer;
  EXPECT_EQ(pacer.burst_bytes(), 65'536U);  // it is not known what there is to pace by
  pacer.update(kStart, 12.5e6);
  EXPECT_NEAR(static_cast<double>(pacer.burst_bytes()), 25'000, 1);
  pacer.update(kStart, 1e9);
  EXPECT_EQ(pacer.burst_bytes(), 65'536U);
  pacer.update(kStart, 1e5);
  EXPECT_EQ(pacer.burst_bytes(), 3000U);
}

TEST(Pacer, PacesNothingBeforeTheFirstSample) {
  Pacer pacer;
  pacer.update(kStart, pace_of_window(Duration::zero(), Duration::zero(), kWindow));
  pacer.on_sent(10 * kWindow);
  pacer.update(kStart, pace_of_window(Duration::zero(), Duration::zero(), kWindow));
  EXPECT_TRUE(pacer.may_send());
}

}  // namespace
}  // namespace culvert::congestion
