// CUBIC (RFC 9438) with HyStart++ (RFC 9406): fills a queue until packets are lost, as most of the
// world does. Sans-I/O, O(1) per acknowledgement.
//
// One connection carries many flows, which without it would be connections of their own: it takes
// as much as so many would (CubicWindow::set_flows), or a tunnel with eight downloads would get an
// eighth of what they got beside it.
#pragma once

#include "base/time.h"
#include "congestion/ack.h"
#include "congestion/cubic_window.h"
#include "congestion/slow_start.h"

#include <cstddef>
#include <cstdint>

namespace culvert::congestion {

class Cubic {
 public:
  // After persistent congestion (RFC 9002 7.6) it begins with the least window.
  enum class Start : std::uint8_t { fresh, after_congestion };

  explicit Cubic(std::size_t packet_bytes, Start start = Start::fresh);

  // How many flows have something to send.
  void set_flows(unsigned flows) { window_.set_flows(flows); }
  void on_ack(Instant now, const Ack& ack);
  // `sent`: when. Probes of the path's MTU left out.
  void on_lost(Instant now, Instant sent, std::uint64_t bytes);
  // What counted as lost has come after all: it was only late.
  void on_found(std::uint64_t bytes);
  // The bottleneck marked a packet that was sent then (ECN).
  void on_marked(Instant now, Instant sent);
  void set_packet_bytes(std::size_t bytes) { packet_ = static_cast<double>(bytes); }

  [[nodiscard]] std::uint64_t window_bytes() const {
    return static_cast<std::uint64_t>(window_.bytes());
  }

 private:
  // True: it is the first of this congestion.
  bool cut(Instant now, Instant sent);

  double packet_;
  CubicWindow window_;
  SlowStart slow_start_;
  Duration rtt_{};                   // the latest
  std::uint64_t round_ends_at_ = 0;  // bytes delivered when a packet of the next was sent
  Instant recovering_since_{};       // what was sent before belongs to that congestion
  double unhit_ = 1;                 // share of the flows that has lost nothing in it
  // As it was then: all that was lost may only have been late.
  CubicWindow window_before_cut_;
  SlowStart slow_start_before_cut_;
  std::uint64_t lost_since_cut_ = 0;  // bytes
  bool may_undo_ = false;
};

}  // namespace culvert::congestion
