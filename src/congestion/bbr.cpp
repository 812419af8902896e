#include "congestion/bbr.h"

#include "base/probe.h"

#include <cmath>
#include <utility>

namespace culvert::congestion {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// RFC 9002 7.2 has 10. They are paced, so twice that is no burst, and saves a round trip.
constexpr double kFirstWindowPackets = 20;
constexpr double kLeastWindowPackets = 4;

// draft-ietf-ccwg-bbr 2.4: 4 ln 2 doubles the rate each round.
constexpr double kStartupGain = 2.77;
constexpr double kStartupGrowth = 1.25;  // less than that in each of some rounds: it is full
constexpr unsigned kStartupRoundsWithoutGrowth = 3;
constexpr double kStartupWindow = 3;
constexpr double kStartupLoss = 0.1;
constexpr double kDrainGain = 0.5;

// Acknowledgements come in lumps of this much time (peers hold them back).
constexpr double kLump = 0.003;
constexpr double kCruiseWindow = 1.25;  // of what the path holds
constexpr double kProbeWindow = 2;
constexpr double kUpGain = 1.25;
constexpr double kLeastUp = 0.03;     // over 1
constexpr double kUpRise = 0.01;      // after each, until one loses packets
constexpr double kFurtherUpGain = 2;  // after a probe that found much
constexpr double kFoundMuch = 1.1;
constexpr double kDownGain = 0.75;
constexpr unsigned kDownRounds = 3;    // at most
constexpr unsigned kResultRounds = 2;  // after a probe, until its last packets are acknowledged
constexpr unsigned kCruiseRounds = 5;
constexpr std::uint32_t kCruiseJitter = 3;  // rounds more, so that flows do not probe together

// The queue that is let be; what is above is worked off in two round trips.
constexpr Duration kLeftQueue = milliseconds(1);
constexpr double kWorkOff = 0.5;
constexpr double kLeastCruiseGain = 0.8;
// Queues that end a probe, and that count as somebody's: at least, and of a round trip.
constexpr Duration kProbeQueue = milliseconds(3);
constexpr int kProbeQueuePart = 8;
constexpr Duration kForeignQueue = milliseconds(5);
constexpr int kForeignQueuePart = 4;
constexpr unsigned kForeignRounds = 12;
constexpr unsigned kNewTimesRounds = 3;  // with a queue: older bandwidths no longer hold

constexpr Duration kMinRttSpan = seconds(30);
constexpr unsigned kFewSamples = 8;  // too few for the least of them to tell anything
constexpr int kRecentPart = 4;       // of a round trip
constexpr Duration kRecentLeast = milliseconds(1);
constexpr Duration kRecentMost = milliseconds(25);
constexpr Duration kProbeRttEvery = seconds(10);
// After startup. Who came to a queue that was there has seen no other round trip.
constexpr Duration kFirstProbeRtt = seconds(3);
constexpr Duration kLongUndrained = seconds(1);
constexpr Duration kEmptyQueue = microseconds(300);
constexpr double kProbeRttGain = 0.5;
constexpr double kProbeRttShare = 0.6;
constexpr unsigned kProbeRttRounds = 3;  // at most

constexpr double kFewPackets = 20;  // too few to judge losses by
constexpr double kHeavyLoss = 0.2;
constexpr unsigned kHeavyLossRounds = 2;
constexpr double kUsualLossWeight = 1.0 / 16;
constexpr double kDeviations = 3;
// What is lost on the way to the bottleneck leaves a gap in its queue. Most of it is made up for;
// all would be, where the loss is our own doing, what keeps it up.
constexpr double kMakeUp = 0.75;
constexpr double kMostMadeUp = 0.1;

constexpr Duration kOverflowingQueue = milliseconds(3);  // before a probe that loses packets
constexpr double kRareLoss = 0.002;
constexpr std::uint64_t kLateRounds = 100;
constexpr double kSlower = 0.75;
constexpr int kSharePart = 8;  // of a round trip: the queue that finding a share may add
constexpr double kBesidePace = 1.2;
constexpr Duration kAskEvery = seconds(4);
constexpr unsigned kBesideRounds = 8;
constexpr double kAskShare = 0.75;
constexpr unsigned kAskRounds = 4;  // at most

}  // namespace

