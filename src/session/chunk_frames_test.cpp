#include "session/chunk_frames.h"

#include <gtest/gtest.h>

namespace culvert::session {
namespace {

TEST(ChunkHeader, reads_what_it_wrote) {
  const auto data = encode_chunk_header(ChunkKind::data, 70'000, kMaxChunkBytes);
  const auto read = decode_chunk_header(data.view());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, ChunkKind::data);
  EXPECT_EQ(read->offset, 70'000U);
  EXPECT_EQ(read->length, kMaxChunkBytes);
  EXPECT_EQ(read->size, data.size);

  for (const ChunkKind kind : {ChunkKind::end, ChunkKind::window}) {
    const auto header = encode_chunk_header(kind, kMaxFlowOffset);
    const auto again = decode_chunk_header(header.view());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->kind, kind);
    EXPECT_EQ(again->offset, kMaxFlowOffset);
    EXPECT_EQ(again->length, 0U);
  }
}

TEST(ChunkHeader, waits_for_the_rest_of_it) {
  const auto header = encode_chunk_header(ChunkKind::data, kMaxFlowOffset - 10, 10);
  for (std::size_t size = 0; size < header.size; ++size) {
    EXPECT_EQ(decode_chunk_header(header.view().first(size)).error(), DecodeError::truncated);
  }
}

TEST(ChunkHeader, refuses_what_no_sender_writes) {
  const Bytes unknown{3, 0};
  EXPECT_EQ(decode_chunk_header(unknown).error(), DecodeError::unsupported);
  const Bytes empty{0, 0, 0};
  EXPECT_EQ(decode_chunk_header(empty).error(), DecodeError::malformed);
  const Bytes long_chunk{0, 0, 0x80, 0, 0x40, 0};
  EXPECT_EQ(decode_chunk_header(long_chunk).error(), DecodeError::oversize);
  const auto beyond = encode_chunk_header(ChunkKind::data, kMaxFlowOffset, 1);
  EXPECT_EQ(decode_chunk_header(beyond.view()).error(), DecodeError::malformed);
}

}  // namespace
}  // namespace culvert::session
