#include "quic/tx_builder.h"

#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::quic {
namespace {

const PathId kPath{.local = {IpAddress::v4(0x0A000001), 1},
                   .remote = {IpAddress::v4(0x0A000002), 2}};
const PathId kOther{.local = kPath.local, .remote = {IpAddress::v4(0x0A000003), 2}};

void add(TxBuilder& builder, std::size_t size, const PathId& path = kPath, Ecn ecn = Ecn::not_ect) {
  ASSERT_GE(builder.tail(size).size(), size);
  builder.commit(path, ecn, size);
}

TEST(TxBuilder, packets_of_one_size_share_a_batch_and_a_shorter_one_ends_it) {
  TxBuilder builder(100'000);
  add(builder, 1000);
  add(builder, 1000);
  add(builder, 400);
  add(builder, 400);
  add(builder, 1000);
  ASSERT_EQ(builder.batches().size(), 3U);
  EXPECT_EQ(builder.batches()[0].segment_size, 1000U);
  EXPECT_EQ(builder.batches()[0].bytes.size(), 2400U);
  EXPECT_EQ(builder.batches()[1].bytes.size(), 400U);
  EXPECT_EQ(builder.batches()[2].bytes.size(), 1000U);
}

TEST(TxBuilder, an_empty_packet_is_a_batch_of_its_own) {
  TxBuilder builder(3000);
  add(builder, 1000);
  add(builder, 0);
  add(builder, 0);
  add(builder, 1000);
  ASSERT_EQ(builder.batches().size(), 4U);
  EXPECT_EQ(builder.batches()[0].bytes.size(), 1000U);
  EXPECT_EQ(builder.batches()[1].bytes.size(), 0U);
  EXPECT_EQ(builder.batches()[2].bytes.size(), 0U);
  EXPECT_EQ(builder.batches()[3].bytes.size(), 1000U);
}

TEST(TxBuilder, path_or_ecn_change_begins_a_batch) {
  TxBuilder builder(100'000);
  add(builder, 1000);
  add(builder, 1000, kOther);
  add(builder, 1000, kOther, Ecn::ect0);
  ASSERT_EQ(builder.batches().size(), 3U);
  EXPECT_EQ(builder.batches()[1].path, kOther);
  EXPECT_EQ(builder.batches()[2].ecn, Ecn::ect0);
}

TEST(TxBuilder, a_packet_on_its_own_takes_no_other_with_it) {
  TxBuilder builder(100'000);
  add(builder, 1200);
  ASSERT_GE(builder.tail(4096).size(), 4096U);
  builder.commit(kPath, Ecn::not_ect, 4096, Batching::alone);
  add(builder, 1200);
  ASSERT_GE(builder.tail(1200).size(), 1200U);
  builder.commit(kPath, Ecn::not_ect, 1200, Batching::alone);
  ASSERT_EQ(builder.batches().size(), 4U);
  for (const TxBatch& batch : builder.batches()) {
    EXPECT_EQ(batch.bytes.size(), batch.segment_size);
  }
}

TEST(TxBuilder, batches_keep_within_what_the_kernel_takes) {
  TxBuilder builder(1 << 20);
  for (int i = 0; i < 200; ++i) add(builder, 100);
  for (int i = 0; i < 20; ++i) add(builder, 9000);
  add(builder, 65'000);
  add(builder, 65'000);
  std::size_t total = 0;
  for (const TxBatch& batch : builder.batches()) {
    EXPECT_LE(batch.bytes.size(), TxBuilder::kMaxBatchBytes);
    EXPECT_LE(batch.bytes.size(), batch.segment_size * TxBuilder::kMaxBatchSegments);
    total += batch.bytes.size();
  }
  EXPECT_EQ(total, 200U * 100 + 20 * 9000 + 2 * 65'000);
}

TEST(TxBuilder, full_arena_has_no_tail_until_cleared) {
  TxBuilder builder(2500);
  add(builder, 1200);
  add(builder, 1200);
  EXPECT_TRUE(builder.tail(1200).empty());
  EXPECT_EQ(builder.tail(100).size(), 100U);
  builder.clear();
  EXPECT_TRUE(builder.is_empty());
  EXPECT_EQ(builder.tail(2500).size(), 2500U);
}

TEST(TxBuilder, batches_cut_by_their_segment_size_are_the_packets_that_went_in) {
  SeededRng rng(4);
  for (int round = 0; round < 200; ++round) {
    TxBuilder builder(1 << 18);
    std::vector<std::pair<PathId, Bytes>> packets;
    for (int i = 0; i < 60; ++i) {
      const std::size_t size = rng.below(3) == 0 ? 1 + rng.below(1500) : 1452;
      const ByteSpan tail = builder.tail(size);
      if (tail.empty()) break;
      rng.fill(tail);
      const PathId& path = rng.below(10) == 0 ? kOther : kPath;
      packets.emplace_back(path, Bytes(tail.begin(), tail.end()));
      builder.commit(path, Ecn::not_ect, size);
    }
    std::size_t index = 0;
    for (const TxBatch& batch : builder.batches()) {
      for (std::size_t at = 0; at < batch.bytes.size(); at += batch.segment_size, ++index) {
        const auto bytes = batch.bytes.subspan(
            at, std::min<std::size_t>(batch.segment_size, batch.bytes.size() - at));
        ASSERT_LT(index, packets.size());
        EXPECT_EQ(batch.path, packets[index].first);
        EXPECT_TRUE(std::ranges::equal(bytes, packets[index].second));
      }
    }
    EXPECT_EQ(index, packets.size());
  }
}

TEST(TxBuilder, copies_batches_of_another_as_they_are) {
  TxBuilder from(1'000);
  add(from, 100);
  add(from, 100);
  add(from, 40);
  TxBuilder to(500);
  ASSERT_TRUE(to.add(from.batches()[0]));
  ASSERT_TRUE(to.add(from.batches()[0]));
  EXPECT_FALSE(to.add(from.batches()[0]));  // no room
  from.clear();
  ASSERT_EQ(to.batches().size(), 2U);
  for (const TxBatch& batch : to.batches()) {
    EXPECT_EQ(batch.segment_size, 100);
    EXPECT_EQ(batch.bytes.size(), 240U);
  }
}

}  // namespace
}  // namespace culvert::quic
