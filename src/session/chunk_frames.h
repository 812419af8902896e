// What the streams of a striped flow carry behind their heads (docs/protocol/culvert-1.md 8):
//
//   varint 0, varint offset, varint length, bytes   a chunk of the flow's bytes
//   varint 1, varint offset                         the end: there are no bytes from here on
//   varint 2, varint offset                         the window: bytes up to here may be sent
#pragma once

#include "base/bytes.h"

#include <array>
#include <cstdint>

namespace culvert::session {

enum class ChunkKind : std::uint8_t { data = 0, end = 1, window = 2 };

struct ChunkHeader {
  ChunkKind kind = ChunkKind::data;
  std::uint64_t offset = 0;  // at most kMaxFlowOffset
  std::uint64_t length = 0;  // of data, whose bytes follow; at most kMaxChunkBytes, never 0
  std::size_t size = 0;      // of the header itself
};

// What a varint can say, and one of two bytes; a header is a kind and two such numbers.
inline constexpr std::uint64_t kMaxFlowOffset = (std::uint64_t{1} << 62) - 1;
inline constexpr std::size_t kMaxChunkBytes = 16'383;
inline constexpr std::size_t kMaxChunkHeaderBytes = 1 + 8 + 2;

// The header at the beginning of `stream`; truncated: more bytes are needed.
[[nodiscard]] Decoded<ChunkHeader> decode_chunk_header(ByteView stream);

struct EncodedChunkHeader {
  std::array<std::uint8_t, kMaxChunkHeaderBytes> bytes{};
  std::size_t size = 0;
  [[nodiscard]] ByteView view() const { return {bytes.data(), size}; }
};
[[nodiscard]] EncodedChunkHeader encode_chunk_header(ChunkKind kind, std::uint64_t offset,
                                                     std::size_t length = 0);

}  // namespace culvert::session
