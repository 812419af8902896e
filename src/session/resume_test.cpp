#include "session/resume.h"

#include <gtest/gtest.h>

namespace culvert::session {
namespace {

TEST(SeenFlows, knows_what_it_has_seen_in_any_order) {
  SeenFlows seen;
  for (const std::uint64_t id : {3, 1, 8}) seen.add(id);
  for (std::uint64_t id = 1; id < 10; ++id) {
    EXPECT_EQ(seen.contains(id), id == 1 || id == 3 || id == 8) << id;
  }
  seen.add(2);
  EXPECT_TRUE(seen.contains(2));
  EXPECT_FALSE(seen.contains(7));
}

TEST(SeenFlows, takes_everything_behind_its_window_for_seen) {
  SeenFlows seen;
  seen.add(1);
  seen.add(SeenFlows::kWindow + 10);
  EXPECT_TRUE(seen.contains(10));
  EXPECT_FALSE(seen.contains(11));  // the oldest in the window
  EXPECT_FALSE(seen.contains(SeenFlows::kWindow + 9));
  EXPECT_FALSE(seen.contains(SeenFlows::kWindow + 11));
  seen.add(1'000'000'000);
  EXPECT_TRUE(seen.contains(SeenFlows::kWindow + 11));
  EXPECT_FALSE(seen.contains(1'000'000'000 - 1));
  EXPECT_TRUE(seen.contains(1'000'000'000));
}

TEST(FlowIds, are_decoded_only_when_whole_and_few) {
  Bytes list;
  ByteWriter writer(list);
  for (std::uint64_t i = 0; i < kMaxGoneIds; ++i) writer.varint(i * 1'000);
  const auto ids = decode_flow_ids(list);
  ASSERT_TRUE(ids.has_value());
  EXPECT_EQ(ids->size(), kMaxGoneIds);
  EXPECT_EQ(ids->back(), (kMaxGoneIds - 1) * 1'000);
  EXPECT_FALSE(decode_flow_ids(ByteView(list).first(list.size() - 1)).has_value());
  writer.varint(1);
  EXPECT_FALSE(decode_flow_ids(list).has_value());
  EXPECT_TRUE(decode_flow_ids({})->empty());
}

TEST(ResumeProof, differs_by_key_connection_and_nonce) {
  const ResumeKey key(std::array<std::uint8_t, 32>{1});
  const auto proof = resume_proof(key, {2}, {3});
  EXPECT_EQ(proof, resume_proof(key, {2}, {3}));
  EXPECT_NE(proof, resume_proof(ResumeKey(std::array<std::uint8_t, 32>{9}), {2}, {3}));
  EXPECT_NE(proof, resume_proof(key, {9}, {3}));
  EXPECT_NE(proof, resume_proof(key, {2}, {9}));
}

}  // namespace
}  // namespace culvert::session
