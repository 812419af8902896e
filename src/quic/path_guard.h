// Keeps a flow where its client is, while somebody who sees its packets sends copies of them from
// elsewhere, or to another address of the server's, and faster than they come (RFC 9000 9.3.3,
// 21.5). The first of two equal packets tells ngtcp2 where the peer is now; the second is a
// duplicate, and never looked at. So a server whose client seems to have moved first waits for the
// second: half a round trip at most.
//
// Only what a NAT or an attacker can do is doubted: a client that moves by itself takes another
// connection id (9.5) and is believed at once. Who can also send from the client's own address,
// with packets of today, holds the client's replies there; then the client dials anew. Sans-I/O;
// O(1) but for a search in some fingerprints while copies come.
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/datagram.h"
#include "base/time.h"
#include "quic/connection_id.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace culvert::quic {

class PathGuard {
 public:
  struct Datagram {
    PathId path;  // to be told to ngtcp2
    Ecn ecn = Ecn::not_ect;
    Bytes bytes;
  };

  // The path on which the peer has proven to be, at first that of the handshake.
  void set_home(const PathId& home);
  [[nodiscard]] bool is_home(const SocketAddress& remote) const { return remote == home_.remote; }
  // A datagram has come by `path`. What it is to be told to have come by; none: it waits.
  [[nodiscard]] std::optional<PathId> judge(Instant now, Duration round_trip, const PathId& path,
                                            Ecn ecn, ByteView bytes);
  // What has waited, oldest first: before anything else after judge(), and when it is due.
  [[nodiscard]] std::vector<Datagram> take();
  [[nodiscard]] bool has_some_to_take(Instant now) const { return !held_.empty() && now >= due_; }
  // kNever: nothing waits.
  [[nodiscard]] Instant next_due() const { return held_.empty() ? kNever : due_; }

 private:
  // Sooner than so many packets of a real path its copies do not come, or it has lost the race.
  static constexpr std::size_t kMostHeld = 128;
  // Nobody knows yet whose they are.
  static constexpr std::size_t kMostHeldBytes = 256 * 1024;

  void release(Instant now, const PathId* as_if_by);
  [[nodiscard]] bool knows(Instant now, ByteView bytes) const;

  PathId home_;
  ConnectionId home_id_;  // to which what comes from there is sent
  std::vector<Datagram> held_;
  std::size_t held_bytes_ = 0;
  Instant due_{};
  Duration patience_{};
  Instant at_home_until_{};  // it was seen to be there
  std::optional<PathId> moved_to_;
  std::array<std::uint64_t, kMostHeld> fingerprints_{};  // of what came from elsewhere
  std::size_t next_fingerprint_ = 0;
  Instant compared_until_{};
};

}  // namespace culvert::quic
