#include "quic/connection_id.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace culvert::quic {
namespace {

TEST(ConnectionIdMap, finds_ids_by_all_their_bytes_and_length) {
  SeededRng rng(1);
  ConnectionIdMap<int> map(rng);
  int a = 1;
  int b = 2;
  const Bytes shorter{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const Bytes longer{1, 2, 3, 4, 5, 6, 7, 8, 9, 0};
  EXPECT_TRUE(map.insert(ConnectionId(shorter), &a));
  EXPECT_TRUE(map.insert(ConnectionId(longer), &b));
  EXPECT_FALSE(map.insert(ConnectionId(longer), &a)) << "taken";
  EXPECT_EQ(map.find(shorter), &a);
  EXPECT_EQ(map.find(longer), &b);
  EXPECT_EQ(map.find(Bytes(21)), nullptr);
  EXPECT_EQ(map.find({}), nullptr);
  map.erase(ConnectionId(shorter));
  EXPECT_EQ(map.find(shorter), nullptr);
  EXPECT_EQ(map.size(), 1U);
}

TEST(SourceIdOf, reads_long_headers_that_are_there_so_far) {
  const Bytes packet{0xc0, 0, 0, 0, 1, 3, 7, 7, 7, 2, 8, 9, 0xaa};  // RFC 8999 5.1
  const auto id = source_id_of(packet);
  ASSERT_TRUE(id);
  EXPECT_TRUE(std::ranges::equal(id->view(), Bytes{8, 9}));
  const std::size_t end = packet.size() - 1;
  EXPECT_TRUE(source_id_of(ByteView(packet).first(end)));
  for (std::size_t size = 0; size < end; ++size) {
    EXPECT_FALSE(source_id_of(ByteView(packet).first(size))) << size;
  }
  Bytes bent = packet;
  bent[0] = 0x40;  // a short header
  EXPECT_FALSE(source_id_of(bent));
  bent = packet;
  bent[9] = ConnectionId::kMaxSize + 1;
  bent.resize(100);
  EXPECT_FALSE(source_id_of(bent));
}

TEST(KeyedHash, depends_on_the_key_every_byte_and_the_length) {
  SeededRng rng(1);
  const KeyedHash one(rng);
  const KeyedHash other(rng);
  Bytes bytes(20);
  EXPECT_NE(one(bytes), other(bytes));
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    EXPECT_TRUE(seen.insert(one(ByteView(bytes).first(size))).second) << size;
  }
  for (std::uint8_t& byte : bytes) {
    byte = 1;
    EXPECT_TRUE(seen.insert(one(bytes)).second);
    byte = 0;
  }
}

}  // namespace
}  // namespace culvert::quic
