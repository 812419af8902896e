// BBR: sends as fast as the bottleneck delivers and keeps next to nothing in its queue. The
// model (bandwidth, least round trip), Startup, Drain and the cycle of probes are those of
// draft-ietf-ccwg-bbr. Sans-I/O, O(1) per acknowledgement.
//
// What is different here:
// - The queue is measured (how far a round trip exceeds the least one) and worked off at once:
//   other flows of the connection wait a few milliseconds at most, and a probe ends when it
//   has shown that there is no more bandwidth.
// - A queue that stays although this sender leaves it alone is somebody else's, and so is one that
//   a probe finds there and makes overflow. Loss-based senders drive out one that yields and are
//   driven out by one that does not. For as long as that lasts the window follows CUBIC, with
//   its slow start until a share is found: equals share.
// - Loss tells nothing on a path that loses at random. It counts beside others only, and only
//   beyond what the path loses while its queue is short; and where most of what is sent is
//   lost (policers, queues too short to be seen).
#pragma once

#include "base/time.h"
#include "congestion/ack.h"
#include "congestion/bandwidth_filter.h"
#include "congestion/queue_share.h"
#include "congestion/round.h"
#include "congestion/round_trips.h"
#include "congestion/up_probe.h"
#include "congestion/usual_loss.h"

#include <cstddef>
#include <cstdint>

namespace culvert::congestion {

class Bbr {
 public:
  enum class Phase : std::uint8_t { startup, drain, cruise, up, down, probe_rtt, beside, asking };

  enum class Start : std::uint8_t { fresh, after_congestion };

  explicit Bbr(std::size_t packet_bytes, Start start = Start::fresh);

  void on_ack(Instant now, const Ack& ack);
  // Probes of the path's MTU left out: their loss is no congestion.
  void on_lost(std::uint64_t bytes) { round_.on_lost(bytes); }
  // What counted as lost has come after all: it was only late.
  void on_found(std::uint64_t bytes) {
    round_.on_found(bytes);
    usual_loss_.note_found(round_.number());
  }
  // The bottleneck marked a packet instead of dropping it (ECN).
  void on_marked(Instant now);
  void set_packet_bytes(std::size_t bytes) { packet_ = static_cast<double>(bytes); }

  [[nodiscard]] std::uint64_t window_bytes() const { return static_cast<std::uint64_t>(window_); }
  // Bytes; zero before the first round trip.
  [[nodiscard]] double pace_per_second() const { return pace_; }

  [[nodiscard]] Phase phase() const { return phase_; }
  // Bytes a second that the bottleneck delivers to us.
  [[nodiscard]] double bandwidth() const { return bandwidths_.greatest(); }
  // Zero: not known.
  [[nodiscard]] Duration min_rtt() const { return trips_.min(); }

 private:
  void note_bandwidth(const Ack& ack);
  void end_round(Instant now);
  [[nodiscard]] bool is_at_rest() const;
  [[nodiscard]] bool is_losing_more() const;
  [[nodiscard]] bool overflows_foreign_queue() const;
  void judge_loss(Instant now);
  void look_for_others(Instant now);
  void go_beside(Instant now, double bandwidth);
  void next_phase(Instant now, const Ack& ack);
  void ask_for_others(Instant now, double in_flight);
  void enter(Phase phase);
  void cruise();
  void probe_up(double gain);
  [[nodiscard]] bool has_probe_filled() const;
  [[nodiscard]] bool is_drained(double in_flight) const;
  [[nodiscard]] bool has_found_more() const;
  [[nodiscard]] bool is_probe_worked_off() const;
  void decide(const Ack& ack);
  [[nodiscard]] double pacing_gain() const;
  // What the path holds without a queue.
  [[nodiscard]] double held(double share) const;
  [[nodiscard]] double window_of(double gain) const;
  [[nodiscard]] Duration queue() const { return trips_.queue(); }
  [[nodiscard]] Duration at_least(Duration queue) const;
  [[nodiscard]] Duration probe_queue() const;
  [[nodiscard]] Duration foreign_queue() const;

  double packet_;
  double window_;
  double pace_ = 0;
  Phase phase_ = Phase::startup;
  unsigned phase_rounds_ = 0;

  Round round_;
  RoundTrips trips_;
  BandwidthFilter bandwidths_;
  UsualLoss usual_loss_;
  UpProbe probe_;
  double full_bandwidth_ = 0;
  unsigned rounds_without_growth_ = 0;
  Instant first_probe_rtt_at_ = kNever;
  unsigned rounds_with_queue_ = 0;  // in a row
  double bandwidth_before_queue_ = 0;
  unsigned cruise_rounds_ = 0;
  std::uint32_t jitter_;

  QueueShare share_;  // while others fill the queue
  std::uint64_t cut_in_round_ = 0;
  Instant ask_at_{};
  Instant empty_since_ = kNever;  // nothing of ours, while asking
};

}  // namespace culvert::congestion