// --- the model ---------------------------------------------------------------------------

void Bbr::Least::add(Instant now, Duration span, Duration value) {
  if (now - since_ >= span && count_ >= kFewSamples) {
    before_ = std::exchange(now_, Duration::max());
    since_ = now;
    count_ = 0;
  }
  now_ = std::min(now_, value);
  ++count_;
}

Duration Bbr::Least::get() const {
  const Duration least = std::min(now_, before_);
  return least == Duration::max() ? Duration::zero() : least;
}

Bbr::Bbr(std::size_t packet_bytes, Start start)
    : packet_(static_cast<double>(packet_bytes)),
      window_((start == Start::fresh ? kFirstWindowPackets : kLeastWindowPackets) * packet_),
      next_up_gain_(kUpGain),
      jitter_(static_cast<std::uint32_t>(packet_bytes)) {}

double Bbr::bandwidth() const {
  return *std::ranges::max_element(bandwidths_);
}

Duration Bbr::queue() const {
  return recent_rtt_.get() - min_rtt();
}

// A packet that leaves the bottleneck and the next that is there when it has are no queue.
Duration Bbr::at_least(Duration queue) const {
  if (bandwidth() <= 0) return queue;
  return queue + Duration(static_cast<Duration::rep>(2e9 * packet_ / bandwidth()));
}

Duration Bbr::probe_queue() const {
  return std::max(at_least(kProbeQueue), min_rtt() / kProbeQueuePart);
}

Duration Bbr::foreign_queue() const {
  return std::max(at_least(kForeignQueue), min_rtt() / kForeignQueuePart);
}

double Bbr::held(double share) const {
  return share * bandwidth() * in_seconds(min_rtt());
}

double Bbr::window_of(double gain) const {
  return held(gain) + bandwidth() * kLump + kLeastWindowPackets * packet_;
}

void Bbr::note_round_trip(Instant now, Duration rtt) {
  if (rtt <= Duration::zero()) return;
  min_rtt_.add(now, kMinRttSpan, rtt);
  recent_rtt_.add(now, std::clamp(min_rtt() / kRecentPart, kRecentLeast, kRecentMost), rtt);
  round_rtt_ = std::min(round_rtt_, rtt);
  if (rtt <= min_rtt() + kEmptyQueue) drained_at_ = now;
}

void Bbr::note_bandwidth(const Ack& ack) {
  if (ack.interval <= Duration::zero() || ack.delivered <= ack.prior_delivered) return;
  const double sample =
      static_cast<double>(ack.delivered - ack.prior_delivered) / in_seconds(ack.interval);
  // What the application did not fill tells only of what it exceeds.
  if (ack.is_app_limited && sample <= bandwidth()) return;
  if (newest_round_ != round_) {
    newest_round_ = round_;
    newest_ = (newest_ + 1) % kFilterRounds;
    bandwidths_[newest_] = 0;
  }
  bandwidths_[newest_] = std::max(bandwidths_[newest_], sample);
}

void Bbr::forget_older_bandwidths() {
  double newer = 0;
  for (std::size_t i = 0; i < kNewTimesRounds; ++i) {
    newer = std::max(newer, bandwidths_[(newest_ + kFilterRounds - i) % kFilterRounds]);
  }
  for (double& bandwidth : bandwidths_) bandwidth = std::min(bandwidth, newer);
}

// --- rounds --------------------------------------------------------------------------------

