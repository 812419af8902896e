#include "quic/ngtcp2_quirks.h"

#include "base/limits.h"
#include "base/probe.h"

#include <array>
#include <cstdint>
#include <limits>

namespace culvert::quic {
namespace {

constexpr std::array<std::uint16_t, 1> kNoProbes{limits::kUdpPayloadOwnPeers};

constexpr ngtcp2_duration kPingUntilKnown = 200 * NGTCP2_MILLISECONDS;
constexpr ngtcp2_duration kPingAtOnce = NGTCP2_MILLISECONDS;  // there is no other way to ask for it

}  // namespace

void leave_out_path_mtu_discovery(ngtcp2_settings& settings) {
  settings.no_tx_udp_payload_size_shaping = 1;
  settings.pmtud_probes = kNoProbes.data();
  settings.pmtud_probeslen = kNoProbes.size();
}

void tolerate_own_count_of_ids(ngtcp2_conn& connection) {
  constexpr std::uint64_t kIdsHeldByValidation = 2;
  // The object is the connection's own and not const; there is no call to change it.
  const auto* params = ngtcp2_conn_get_local_transport_params(&connection);
  const_cast<ngtcp2_transport_params*>(params)->active_connection_id_limit += kIdsHeldByValidation;
}

// An impossible write (its length is no varint) is refused before anything else happens, for one
// reason or the other.
bool has_peer_stopped(ngtcp2_conn& connection, StreamId id, ngtcp2_tstamp now) {
  const ngtcp2_vec impossible{.base = nullptr, .len = std::numeric_limits<std::size_t>::max()};
  ngtcp2_ssize written = -1;
  return ngtcp2_conn_writev_stream(&connection, nullptr, nullptr, nullptr, 0, &written,
                                   NGTCP2_WRITE_STREAM_FLAG_NONE, id, &impossible, 1,
                                   now) == NGTCP2_ERR_STREAM_SHUT_WR;
}

bool LossTimerWatch::note_rtt_sample(bool is_there) {
  had_rtt_sample_ = had_rtt_sample_ || is_there;
  const bool may_lack_timer = had_rtt_sample_ && !is_there;
  if (may_lack_timer == may_lack_timer_) return false;
  CULVERT_PROBE("quic.a path changes, and with it the loss timer is gone");
  may_lack_timer_ = may_lack_timer;
  return true;
}

bool LossTimerWatch::note_in_flight(bool is_something) {
  if (!is_ping_wanted_ || !is_something) return false;
  is_ping_wanted_ = false;
  return true;
}

ngtcp2_duration LossTimerWatch::ping_after(Duration keep_alive) const {
  return is_ping_wanted_   ? kPingAtOnce
         : may_lack_timer_ ? kPingUntilKnown
                           : static_cast<ngtcp2_duration>(keep_alive.count());
}

}  // namespace culvert::quic
