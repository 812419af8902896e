#include "quic/bbr_control.h"

#include "base/probe.h"
#include "quic/sockaddr.h"

#include <algorithm>

namespace culvert::quic {

#ifdef CULVERT_OWN_BBR

namespace {

// The layouts of ngtcp2 1.11, whose names they have without its prefix.
constexpr std::size_t kPacketNumberSpaces = 3;
constexpr int kApplicationSpace = 2;

struct ConnectionStatistics {
  ngtcp2_duration latest_rtt;
  ngtcp2_duration min_rtt;
  ngtcp2_duration smoothed_rtt;
  ngtcp2_duration rttvar;
  ngtcp2_duration initial_rtt;
  ngtcp2_tstamp first_rtt_sample_ts;
  std::size_t pto_count;
  ngtcp2_tstamp loss_detection_timer;
  ngtcp2_tstamp last_tx_pkt_ts[kPacketNumberSpaces];
  ngtcp2_tstamp loss_time[kPacketNumberSpaces];
  std::uint64_t cwnd;
  std::uint64_t ssthresh;
  ngtcp2_tstamp congestion_recovery_start_ts;
  std::uint64_t bytes_in_flight;
  std::size_t max_tx_udp_payload_size;
};  // more follows

struct RateSampler {
  ngtcp2_duration interval;
  std::uint64_t sample_delivered;
  std::uint64_t prior_delivered;
  ngtcp2_tstamp prior_ts;
  std::uint64_t tx_in_flight;
  std::uint64_t sample_lost;
  std::uint64_t prior_lost;
  ngtcp2_duration send_elapsed;
  ngtcp2_duration ack_elapsed;
  std::int64_t last_end_seq;
  int is_app_limited;
  std::uint64_t delivered;
  ngtcp2_tstamp delivered_ts;
  ngtcp2_tstamp first_sent_ts;
  std::uint64_t app_limited;
};  // more follows

struct Packet {
  std::int64_t pkt_num;
  std::size_t pktlen;
  int space;  // kApplicationSpace: of 1-RTT packets
  ngtcp2_tstamp sent_ts;
};  // more follows

struct Acknowledgement {
  std::uint64_t prior_bytes_in_flight;
  std::uint64_t bytes_delivered;
  std::uint64_t bytes_lost;
  std::uint64_t pkt_delivered;
  ngtcp2_tstamp largest_pkt_sent_ts;
  ngtcp2_duration rtt;
};

// Null: of no interest. Behind it the library keeps room for its own controller's state, which
// ours uses for a pointer.
struct Controller {
  void* log;
  void (*on_pkt_acked)(Controller*, ConnectionStatistics*, const Packet*, ngtcp2_tstamp);
  void (*on_pkt_lost)(Controller*, ConnectionStatistics*, const Packet*, ngtcp2_tstamp);
  void (*congestion_event)(Controller*, ConnectionStatistics*, ngtcp2_tstamp sent,
                           std::uint64_t bytes_lost, ngtcp2_tstamp now);
  void (*on_spurious_congestion)(Controller*, ConnectionStatistics*, ngtcp2_tstamp);
  void (*on_persistent_congestion)(Controller*, ConnectionStatistics*, ngtcp2_tstamp);
  void (*on_ack_recv)(Controller*, ConnectionStatistics*, const Acknowledgement*, ngtcp2_tstamp);
  void (*on_pkt_sent)(Controller*, ConnectionStatistics*, const Packet*);
  void (*new_rtt_sample)(Controller*, ConnectionStatistics*, ngtcp2_tstamp);
  void (*reset)(Controller*, ConnectionStatistics*, ngtcp2_tstamp);
  void (*event)(Controller*, ConnectionStatistics*, int event, ngtcp2_tstamp);
  BbrControl* ours;
};

Duration duration_of(ngtcp2_duration duration) {
  return duration == UINT64_MAX ? Duration::zero() : Duration(static_cast<Duration::rep>(duration));
}

}  // namespace

struct BbrHooks {
  static void attach(BbrControl& control, Controller& controller, ConnectionStatistics& statistics,
                     RateSampler& sampler) {
    controller.on_pkt_acked = on_packet_acked;
    controller.on_pkt_lost = on_packet_lost;
    controller.on_pkt_sent = on_packet_sent;
    controller.congestion_event = on_congestion;
    controller.on_persistent_congestion = on_persistent_congestion;
    controller.on_ack_recv = on_ack;
    controller.new_rtt_sample = on_round_trip;
    controller.reset = on_reset;
    controller.ours = &control;
    control.connection_statistics_ = &statistics;
    control.rate_sampler_ = &sampler;
    control.begin(statistics.max_tx_udp_payload_size);
    apply(control, statistics);
  }

