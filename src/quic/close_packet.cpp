#include "quic/close_packet.h"

#include "base/limits.h"
#include "base/probe.h"

#include <algorithm>
#include <bit>

namespace culvert::quic {

void ClosePacket::set_application_error(std::uint64_t code, std::string_view reason) {
  reason_ = std::string(reason.substr(0, limits::kReasonBytes));
  ngtcp2_ccerr_set_application_error(
      &error_, code, reinterpret_cast<const std::uint8_t*>(reason_.data()), reason_.size());
}

void ClosePacket::set_transport_error(std::uint64_t code) {
  ngtcp2_ccerr_set_transport_error(&error_, code, nullptr, 0);
}

void ClosePacket::set_tls_alert(std::uint8_t alert) {
  ngtcp2_ccerr_set_tls_alert(&error_, alert, nullptr, 0);
}

void ClosePacket::set_library_error(int error) {
  ngtcp2_ccerr_set_liberr(&error_, error, nullptr, 0);
}

void ClosePacket::on_written(const PathId& path, ByteView packet) {
  path_ = path;
  packet_.assign(packet.begin(), packet.end());
}

void ClosePacket::on_received() {
  if (packet_.empty() || !std::has_single_bit(++received_)) return;
  CULVERT_PROBE("quic.the peer did not hear of the close");
  is_due_ = true;
}

bool ClosePacket::resend(TxBuilder& out) {
  const ByteSpan tail = out.tail(packet_.size());
  if (tail.empty()) return false;
  std::ranges::copy(packet_, tail.begin());
  out.commit(path_, Ecn::not_ect, packet_.size());
  is_due_ = false;
  return true;
}

}  // namespace culvert::quic