void Bbr::on_ack(Instant now, const Ack& ack) {
  note_round_trip(now, ack.rtt);
  round_acked_ += static_cast<double>(ack.acked);
  is_round_app_limited_ |= ack.is_app_limited;
  if (ack.acked > 0 && ack.prior_delivered >= round_ends_at_) {
    end_round(now);
    round_ends_at_ = ack.delivered;
    ++round_;
    ++phase_rounds_;
    round_acked_ = round_lost_ = 0;
    is_round_app_limited_ = ack.is_app_limited;
    round_rtt_ = Duration::max();
  }
  note_bandwidth(ack);
  if (phase_ == Phase::beside && !ack.is_app_limited) {
    follow_cubic(now, static_cast<double>(ack.acked));
  }
  judge_loss(now);
  next_phase(now, ack);
  decide(ack);
}

// Whether what is lost is not lost by our probing.
bool Bbr::is_at_rest() const {
  if (phase_ == Phase::cruise) return phase_rounds_ > kResultRounds;
  return phase_ == Phase::startup || phase_ == Phase::beside;
}

void Bbr::end_round(Instant now) {
  const double sent = round_acked_ + round_lost_;
  if (sent >= kFewPackets * packet_) {
    const double loss = round_lost_ / sent;
    const bool is_overshot = phase_ == Phase::startup && loss > kStartupLoss;
    if (is_at_rest() && !is_overshot && round_rtt_ - min_rtt() < foreign_queue() / 2) {
      usual_loss_ += (loss - usual_loss_) * kUsualLossWeight;
    }
    rounds_of_heavy_loss_ = loss > kHeavyLoss ? rounds_of_heavy_loss_ + 1 : 0;
    if (rounds_of_heavy_loss_ >= kHeavyLossRounds) forget_older_bandwidths();
  }
  if (phase_ == Phase::startup && !is_round_app_limited_) {
    if (bandwidth() >= kStartupGrowth * full_bandwidth_) {
      full_bandwidth_ = bandwidth();
      rounds_without_growth_ = 0;
    } else {
      ++rounds_without_growth_;
    }
  }
  look_for_others(now);
}

void Bbr::look_for_others(Instant now) {
  if (phase_ == Phase::startup || phase_ == Phase::drain || phase_ >= Phase::beside) return;
  if (is_round_app_limited_ || round_rtt_ == Duration::max() ||
      round_rtt_ - min_rtt() < foreign_queue()) {
    rounds_with_queue_ = 0;
    return;
  }
  if (rounds_with_queue_++ == 0) bandwidth_before_queue_ = bandwidth();
  if (rounds_with_queue_ >= kNewTimesRounds) forget_older_bandwidths();
  if (rounds_with_queue_ < kForeignRounds) return;
  CULVERT_PROBE("congestion.bbr shares a queue with others");
  go_beside(now, bandwidth_before_queue_);
}

void Bbr::go_beside(Instant now, double bandwidth) {
  rounds_with_queue_ = 0;
  ask_at_ = now + kAskEvery;
  is_finding_share_ = true;
  queue_before_share_ = queue();
  cubic_.start(now, bandwidth * in_seconds(recent_rtt_.get()), packet_);
  enter(Phase::beside);
}

// Who comes to a queue that was there first has not found a share in it, and CUBIC alone would take
// minutes to: that is what its slow start is for.
void Bbr::follow_cubic(Instant now, double acked) {
  if (queue() > queue_before_share_ + recent_rtt_.get() / kSharePart) is_finding_share_ = false;
  if (is_finding_share_) {
    cubic_.start(now, cubic_.bytes() + acked, packet_);
  } else {
    cubic_.on_ack(now, recent_rtt_.get(), acked);
  }
}

void Bbr::cut_share(Instant now) {
  is_finding_share_ = false;
  cubic_.on_congestion(now);
}

// Whether more is lost than usual, by more than chance explains.
bool Bbr::is_losing_more() const {
  const double packets = std::max(round_acked_ + round_lost_, window_) / packet_;
  const double usual = usual_loss_ * packets;
  return round_lost_ > 0 && round_lost_ / packet_ > usual + kDeviations * std::sqrt(usual);
}

