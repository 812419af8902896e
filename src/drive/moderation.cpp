#include "drive/moderation.h"

namespace culvert::drive {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Duration kSpan = milliseconds(10);
constexpr Duration kMostRest = microseconds(500);  // a request waits for one on each way
constexpr int kPartOfRoundTrip = 16;
constexpr Duration kLeastRest = microseconds(100);  // below that the sleep costs what it saves
constexpr int kGathered = 16;                       // datagrams; more together save little
constexpr Duration kOften = milliseconds(1);        // rarer ones are handled as they come

}  // namespace

void Moderation::end_turn(Instant now) {
  const Duration span = now - since_;
  if (span < kSpan) return;
  const Duration apart = datagrams_ == 0 ? kNever - now : span / static_cast<int>(datagrams_);
  const Duration rest =
      std::min({kMostRest, nearest_ / kPartOfRoundTrip, kGathered * std::min(apart, kOften)});
  rest_ = apart > kOften || rest < kLeastRest ? Duration::zero() : rest;
  since_ = now;
  datagrams_ = 0;
  nearest_ = Duration::max();
}

}  // namespace culvert::drive