 private:
  static void apply(const BbrControl& control, ConnectionStatistics& statistics) {
    statistics.cwnd = control.window_bytes();
  }
  static void on_packet_sent(Controller* self, ConnectionStatistics*, const Packet* packet) {
    self->ours->decoys_.on_numbered(packet->pkt_num);
    self->ours->last_number_ = packet->pkt_num;
  }
  static void on_packet_acked(Controller* self, ConnectionStatistics* statistics,
                              const Packet* packet, ngtcp2_tstamp now) {
    BbrControl& control = *self->ours;
    if (control.decoys_.has(packet->pkt_num)) control.was_lied_to_ = true;
    if (packet->space != kApplicationSpace) return;
    control.black_hole_.on_acked(packet->pktlen);
    ++control.acked_;
    if (control.repeated_.has(packet->pkt_num)) ++control.acked_repeated_;
    if (!control.late_packets_.on_acked(to_instant(now), packet->pkt_num,
                                        to_instant(packet->sent_ts))) {
      return;
    }
    CULVERT_PROBE("quic.a packet that counted as lost was only late");
    std::visit([packet](auto& controller) { controller.on_found(packet->pktlen); },
               control.controller_);
    control.path_loss_.on_found();
    have_patience(control, *statistics, now);
  }
  static void on_packet_lost(Controller* self, ConnectionStatistics* statistics,
                             const Packet* packet, ngtcp2_tstamp now) {
    BbrControl& control = *self->ours;
    if (control.decoys_.has(packet->pkt_num)) return;
    if (congestion::Cubic* cubic = control.cubic()) {
      cubic->on_lost(to_instant(now), to_instant(packet->sent_ts), packet->pktlen);
      apply(control, *statistics);
    } else {
      control.bbr().on_lost(packet->pktlen);
    }
    control.path_loss_.on_lost();
    if (packet->space == kApplicationSpace) {
      control.black_hole_.on_lost(to_instant(now), to_instant(packet->sent_ts), packet->pktlen);
      control.late_packets_.on_lost(packet->pkt_num);
    }
  }
  static void on_round_trip(Controller* self, ConnectionStatistics* statistics, ngtcp2_tstamp now) {
    have_patience(*self->ours, *statistics, now);
  }
  // ngtcp2 takes a packet for lost after 9/8 of the smoothed round trip or of the latest, whichever
  // is longer. Where packets overtake each other the latest is that of the quickest.
  static void have_patience(const BbrControl& control, ConnectionStatistics& statistics,
                            ngtcp2_tstamp now) {
    const Duration patience =
        control.late_packets_.patience(to_instant(now), duration_of(statistics.smoothed_rtt));
    statistics.latest_rtt =
        std::max(statistics.latest_rtt, static_cast<ngtcp2_duration>(patience.count()));
  }
  static void on_congestion(Controller* self, ConnectionStatistics* statistics, ngtcp2_tstamp sent,
                            std::uint64_t bytes_lost, ngtcp2_tstamp now) {
    if (bytes_lost != 0) return;  // on_packet_lost has told it
    if (congestion::Cubic* cubic = self->ours->cubic()) {
      cubic->on_marked(to_instant(now), to_instant(sent));
    } else {
      self->ours->bbr().on_marked(to_instant(now));
    }
    apply(*self->ours, *statistics);
  }
  static void on_persistent_congestion(Controller* self, ConnectionStatistics* statistics,
                                       ngtcp2_tstamp) {
    CULVERT_PROBE("quic.a window begins anew after persistent congestion");
    self->ours->begin_after_congestion(statistics->max_tx_udp_payload_size);
    apply(*self->ours, *statistics);
  }
  static void on_ack(Controller* self, ConnectionStatistics* statistics, const Acknowledgement* ack,
                     ngtcp2_tstamp now) {
    const auto& sampler = *static_cast<const RateSampler*>(self->ours->rate_sampler_);
    self->ours->note_delivered(static_cast<double>(ack->bytes_delivered) /
                               static_cast<double>(statistics->max_tx_udp_payload_size));
    const congestion::Ack told{.delivered = sampler.delivered,
                               .prior_delivered = sampler.prior_delivered,
                               .interval = duration_of(sampler.interval),
                               .is_app_limited = sampler.is_app_limited != 0,
                               .rtt = duration_of(ack->rtt),
                               .acked = ack->bytes_delivered,
                               .in_flight = statistics->bytes_in_flight};
    std::visit(
        [&](auto& controller) {
          controller.set_packet_bytes(statistics->max_tx_udp_payload_size);
          controller.on_ack(to_instant(now), told);
        },
        self->ours->controller_);
    apply(*self->ours, *statistics);
  }
  static void on_reset(Controller* self, ConnectionStatistics* statistics, ngtcp2_tstamp) {
    self->ours->begin(statistics->max_tx_udp_payload_size);
    self->ours->path_loss_ = {};
    self->ours->late_packets_ = {};
    self->ours->black_hole_ = {};
    apply(*self->ours, *statistics);
  }
};

void BbrControl::begin(std::size_t packet_bytes) {
  if (kind_ == CongestionControl::cubic) {
    controller_ = congestion::Cubic(packet_bytes);
  } else {
    controller_ = congestion::Bbr(packet_bytes);
  }
}

void BbrControl::begin_after_congestion(std::size_t packet_bytes) {
  if (kind_ == CongestionControl::cubic) {
    controller_ = congestion::Cubic(packet_bytes, congestion::Cubic::Start::after_congestion);
  } else {
    controller_ = congestion::Bbr(packet_bytes, congestion::Bbr::Start::after_congestion);
  }
}

// Small packets count for more than they are, but few of them are acknowledged together.
void BbrControl::note_delivered(double full_packets) {
  const double again = acked_repeated_;
  const bool is_all = acked_repeated_ >= acked_;
  path_loss_.on_delivered(is_all && again > 0 ? 0 : std::max(full_packets - again, 1.0), again);
  acked_ = acked_repeated_ = 0;
}

void BbrControl::note_timeouts(Instant now) {
  if (connection_statistics_ == nullptr) return;
  const auto& statistics = *static_cast<const ConnectionStatistics*>(connection_statistics_);
  black_hole_.on_probe_timeouts(now, statistics.pto_count);
}

std::uint64_t BbrControl::app_limited_until() const {
  return static_cast<const RateSampler*>(rate_sampler_)->app_limited;
}

// ngtcp2 takes every call that wrote nothing for the end of data, also where pacing or the
// window did not permit more, and overlooks it where more than half of the window is in flight.
void BbrControl::note_end_of_data(bool is_app_limited, std::uint64_t before) {
  auto& sampler = *static_cast<RateSampler*>(rate_sampler_);
  const auto& statistics = *static_cast<const ConnectionStatistics*>(connection_statistics_);
  sampler.app_limited =
      is_app_limited ? std::max<std::uint64_t>(sampler.delivered + statistics.bytes_in_flight, 1)
                     : before;
}

#else

std::uint64_t BbrControl::app_limited_until() const {
  return 0;
}
void BbrControl::note_end_of_data(bool, std::uint64_t) {}
void BbrControl::note_timeouts(Instant) {}

#endif

std::uint64_t BbrControl::window_bytes() const {
  return std::visit([](const auto& controller) { return controller.window_bytes(); }, controller_);
}

}  // namespace culvert::quic

#ifdef CULVERT_OWN_BBR
// Called by ngtcp2 in place of its own.
extern "C" void ngtcp2_cc_bbr_init(void* controller, void* log, void* statistics, void* sampler,
                                   ngtcp2_tstamp, ngtcp2_rand, const ngtcp2_rand_ctx* context) {
  using namespace culvert::quic;
  auto& table = *static_cast<Controller*>(controller);
  table = {};
  table.log = log;
  BbrHooks::attach(*static_cast<const LibraryContext*>(context->native_handle)->bbr, table,
                   *static_cast<ConnectionStatistics*>(statistics),
                   *static_cast<RateSampler*>(sampler));
}
#endif
