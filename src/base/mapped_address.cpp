#include "base/mapped_address.h"

#include "base/assert.h"
#include "base/limits.h"

#include <algorithm>

namespace culvert {
namespace {

// RFC 4193 3.2: its 40 bits were drawn at random. The next two bytes say of what kind.
constexpr std::array<std::uint8_t, 6> kMappedPrefix{0xfd, 0x9e, 0x47, 0xc1, 0x6a, 0x35};
constexpr std::size_t kKindAt = kMappedPrefix.size() + 1;
constexpr std::size_t kNumberAt = kMappedPrefix.size() + 2;
// Any but zero, which some libraries take for none.
constexpr std::uint16_t kMappedPort = 1;

}  // namespace

PathKind path_kind_of(const IpAddress& remote) {
  if (!remote.is_v6()) return PathKind::direct;
  const ByteView bytes = remote.bytes();
  if (!std::ranges::equal(bytes.first(kMappedPrefix.size()), kMappedPrefix)) {
    return PathKind::direct;
  }
  // All of the prefix is ours, whatever follows.
  return bytes[kKindAt] == static_cast<std::uint8_t>(PathKind::turn) ? PathKind::turn
                                                                     : PathKind::relay;
}

MappedAddresses::MappedAddresses(PathKind kind) : kind_(kind) {
  CULVERT_ASSERT(kind != PathKind::direct);
}

std::optional<SocketAddress> MappedAddresses::map(ByteView peer) {
  Bytes key(peer.begin(), peer.end());
  const auto known = addresses_.find(key);
  if (known != addresses_.end()) return SocketAddress{known->second, kMappedPort};
  if (addresses_.size() >= limits::kMaxMappedAddresses) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(kMappedPrefix, bytes.begin());
  bytes[kKindAt] = static_cast<std::uint8_t>(kind_);
  for (std::size_t i = 0; i < sizeof next_; ++i) {
    bytes[kNumberAt + i] = static_cast<std::uint8_t>(next_ >> (8 * (sizeof next_ - 1 - i)));
  }
  ++next_;
  const auto added = addresses_.emplace(std::move(key), IpAddress::v6(bytes)).first;
  peers_.emplace(added->second, &added->first);
  return SocketAddress{added->second, kMappedPort};
}

std::optional<ByteView> MappedAddresses::peer_of(const SocketAddress& mapped) const {
  const auto found = peers_.find(mapped.ip);
  if (found == peers_.end() || mapped.port != kMappedPort) return std::nullopt;
  return ByteView(*found->second);
}

void MappedAddresses::forget(const SocketAddress& mapped) {
  const auto found = peers_.find(mapped.ip);
  if (found == peers_.end()) return;
  const auto address = addresses_.find(*found->second);
  peers_.erase(found);
  addresses_.erase(address);
}

}  // namespace culvert
