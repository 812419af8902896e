#include "session/resume.h"

#include "base/limits.h"
#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace culvert::session {
namespace {

TEST(SeenFlows, knows_what_it_has_seen_in_any_order) {
  SeenFlows seen(8);
  EXPECT_FALSE(seen.contains(0));
  for (const std::uint64_t id : {3, 1, 8}) seen.add(id);
  for (std::uint64_t id = 1; id < 10; ++id) {
    EXPECT_EQ(seen.contains(id), id == 1 || id == 3 || id == 8) << id;
  }
  seen.add(2);
  EXPECT_TRUE(seen.contains(2));
  EXPECT_FALSE(seen.contains(7));
}

TEST(SeenFlows, takes_everything_behind_its_window_for_seen) {
  SeenFlows seen(4'000);
  const std::uint64_t window = seen.window();
  EXPECT_EQ(window, 4'096U);
  seen.add(1);
  seen.add(window + 10);
  EXPECT_TRUE(seen.contains(10));
  EXPECT_FALSE(seen.contains(11));  // the oldest in the window
  EXPECT_FALSE(seen.contains(window + 9));
  EXPECT_FALSE(seen.contains(window + 11));
  seen.add(1'000'000'000);
  EXPECT_TRUE(seen.contains(window + 11));
  EXPECT_FALSE(seen.contains(1'000'000'000 - 1));
  EXPECT_TRUE(seen.contains(1'000'000'000));
}

// Whatever the steps, and across the end of the ring.
TEST(SeenFlows, forgets_only_what_it_makes_room_for) {
  SeededRng rng(1);
  SeenFlows seen(64);
  std::set<std::uint64_t> all;
  std::uint64_t highest = 0;
  for (int i = 0; i < 3'000; ++i) {
    const std::uint64_t id = highest + rng.below(rng.below(8) == 0 ? 200 : 20);
    seen.add(id);
    all.insert(id);
    highest = std::max(highest, id);
    for (std::uint64_t back = 0; back < 64 && back <= highest; ++back) {
      ASSERT_EQ(seen.contains(highest - back), all.contains(highest - back)) << i << " " << back;
    }
  }
}

TEST(SeenFlows, knows_the_same_when_it_is_widened) {
  SeenFlows seen(8);
  for (const std::uint64_t id : {1, 4, 20, 23, 25}) seen.add(id);
  seen.widen(4);
  EXPECT_EQ(seen.window(), 8U) << "never narrower";
  seen.widen(100);
  EXPECT_EQ(seen.window(), 128U);
  for (std::uint64_t id = 18; id < 30; ++id) {
    EXPECT_EQ(seen.contains(id), id == 20 || id == 23 || id == 25) << id;
  }
  EXPECT_TRUE(seen.contains(2)) << "behind the window that it had";
  seen.add(80);
  EXPECT_FALSE(seen.contains(30));
  EXPECT_TRUE(seen.contains(20));
}

TEST(FlowIds, are_decoded_only_when_whole_and_few) {
  Bytes list;
  ByteWriter writer(list);
  for (std::uint64_t i = 0; i < limits::kMaxGoneIds; ++i) writer.varint(i * 1'000);
  const auto ids = decode_flow_ids(list);
  ASSERT_TRUE(ids.has_value());
  EXPECT_EQ(ids->size(), limits::kMaxGoneIds);
  EXPECT_EQ(ids->back(), (limits::kMaxGoneIds - 1) * 1'000);
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

TEST(ResumeProof, is_made_with_one_of_the_keys_for_one_connection_and_one_purpose) {
  const std::vector<ResumeKey> keys{ResumeKey(std::array<std::uint8_t, 32>{1}),
                                    ResumeKey(std::array<std::uint8_t, 32>{2})};
  const ProofBinding binding{.exporter = {3}, .nonce = {4}};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto mac = resume_proof(keys[i], binding.exporter, binding.nonce);
    EXPECT_EQ(find_proof(keys, mac, resume_proof, binding), i);
    EXPECT_EQ(find_proof(keys, mac, join_proof, binding), std::nullopt);
    EXPECT_EQ(find_proof(keys, mac, resume_proof, {.exporter = {5}, .nonce = {4}}), std::nullopt);
    EXPECT_EQ(find_proof(keys, mac, resume_proof, {.exporter = {3}, .nonce = {5}}), std::nullopt);
    EXPECT_EQ(find_proof({}, mac, resume_proof, binding), std::nullopt);
    EXPECT_EQ(find_proof(keys, ByteView(mac).first(31), resume_proof, binding), std::nullopt);
  }
}

}  // namespace
}  // namespace culvert::session
