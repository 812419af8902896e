// What has arrived and waits before ngtcp2 may see it: at a client what comes before it has ended
// the handshake (EarlyPackets), at a server what may be somebody's copy (PathGuard). Sans-I/O.
// Internal to quic/.
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/datagram.h"
#include "base/time.h"
#include "quic/early_packets.h"
#include "quic/path_guard.h"

#include <optional>
#include <vector>

namespace culvert::quic {

class InputGate {
 public:
  explicit InputGate(bool is_client) : is_client_(is_client) {}

  struct Admitted {
    PathId path;  // to be told to ngtcp2
    ByteView bytes;
  };
  // A datagram has come by `path`. What of it is to be read, after what take() has; none: it waits.
  [[nodiscard]] std::optional<Admitted> admit(Instant now, Duration round_trip, const PathId& path,
                                              Ecn ecn, ByteView bytes);
  // What has waited and waits no longer, oldest first.
  using Datagram = PathGuard::Datagram;
  [[nodiscard]] std::vector<Datagram> take(Instant now);
  // Whether something waits for nothing any more.
  [[nodiscard]] bool has_some_at_once() const { return has_ended_handshake_ && !early_.is_empty(); }
  // When to take what waits for a time; kNever: nothing does.
  [[nodiscard]] Instant next_due() const { return guard_.next_due(); }

  // The path on which the peer has proven to be, at first that of the handshake.
  void set_home(const PathId& home) { guard_.set_home(home); }
  [[nodiscard]] bool is_home(const SocketAddress& remote) const { return guard_.is_home(remote); }
  // A client has written, a server read, the end of it.
  void end_handshake() { has_ended_handshake_ = true; }
  [[nodiscard]] bool has_ended_handshake() const { return has_ended_handshake_; }
  [[nodiscard]] bool is_client() const { return is_client_; }

 private:
  const bool is_client_;
  bool has_ended_handshake_ = false;
  EarlyPackets early_;
  PathGuard guard_;
};

}  // namespace culvert::quic
