#include "base/alive.h"

#include <gtest/gtest.h>

#include <optional>

namespace culvert {
namespace {

TEST(Alive, tokens_know_when_it_is_over) {
  std::optional<Alive> owner(std::in_place);
  const Alive::Token token = owner->token();
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): the point
  const Alive::Token copy = token;
  EXPECT_TRUE(token);
  EXPECT_TRUE(copy);
  owner.reset();
  EXPECT_FALSE(token);
  EXPECT_FALSE(copy);
}

TEST(Alive, may_end_before_its_owner) {
  Alive owner;
  const Alive::Token token = owner.token();
  owner.end();
  EXPECT_FALSE(token);
  EXPECT_FALSE(owner.token());
}

}  // namespace
}  // namespace culvert
