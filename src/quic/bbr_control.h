// Bbr or Cubic as the congestion controller of an ngtcp2 connection. Internal to quic/.
//
// ngtcp2 has three controllers of its own and no way to bring another. It is linked statically
// here, so that its constructor for BBR can be ours: ngtcp2_cc_bbr_init, which fills in a table
// of functions. That and the two structures they are called with are internal to the library:
// bbr_control.cpp describes those of version 1.11 and CMake builds it in for that version only
// (CULVERT_OWN_BBR). With any other, `bbr` and `cubic` are ngtcp2's.
#pragma once

#include "base/rng.h"
#include "congestion/bbr.h"
#include "congestion/cubic.h"
#include "congestion/decoys.h"
#include "congestion/late_packets.h"
#include "congestion/repeats.h"
#include "quic/black_hole.h"
#include "quic/config.h"

#include <ngtcp2/ngtcp2.h>

#include <cstddef>
#include <cstdint>
#include <variant>

namespace culvert::quic {

class BbrControl;

// What ngtcp2 is given as its context of randomness, by which it finds the controller.
struct LibraryContext {
  Rng* rng = nullptr;
  BbrControl* bbr = nullptr;
};

// Outlives the connection.
class BbrControl {
 public:
  BbrControl(Rng& rng, CongestionControl kind) : context_{.rng = &rng, .bbr = this}, kind_(kind) {}
  BbrControl(const BbrControl&) = delete;
  BbrControl& operator=(const BbrControl&) = delete;

  // For the settings of a connection that this is to control.
  [[nodiscard]] LibraryContext& context() { return context_; }
#ifdef CULVERT_OWN_BBR
  static constexpr bool kIsBuiltIn = true;
#else
  static constexpr bool kIsBuiltIn = false;
#endif
  // A connection that was set up with context() is controlled by this.
  [[nodiscard]] bool is_attached() const { return connection_statistics_ != nullptr; }
  // Only where it is that.
  [[nodiscard]] const congestion::Bbr& bbr() const {
    return std::get<congestion::Bbr>(controller_);
  }
  [[nodiscard]] std::uint64_t window_bytes() const;
  // Whether the controller has a rate, and not a window alone.
  [[nodiscard]] bool has_pace() const { return kind_ == CongestionControl::bbr; }
  [[nodiscard]] double pace_per_second() const { return bbr().pace_per_second(); }
  // How many flows have something to send.
  void set_flows(unsigned flows) {
    if (congestion::Cubic* own = cubic()) own->set_flows(flows);
  }
  [[nodiscard]] const congestion::PathLoss& path_loss() const { return path_loss_; }
  // As the connection has written all that it may: whether it had nothing more to say.
  // `before` is what app_limited_until() was before it wrote.
  void note_end_of_data(bool is_app_limited, std::uint64_t before);
  [[nodiscard]] std::uint64_t app_limited_until() const;
  // A timer of loss may have run out.
  void note_timeouts(Instant now);
  [[nodiscard]] BlackHole& black_hole() { return black_hole_; }
  [[nodiscard]] const BlackHole& black_hole() const { return black_hole_; }
  // The packet that was numbered last goes out more than once.
  void note_repeated() { repeated_.add(last_number_); }
  [[nodiscard]] congestion::Decoys& decoys() { return decoys_; }
  [[nodiscard]] const congestion::Decoys& decoys() const { return decoys_; }
  // The peer has acknowledged what was never sent.
  [[nodiscard]] bool was_lied_to() const { return was_lied_to_; }

 private:
  friend struct BbrHooks;

  [[nodiscard]] congestion::Bbr& bbr() { return std::get<congestion::Bbr>(controller_); }
  // Null where it is Bbr.
  [[nodiscard]] congestion::Cubic* cubic() { return std::get_if<congestion::Cubic>(&controller_); }
  void note_delivered(double full_packets);
  void begin(std::size_t packet_bytes);
  void begin_after_congestion(std::size_t packet_bytes);

  LibraryContext context_;
  const CongestionControl kind_;
  std::variant<congestion::Bbr, congestion::Cubic> controller_{
      congestion::Bbr(NGTCP2_MAX_UDP_PAYLOAD_SIZE)};
  congestion::PathLoss path_loss_;
  congestion::LatePackets late_packets_;
  congestion::RepeatedNumbers repeated_;
  std::int64_t last_number_ = -1;
  unsigned acked_ = 0;  // packets, of the acknowledgement that is being read
  unsigned acked_repeated_ = 0;
  congestion::Decoys decoys_;
  BlackHole black_hole_;
  bool was_lied_to_ = false;
  void* connection_statistics_ = nullptr;  // ngtcp2's
  void* rate_sampler_ = nullptr;
};

}  // namespace culvert::quic
