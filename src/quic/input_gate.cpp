#include "quic/input_gate.h"

#include <utility>

namespace culvert::quic {

std::optional<InputGate::Admitted> InputGate::admit(Instant now, Duration round_trip,
                                                    const PathId& path, Ecn ecn, ByteView bytes) {
  if (is_client_) {
    if (!has_ended_handshake_) {
      bytes = early_.hold(path, ecn, bytes);
      if (bytes.empty()) return std::nullopt;
    }
    return Admitted{.path = path, .bytes = bytes};
  }
  const auto told = guard_.judge(now, round_trip, path, ecn, bytes);
  if (!told) return std::nullopt;
  return Admitted{.path = *told, .bytes = bytes};
}

std::vector<InputGate::Datagram> InputGate::take(Instant now) {
  if (guard_.has_some_to_take(now)) return guard_.take();
  std::vector<Datagram> taken;
  if (!has_some_at_once()) return taken;
  for (EarlyPackets::Packet& packet : early_.take()) {
    taken.push_back({.path = packet.path, .ecn = packet.ecn, .bytes = std::move(packet.bytes)});
  }
  return taken;
}

}  // namespace culvert::quic
