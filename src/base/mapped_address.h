// Stand-ins for peers that are reached through a relay or a TURN server. QUIC knows a path by two
// socket addresses; what is behind a relay has none of its own, so it gets one out of a prefix of
// unique local addresses (RFC 4193) that nothing on a wire may have: no datagram to one of them is
// given to a socket, none that comes from one of them is believed (drive/transports.h).
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>

namespace culvert {

// How datagrams get to a peer.
enum class PathKind : std::uint8_t { direct, turn, relay };
inline constexpr std::size_t kPathKinds = 3;

// By the address alone: whatever lies outside our prefix is direct.
[[nodiscard]] PathKind path_kind_of(const IpAddress& remote);

// Who is behind which stand-in. Owned by whoever reaches them; O(log n).
class MappedAddresses {
 public:
  explicit MappedAddresses(PathKind kind);  // turn or relay

  // The same peer has the same address until it is forgotten, and no other ever has that one.
  // `peer`: what its owner knows it by (a relay and an EndpointId; a TURN server and an address).
  // None: limits::kMaxMappedAddresses have one.
  [[nodiscard]] std::optional<SocketAddress> map(ByteView peer);
  // Valid until it is forgotten.
  [[nodiscard]] std::optional<ByteView> peer_of(const SocketAddress& mapped) const;
  void forget(const SocketAddress& mapped);
  [[nodiscard]] std::size_t size() const { return addresses_.size(); }

 private:
  PathKind kind_;
  std::uint64_t next_ = 1;
  std::map<Bytes, IpAddress> addresses_;
  std::map<IpAddress, const Bytes*> peers_;  // keys of addresses_
};

}  // namespace culvert
