#include "congestion/bbr.h"

#include "base/probe.h"

#include <algorithm>
#include <cmath>

namespace culvert::congestion {
namespace {

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

constexpr Duration kProbeRttEvery = seconds(10);
// After startup. Who came to a queue that was there has seen no other round trip.
constexpr Duration kFirstProbeRtt = seconds(3);
constexpr Duration kLongUndrained = seconds(1);
constexpr double kProbeRttGain = 0.5;
constexpr double kProbeRttShare = 0.6;
constexpr unsigned kProbeRttRounds = 3;  // at most

constexpr double kFewPackets = 20;  // too few to judge losses by
// What is lost on the way to the bottleneck leaves a gap in its queue. Most of it is made up for;
// all would be, where the loss is our own doing, what keeps it up.
constexpr double kMakeUp = 0.75;
constexpr double kMostMadeUp = 0.1;

constexpr Duration kOverflowingQueue = milliseconds(3);  // before a probe that loses packets
constexpr double kRareLoss = 0.002;
constexpr double kSlower = 0.75;
constexpr double kBesidePace = 1.2;
constexpr Duration kAskEvery = seconds(4);
constexpr unsigned kBesideRounds = 8;
constexpr double kAskShare = 0.75;
constexpr unsigned kAskRounds = 4;  // at most

}  // namespace

// --- the model ---------------------------------------------------------------------------

Bbr::Bbr(std::size_t packet_bytes, Start start)
    : packet_(static_cast<double>(packet_bytes)),
      window_((start == Start::fresh ? kFirstWindowPackets : kLeastWindowPackets) * packet_),
      jitter_(static_cast<std::uint32_t>(packet_bytes)) {}

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

void Bbr::note_bandwidth(const Ack& ack) {
  if (ack.interval <= Duration::zero() || ack.delivered <= ack.prior_delivered) return;
  const double sample =
      static_cast<double>(ack.delivered - ack.prior_delivered) / in_seconds(ack.interval);
  // What the application did not fill tells only of what it exceeds.
  if (ack.is_app_limited && sample <= bandwidth()) return;
  bandwidths_.add(round_.number(), sample);
}

// --- rounds --------------------------------------------------------------------------------

void Bbr::on_ack(Instant now, const Ack& ack) {
  if (ack.rtt > Duration::zero()) trips_.add(now, ack.rtt);
  round_.on_acked(ack.acked, ack.is_app_limited);
  if (ack.acked > 0 && round_.is_ended_by(ack.prior_delivered)) {
    end_round(now);
    round_.begin_next(ack.delivered, ack.is_app_limited);
    trips_.begin_round();
    ++phase_rounds_;
  }
  note_bandwidth(ack);
  if (phase_ == Phase::beside && !ack.is_app_limited) {
    share_.on_ack(now, trips_.recent(), queue(), static_cast<double>(ack.acked), packet_);
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
  const double sent = round_.acked() + round_.lost();
  if (sent >= kFewPackets * packet_) {
    const double loss = round_.lost() / sent;
    const bool is_overshot = phase_ == Phase::startup && loss > kStartupLoss;
    if (is_at_rest() && !is_overshot && trips_.of_round() - min_rtt() < foreign_queue() / 2) {
      usual_loss_.learn(loss);
    }
    if (usual_loss_.count_heavy(loss)) bandwidths_.forget_older();
  }
  if (phase_ == Phase::startup && !round_.is_app_limited()) {
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
  if (round_.is_app_limited() || trips_.of_round() == Duration::max() ||
      trips_.of_round() - min_rtt() < foreign_queue()) {
    rounds_with_queue_ = 0;
    return;
  }
  if (rounds_with_queue_++ == 0) bandwidth_before_queue_ = bandwidth();
  // Older ones no longer hold.
  if (rounds_with_queue_ >= BandwidthFilter::kNewTimesRounds) bandwidths_.forget_older();
  if (rounds_with_queue_ < kForeignRounds) return;
  CULVERT_PROBE("congestion.bbr shares a queue with others");
  go_beside(now, bandwidth_before_queue_);
}

void Bbr::go_beside(Instant now, double bandwidth) {
  rounds_with_queue_ = 0;
  ask_at_ = now + kAskEvery;
  share_.begin(now, bandwidth * in_seconds(trips_.recent()), packet_, queue());
  enter(Phase::beside);
}

// Whether more is lost than usual, by more than chance explains.
bool Bbr::is_losing_more() const {
  const double packets = std::max(round_.acked() + round_.lost(), window_) / packet_;
  return round_.lost() > 0 && usual_loss_.is_exceeded_by(round_.lost() / packet_, packets);
}

// Where a path loses packets by chance, or brings them late, losses do not tell of a queue.
bool Bbr::overflows_foreign_queue() const {
  if (phase_ != Phase::up && phase_ != Phase::down) return false;
  if (usual_loss_.share() > kRareLoss || usual_loss_.has_found_of_late(round_.number()))
    return false;
  // Nor where the bottleneck has become slower.
  if (bandwidths_.newest() < kSlower * bandwidth()) return false;
  return probe_.queue_before() > std::max(at_least(kOverflowingQueue), min_rtt() / kProbeQueuePart);
}

void Bbr::judge_loss(Instant now) {
  if (cut_in_round_ == round_.number() || !is_losing_more()) return;
  if (phase_ == Phase::beside) {
    share_.cut(now);
  } else if (overflows_foreign_queue()) {
    CULVERT_PROBE("congestion.bbr makes a queue overflow that others keep");
    go_beside(now, bandwidth());
    share_.cut(now);
  } else if (phase_ == Phase::down) {
    // The queue has no room for such a probe, or others are pushed out by it.
    probe_.lower_next();
    // Or the queue was never seen to be empty.
    if (usual_loss_.share() < kRareLoss && first_probe_rtt_at_ != kNever) first_probe_rtt_at_ = now;
  } else {
    return;
  }
  cut_in_round_ = round_.number();
}

void Bbr::on_marked(Instant now) {
  if (phase_ == Phase::startup) {
    enter(Phase::drain);
  } else if (phase_ == Phase::up) {
    enter(Phase::down);
  } else if (phase_ == Phase::beside && cut_in_round_ != round_.number()) {
    cut_in_round_ = round_.number();
    share_.cut(now);
    window_ = share_.window_bytes();
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
  probe_.begin(gain, bandwidth(), queue());
  enter(Phase::up);
}

bool Bbr::has_probe_filled() const {
  return queue() > probe_.queue_before() + probe_queue();
}

// What is in flight tells at once that the probe's queue is gone, the round trip half a round trip
// later, while the bottleneck already idles. But what is in flight says nothing of a queue that
// was there before.
bool Bbr::is_probe_worked_off() const {
  return queue() <= at_least(2 * kLeftQueue) || probe_.queue_before() <= at_least(kProbeQueue);
}

bool Bbr::has_found_more() const {
  return bandwidth() > kFoundMuch * probe_.bandwidth_before() && !has_probe_filled();
}

bool Bbr::is_drained(double in_flight) const {
  return in_flight <= held(1) + bandwidth() * kLump + packet_;
}

void Bbr::next_phase(Instant now, const Ack& ack) {
  const auto in_flight = static_cast<double>(ack.in_flight);
  switch (phase_) {
    case Phase::startup: {
      const double many = kStartupLoss * (round_.acked() + round_.lost()) / packet_;
      const bool is_losing =
          round_.lost() / packet_ > many + UsualLoss::kDeviations * std::sqrt(many);
      // A queue that is there while we send little is not ours.
      if (round_.is_app_limited()) probe_.note_queue(queue());
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
      } else if (now - trips_.empty_at() >= kProbeRttEvery ||
                 (now >= first_probe_rtt_at_ && now - trips_.empty_at() >= kLongUndrained)) {
        first_probe_rtt_at_ = kNever;
        enter(Phase::probe_rtt);
      } else if (phase_rounds_ >= cruise_rounds_ && rounds_with_queue_ == 0) {
        probe_up(probe_.next_gain());
        probe_.raise_next();
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
      trips_.note_empty(now);
      probe_.note_bandwidth(bandwidth());
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
    probe_.note_bandwidth(bandwidth());
    cruise();
  } else if ((empty_since_ != kNever && now - empty_since_ > min_rtt() + RoundTrips::kRecentMost) ||
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
      return probe_.gain();
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
      window_ = share_.window_bytes();
      pace_ = kBesidePace * window_ / in_seconds(trips_.recent());
      return;
    case Phase::asking:
      window_ = std::max(held(kAskShare), kLeastWindowPackets * packet_);
      pace_ = bandwidth();
      return;
    default:
      window_ = window_of(phase_ == Phase::cruise ? kCruiseWindow : kProbeWindow);
      pace_ =
          pacing_gain() * bandwidth() / (1 - kMakeUp * std::min(usual_loss_.share(), kMostMadeUp));
  }
}

}  // namespace culvert::congestion
