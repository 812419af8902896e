#include "peer/flow_claims.h"

#include <gtest/gtest.h>

namespace culvert::peer {
namespace {

constexpr std::size_t kMost = 3;

// The count and the names travel on different streams.
TEST(FlowClaims, are_complete_with_as_many_names_as_were_told_in_either_order) {
  FlowClaims claims;
  claims.begin();
  EXPECT_TRUE(claims.add(1, kMost));
  EXPECT_FALSE(claims.is_complete()) << "there may be more";
  claims.expect(2);
  EXPECT_FALSE(claims.is_complete());
  EXPECT_TRUE(claims.add(1, kMost)) << "named again";
  EXPECT_FALSE(claims.is_complete());
  EXPECT_TRUE(claims.add(2, kMost));
  EXPECT_TRUE(claims.is_complete());
}

TEST(FlowClaims, of_none_are_complete_at_once) {
  FlowClaims claims;
  claims.begin();
  claims.expect(0);
  EXPECT_TRUE(claims.is_complete());
}

TEST(FlowClaims, are_bounded) {
  FlowClaims claims;
  claims.begin();
  for (std::uint64_t id = 0; id <= kMost; ++id) EXPECT_TRUE(claims.add(id, kMost));
  EXPECT_FALSE(claims.add(kMost + 1, kMost));
}

TEST(FlowClaims, begin_anew_with_each_return) {
  FlowClaims claims;
  EXPECT_FALSE(claims.is_open());
  claims.begin();
  EXPECT_TRUE(claims.is_open());
  claims.expect(1);
  EXPECT_TRUE(claims.add(1, kMost));
  claims.end();
  EXPECT_FALSE(claims.is_open());
  claims.begin();
  EXPECT_TRUE(claims.is_open());
  EXPECT_FALSE(claims.is_complete());
}

}  // namespace
}  // namespace culvert::peer
