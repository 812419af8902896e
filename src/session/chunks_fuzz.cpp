// Chunks on arbitrary bytes, and reassembly of whatever they say: it never holds more than its
// limits, and never yields a byte twice.
#include "base/assert.h"
#include "session/chunk_frames.h"
#include "session/reassembly.h"

namespace {

using namespace culvert;
using namespace culvert::session;

constexpr std::uint64_t kLimit = 4'096;

void check_header(const ChunkHeader& header, ByteView input) {
  CULVERT_ASSERT(header.size <= input.size() && header.length <= kMaxChunkBytes);
  const auto again =
      encode_chunk_header(header.kind, header.offset, static_cast<std::size_t>(header.length));
  const auto second = decode_chunk_header(again.view());
  CULVERT_ASSERT(second && second->kind == header.kind && second->offset == header.offset &&
                 second->length == header.length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteView input(data, size);
  Reassembly reassembly(kLimit);
  std::uint64_t taken = 0;
  while (const auto header = decode_chunk_header(input)) {
    check_header(*header, input);
    input = input.subspan(header->size);
    if (header->kind == ChunkKind::end) {
      if (!reassembly.set_end(header->offset)) break;
    } else if (header->kind == ChunkKind::data) {
      const auto length = std::min<std::size_t>(header->length, input.size());
      const auto in_order = reassembly.add(header->offset, input.first(length));
      if (!in_order) break;
      input = input.subspan(length);
      taken += in_order->size();
      while (const auto piece = reassembly.take()) taken += piece->size();
    }
    CULVERT_ASSERT(taken == reassembly.next() && taken <= kLimit);
    CULVERT_ASSERT(reassembly.held_bytes() <= kLimit - taken);
  }
  return 0;
}