// Where a path loses packets by chance, or brings them late, losses do not tell of a queue.
bool Bbr::overflows_foreign_queue() const {
  if (phase_ != Phase::up && phase_ != Phase::down) return false;
  if (usual_loss_ > kRareLoss) return false;
  if (found_in_round_ != kNeverFound && round_ - found_in_round_ < kLateRounds) return false;
  // Nor where the bottleneck has become slower.
  if (bandwidths_[newest_] < kSlower * bandwidth()) return false;
  return queue_before_probe_ > std::max(at_least(kOverflowingQueue), min_rtt() / kProbeQueuePart);
}

void Bbr::judge_loss(Instant now) {
  if (cut_in_round_ == round_ || !is_losing_more()) return;
  if (phase_ == Phase::beside) {
    cut_share(now);
  } else if (overflows_foreign_queue()) {
    CULVERT_PROBE("congestion.bbr makes a queue overflow that others keep");
    go_beside(now, bandwidth());
    cut_share(now);
  } else if (phase_ == Phase::down) {
    // The queue has no room for such a probe, or others are pushed out by it.
    next_up_gain_ = 1 + std::max((next_up_gain_ - 1) / 2, kLeastUp);
    // Or the queue was never seen to be empty.
    if (usual_loss_ < kRareLoss && first_probe_rtt_at_ != kNever) first_probe_rtt_at_ = now;
  } else {
    return;
  }
  cut_in_round_ = round_;
}

void Bbr::on_marked(Instant now) {
  if (phase_ == Phase::startup) {
    enter(Phase::drain);
  } else if (phase_ == Phase::up) {
    enter(Phase::down);
  } else if (phase_ == Phase::beside && cut_in_round_ != round_) {
    cut_in_round_ = round_;
    cut_share(now);
    window_ = cubic_.bytes();
  }
}

// --- phases --------------------------------------------------------------------------------

void Bbr::enter(Phase phase) {
  phase_ = phase;
  phase_rounds_ = 0;
}

void Bbr::cruise() {
  jitter_ = jitter_ * 1664525 + 1013904223;  // any will do: flows shall not keep step
  cruise_rounds_ = kCruiseRounds + (jitter_ >> 16U) % kCruiseJitter;
  enter(Phase::cruise);
}

void Bbr::probe_up(double gain) {
  up_gain_ = gain;
  bandwidth_before_probe_ = bandwidth();
  queue_before_probe_ = queue();
  enter(Phase::up);
}

bool Bbr::has_probe_filled() const {
  return queue() > queue_before_probe_ + probe_queue();
}

// What is in flight tells at once that the probe's queue is gone, the round trip half a round trip
// later, while the bottleneck already idles. But what is in flight says nothing of a queue that
// was there before.
bool Bbr::is_probe_worked_off() const {
  return queue() <= at_least(2 * kLeftQueue) || queue_before_probe_ <= at_least(kProbeQueue);
}

bool Bbr::has_found_more() const {
  return bandwidth() > kFoundMuch * bandwidth_before_probe_ && !has_probe_filled();
}

bool Bbr::is_drained(double in_flight) const {
  return in_flight <= held(1) + bandwidth() * kLump + packet_;
}

