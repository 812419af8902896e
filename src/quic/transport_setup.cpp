#include "quic/transport_setup.h"

#include "quic/ngtcp2_quirks.h"

#include <algorithm>
#include <array>

namespace culvert::quic {
namespace {

// Payload sizes to probe for, in ngtcp2's order of trying: a failure skips everything
// larger, a success everything smaller. First Ethernet (1452 fits IPv6), then what PPPoE,
// WireGuard and stacked tunnels leave, then jumbo frames and loopback. 65000 also is the
// largest batch of one UDP_SEGMENT call (TxBuilder::kMaxBatchBytes).
constexpr std::array<std::uint16_t, 11> kProbes{1452, 1400, 1372,  1332,  1280, 1232,
                                                4096, 8952, 16384, 32768, 65000};

// RFC 9002 6.2.2 suggests 333 ms; most paths are well below, and until the first sample a
// lost Initial costs three times this.
constexpr ngtcp2_duration kInitialRtt = 200 * NGTCP2_MILLISECONDS;

// Connection ids we store for the peer to migrate with (ngtcp2 takes at most 8).
constexpr std::uint64_t kActiveConnectionIds = 7;

ngtcp2_duration to_duration(Duration duration) {
  return static_cast<ngtcp2_duration>(std::max(duration, Duration::zero()).count());
}

}  // namespace

ngtcp2_settings make_settings(const TransportConfig& config, ngtcp2_tstamp now,
                              LibraryContext& context) {
  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  // In whose place are our own, of either kind.
  settings.cc_algo = BbrControl::kIsBuiltIn || config.congestion_control == CongestionControl::bbr
                         ? NGTCP2_CC_ALGO_BBR
                         : NGTCP2_CC_ALGO_CUBIC;
  settings.initial_ts = now;
  settings.initial_rtt = kInitialRtt;
  settings.rand_ctx.native_handle = &context;
  settings.max_window = settings.max_stream_window = 0;  // ours to decide: ReceiveCredit
  settings.handshake_timeout = to_duration(limits::kHandshakeTimeout);
  const bool is_fixed = config.fixed_udp_payload_size != 0;
  settings.max_tx_udp_payload_size = std::clamp<std::size_t>(
      is_fixed ? config.fixed_udp_payload_size : config.max_udp_payload_size,
      NGTCP2_MAX_UDP_PAYLOAD_SIZE, limits::kUdpPayloadOwnPeers);
  if (is_fixed) {
    leave_out_path_mtu_discovery(settings);
  } else {
    settings.pmtud_probes = kProbes.data();
    settings.pmtud_probeslen = kProbes.size();
  }
  return settings;
}

ngtcp2_transport_params make_transport_params(const TransportConfig& config) {
  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_data = limits::kConnectionWindowFirst;
  params.initial_max_stream_data_bidi_local = limits::kStreamWindowFirst;
  params.initial_max_stream_data_bidi_remote = limits::kStreamWindowFirst;
  params.initial_max_streams_bidi = config.initial_streams_bidi;
  params.initial_max_streams_uni = 0;
  params.max_idle_timeout = to_duration(config.idle_timeout);
  params.max_udp_payload_size =
      std::max<std::uint64_t>(config.max_udp_payload_size, NGTCP2_MAX_UDP_PAYLOAD_SIZE);
  params.active_connection_id_limit = kActiveConnectionIds;
  params.max_datagram_frame_size = 65'535;
  return params;
}

}  // namespace culvert::quic
