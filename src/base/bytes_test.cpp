#include "base/bytes.h"

#include <gtest/gtest.h>

namespace culvert {
namespace {

TEST(ByteReader, reads_the_varints_of_rfc_9000_a_1) {
  const std::pair<Bytes, std::uint64_t> cases[] = {
      {{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}, 151'288'809'941'952'652},
      {{0x9d, 0x7f, 0x3e, 0x7d}, 494'878'333},
      {{0x7b, 0xbd}, 15'293},
      {{0x25}, 37},
      {{0x40, 0x25}, 37},
  };
  for (const auto& [bytes, value] : cases) {
    ByteReader reader(bytes);
    EXPECT_EQ(reader.varint(), value);
    EXPECT_TRUE(reader.is_empty());
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      ByteReader short_reader(ByteView(bytes).first(cut));
      EXPECT_EQ(short_reader.varint(), std::unexpected(DecodeError::truncated));
    }
  }
}

TEST(ByteReader, checks_every_bound) {
  const Bytes bytes{1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(ByteReader(bytes).u8(), 0x01);
  EXPECT_EQ(ByteReader(bytes).u16(), 0x0102);
  EXPECT_EQ(ByteReader(bytes).u32(), 0x01020304U);
  EXPECT_EQ(ByteReader(bytes).u64(), std::unexpected(DecodeError::truncated));
  EXPECT_EQ(ByteReader(bytes).take(8), std::unexpected(DecodeError::truncated));
  EXPECT_EQ(ByteReader(bytes).take(7)->size(), 7U);
  EXPECT_EQ(ByteReader({}).u8(), std::unexpected(DecodeError::truncated));
}

TEST(ByteReader, refuses_a_length_over_its_limit_before_it_waits_for_the_bytes) {
  Bytes bytes;
  ByteWriter(bytes).varint(1'000'000'000);
  EXPECT_EQ(ByteReader(bytes).prefixed(1000), std::unexpected(DecodeError::oversize));
  EXPECT_EQ(ByteReader(bytes).prefixed(2'000'000'000), std::unexpected(DecodeError::truncated));
}

TEST(ByteWriter, writes_what_the_reader_reads) {
  for (const std::uint64_t value :
       {0ULL, 63ULL, 64ULL, 16'383ULL, 16'384ULL, (1ULL << 30) - 1, 1ULL << 30, (1ULL << 62) - 1}) {
    Bytes out;
    ByteWriter writer(out);
    writer.varint(value);
    EXPECT_EQ(out.size(), varint_size(value));
    writer.u64(value);
    writer.prefixed(Bytes{9, 8});
    ByteReader reader(out);
    EXPECT_EQ(reader.varint(), value);
    EXPECT_EQ(reader.u64(), value);
    const auto tail = reader.prefixed(2);
    ASSERT_TRUE(tail);
    EXPECT_EQ(Bytes(tail->begin(), tail->end()), (Bytes{9, 8}));
  }
}

}  // namespace
}  // namespace culvert
