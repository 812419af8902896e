#include "congestion/repeats.h"

#include "base/limits.h"

#include <algorithm>
#include <utility>

namespace culvert::congestion {
namespace {

using std::chrono::milliseconds;

constexpr double kWeight = 1.0 / 256;  // of the latest packet
// That a path has lost nothing for thousands of keystrokes counts in the end.
constexpr double kSentAgainWeight = 1.0 / 32;
constexpr double kNoticeable = 1.0 / 1024;  // one loss is forgotten after some 350 packets
constexpr double kHeavy = 1.0 / 128;

// Long enough that a queue or a moment of noise that took the first does not take both; short
// enough that the copy is acknowledged before the first counts as lost, an eighth of a round
// trip too late (RFC 9002 6.1.2), and is sent again for nothing.
constexpr int kPartOfRoundTrip = 16;
constexpr Duration kLeastApart = milliseconds(1);
constexpr Duration kMostApart = milliseconds(10);

}  // namespace

void PathLoss::on_delivered(double packets, double sent_again) {
  share_ /= 1 + kWeight * (packets + kSentAgainWeight * sent_again);
}

void PathLoss::on_lost() {
  share_ += (1 - share_) * kWeight;
}

void PathLoss::on_found() {
  share_ = std::max((share_ - kWeight) / (1 - kWeight), 0.0);
}

unsigned PathLoss::copies() const {
  return share_ > kHeavy ? 2 : share_ > kNoticeable ? 1 : 0;
}

bool Repeats::keep(Instant now, Duration round_trip, const PathId& path, Ecn ecn, ByteView packet,
                   unsigned copies) {
  allowance_bytes_ = std::min(
      allowance_bytes_ + limits::kRepeatedBytesPerSecond * in_seconds(now - updated_), kMostAtOnce);
  updated_ = now;
  const auto size = copies * static_cast<double>(packet.size());
  if (copies == 0 || count_ == kMostWaiting || size > allowance_bytes_ ||
      round_trip < kLeastRoundTrip) {
    return false;
  }
  allowance_bytes_ -= size;
  Waiting& last = waiting_.at((first_ + count_++) % kMostWaiting);
  last.apart = std::clamp(round_trip / kPartOfRoundTrip, kLeastApart, kMostApart);
  last.due = now + last.apart;
  last.copies = copies;
  last.path = path;
  last.ecn = ecn;
  last.bytes.assign(packet.begin(), packet.end());
  return true;
}

Instant Repeats::next_due() const {
  return count_ == 0 ? kNever : waiting_.at(first_).due;
}

std::optional<Repeats::Copy> Repeats::front(Instant now) const {
  if (next_due() > now) return std::nullopt;
  const Waiting& waiting = waiting_.at(first_);
  return Copy{.path = waiting.path, .ecn = waiting.ecn, .bytes = waiting.bytes};
}

void Repeats::end_front(Instant now) {
  Waiting& sent = waiting_.at(first_);
  if (--sent.copies == 0) return drop_front();
  sent.due = now + sent.apart;  // behind all others, which were kept before now
  Waiting& end = waiting_.at((first_ + count_) % kMostWaiting);
  if (&end != &sent) std::swap(end, sent);
  first_ = (first_ + 1) % kMostWaiting;
}

void Repeats::drop_front() {
  first_ = (first_ + 1) % kMostWaiting;
  --count_;
}

}  // namespace culvert::congestion
