#include "quic/connection_id.h"

#include "base/assert.h"

#include <bit>

namespace culvert::quic {

ConnectionId::ConnectionId(ByteView view) : size(static_cast<std::uint8_t>(view.size())) {
  CULVERT_ASSERT(view.size() <= kMaxSize);
  if (!view.empty()) std::memcpy(bytes.data(), view.data(), view.size());
}

std::optional<ConnectionId> source_id_of(ByteView packet) {
  ByteReader reader(packet);
  const auto first = reader.u8();
  constexpr std::uint8_t kLongHeader = 0x80;
  if (!first || (*first & kLongHeader) == 0 || !reader.u32()) return std::nullopt;
  const auto destination_size = reader.u8();
  if (!destination_size || !reader.take(*destination_size)) return std::nullopt;
  const auto size = reader.u8();
  if (!size || *size > ConnectionId::kMaxSize) return std::nullopt;
  const auto id = reader.take(*size);
  return id ? std::optional<ConnectionId>(*id) : std::nullopt;
}

KeyedHash::KeyedHash(Rng& rng) : key0_(rng.next()), key1_(rng.next()) {}

std::uint64_t KeyedHash::operator()(ByteView bytes) const {
  std::uint64_t v0 = 0x736f6d6570736575ULL ^ key0_;
  std::uint64_t v1 = 0x646f72616e646f6dULL ^ key1_;
  std::uint64_t v2 = 0x6c7967656e657261ULL ^ key0_;
  std::uint64_t v3 = 0x7465646279746573ULL ^ key1_;
  const auto round = [&] {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  };
  const auto absorb = [&](std::uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  };

  std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
  while (bytes.size() >= 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    absorb(word);
    bytes = bytes.subspan(8);
  }
  std::uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  absorb(last | rest);
  v2 ^= 0xFF;
  for (int i = 0; i < 3; ++i) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace culvert::quic
