// Connection ids as values, and the table that finds a connection by one.
#pragma once

#include "base/bytes.h"
#include "base/rng.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <unordered_map>

namespace culvert::quic {

// 0 to 20 bytes (RFC 9000 5.1). The unused tail is zero, so equality is plain.
struct ConnectionId {
  static constexpr std::size_t kMaxSize = 20;  // RFC 9000 17.2

  std::array<std::uint8_t, kMaxSize> bytes{};
  std::uint8_t size = 0;

  ConnectionId() = default;
  explicit ConnectionId(ByteView view);  // precondition: view.size() <= kMaxSize

  [[nodiscard]] ByteView view() const { return {bytes.data(), size}; }
  friend bool operator==(const ConnectionId&, const ConnectionId&) = default;
};

// The source connection id of a packet with a long header (RFC 8999 5.1), of which this is the
// beginning; empty: it has none, or ends before.
[[nodiscard]] std::optional<ConnectionId> source_id_of(ByteView packet);

// SipHash-1-3. Peers choose the ids of their first packets; without the key they cannot
// choose which bucket those fall into.
class KeyedHash {
 public:
  explicit KeyedHash(Rng& rng);
  [[nodiscard]] std::uint64_t operator()(ByteView bytes) const;

 private:
  std::uint64_t key0_;
  std::uint64_t key1_;
};

template <typename Value>
class ConnectionIdMap {
 public:
  explicit ConnectionIdMap(Rng& rng) : map_(16, Hash{KeyedHash(rng)}) {}

  // False when the id is taken.
  bool insert(const ConnectionId& id, Value* value) { return map_.emplace(id, value).second; }
  void erase(const ConnectionId& id) { map_.erase(id); }
  [[nodiscard]] Value* find(ByteView id) const {
    if (id.size() > ConnectionId::kMaxSize) return nullptr;
    const auto found = map_.find(ConnectionId(id));
    return found == map_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::size_t size() const { return map_.size(); }

 private:
  struct Hash {
    KeyedHash hash;
    std::size_t operator()(const ConnectionId& id) const {
      return static_cast<std::size_t>(hash(id.view()));
    }
  };
  std::unordered_map<ConnectionId, Value*, Hash> map_;
};

}  // namespace culvert::quic