void Bbr::next_phase(Instant now, const Ack& ack) {
  const auto in_flight = static_cast<double>(ack.in_flight);
  switch (phase_) {
    case Phase::startup: {
      const double many = kStartupLoss * (round_acked_ + round_lost_) / packet_;
      const bool is_losing = round_lost_ / packet_ > many + kDeviations * std::sqrt(many);
      // A queue that is there while we send little is not ours.
      if (is_round_app_limited_) queue_before_probe_ = queue();
      if (rounds_without_growth_ >= kStartupRoundsWithoutGrowth || is_losing ||
          has_probe_filled()) {
        first_probe_rtt_at_ = now + kFirstProbeRtt;
        enter(Phase::drain);
      }
      return;
    }
    case Phase::drain:
      if (is_drained(in_flight)) cruise();
      return;
    case Phase::cruise:
      if (phase_rounds_ <= kResultRounds && has_found_more()) {
        probe_up(kFurtherUpGain);
      } else if (now - drained_at_ >= kProbeRttEvery ||
                 (now >= first_probe_rtt_at_ && now - drained_at_ >= kLongUndrained)) {
        first_probe_rtt_at_ = kNever;
        enter(Phase::probe_rtt);
      } else if (phase_rounds_ >= cruise_rounds_ && rounds_with_queue_ == 0) {
        probe_up(next_up_gain_);
        next_up_gain_ = std::min(next_up_gain_ + kUpRise, kUpGain);
      }
      return;
    case Phase::up:
      if (phase_rounds_ >= 1 || has_probe_filled()) enter(Phase::down);
      return;
    case Phase::down:
      if (has_found_more()) {
        probe_up(kFurtherUpGain);
      } else if (phase_rounds_ >= kDownRounds || (is_drained(in_flight) && is_probe_worked_off())) {
        cruise();
      }
      return;
    case Phase::probe_rtt:
      if (in_flight > held(kProbeRttShare) && phase_rounds_ < kProbeRttRounds) return;
      drained_at_ = now;
      bandwidth_before_probe_ = bandwidth();
      cruise();
      return;
    case Phase::beside:
      if (now < ask_at_ || phase_rounds_ < kBesideRounds) return;
      empty_since_ = kNever;
      enter(Phase::asking);
      return;
    case Phase::asking:
      ask_for_others(now, in_flight);
  }
}

// Ours has left the queue, so what remains is somebody's.
void Bbr::ask_for_others(Instant now, double in_flight) {
  if (empty_since_ == kNever && in_flight <= held(kAskShare) + kLeastWindowPackets * packet_) {
    empty_since_ = now;
  }
  if (queue() < foreign_queue() / 2) {
    CULVERT_PROBE("congestion.bbr has the queue for itself again");
    bandwidth_before_probe_ = bandwidth();
    cruise();
  } else if ((empty_since_ != kNever && now - empty_since_ > min_rtt() + kRecentMost) ||
             phase_rounds_ >= kAskRounds) {
    ask_at_ = now + kAskEvery;
    enter(Phase::beside);
  }
}

// --- what follows ----------------------------------------------------------------------------

double Bbr::pacing_gain() const {
  switch (phase_) {
    case Phase::drain:
      return kDrainGain;
    case Phase::up:
      return up_gain_;
    case Phase::down:
      return kDownGain;
    case Phase::probe_rtt:
      return kProbeRttGain;
    default:
      break;
  }
  const Duration excess = queue() - at_least(kLeftQueue);
  // The queue that is seen in the first round is that of before it.
  if (phase_ != Phase::cruise || phase_rounds_ == 0 || excess <= Duration::zero()) return 1;
  return std::max(1 - kWorkOff * in_seconds(excess) / in_seconds(min_rtt()), kLeastCruiseGain);
}

void Bbr::decide(const Ack& ack) {
  switch (phase_) {
    case Phase::startup: {
      // Also where the peer's window was smaller than ours, as it is at first.
      const auto was_in_flight = static_cast<double>(ack.in_flight + ack.acked);
      if (!ack.is_app_limited || window_ < 2 * was_in_flight) {
        window_ += static_cast<double>(ack.acked);
      }
      const double first = kFirstWindowPackets * packet_;
      window_ = std::min(window_, std::max(first, window_of(kStartupWindow)));
      if (min_rtt() > Duration::zero()) {
        const double known = std::max(bandwidth(), first / in_seconds(min_rtt()));
        pace_ = std::max(pace_, kStartupGain * known);
      }
      return;
    }
    case Phase::beside:
      window_ = cubic_.bytes();
      pace_ = kBesidePace * window_ / in_seconds(recent_rtt_.get());
      return;
    case Phase::asking:
      window_ = std::max(held(kAskShare), kLeastWindowPackets * packet_);
      pace_ = bandwidth();
      return;
    default:
      window_ = window_of(phase_ == Phase::cruise ? kCruiseWindow : kProbeWindow);
      pace_ = pacing_gain() * bandwidth() / (1 - kMakeUp * std::min(usual_loss_, kMostMadeUp));
  }
}

}  // namespace culvert::congestion
