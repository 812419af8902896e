#include "session/chunk_frames.h"

#include "base/assert.h"

namespace culvert::session {
Decoded<ChunkHeader> decode_chunk_header(ByteView stream) {
  ByteReader reader(stream);
  const auto kind = reader.varint();
  if (!kind) return std::unexpected(kind.error());
  if (*kind > static_cast<std::uint64_t>(ChunkKind::window)) {
    return std::unexpected(DecodeError::unsupported);
  }
  const auto offset = reader.varint();
  if (!offset) return std::unexpected(offset.error());
  ChunkHeader header{.kind = static_cast<ChunkKind>(*kind), .offset = *offset};
  if (header.kind == ChunkKind::data) {
    const auto length = reader.varint();
    if (!length) return std::unexpected(length.error());
    if (*length > kMaxChunkBytes) return std::unexpected(DecodeError::oversize);
    if (*length == 0 || *offset > kMaxFlowOffset - *length) {
      return std::unexpected(DecodeError::malformed);
    }
    header.length = *length;
  }
  header.size = stream.size() - reader.rest().size();
  return header;
}

EncodedChunkHeader encode_chunk_header(ChunkKind kind, std::uint64_t offset, std::size_t length) {
  CULVERT_ASSERT(length <= kMaxChunkBytes);
  EncodedChunkHeader header;
  const auto append = [&](std::uint64_t value) {
    header.size += encode_varint(value, ByteSpan(header.bytes).subspan(header.size));
  };
  append(static_cast<std::uint64_t>(kind));
  append(offset);
  if (kind == ChunkKind::data) append(length);
  return header;
}

}  // namespace culvert::session
