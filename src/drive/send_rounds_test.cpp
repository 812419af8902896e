#include "drive/send_rounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::drive {
namespace {

using testing::ElementsAre;

std::vector<int> round_of(SendRounds<int>& rounds) {
  std::vector<int> values;
  for (const int* sender : rounds.begin_round()) values.push_back(*sender);
  return values;
}

TEST(SendRounds, who_has_more_to_send_comes_again_behind_the_others) {
  int a = 1;
  int b = 2;
  SendRounds<int> rounds;
  EXPECT_TRUE(rounds.is_empty());
  rounds.push(a);
  rounds.push(b);
  for (int* sender : rounds.begin_round()) {
    if (*sender == 1) rounds.push(*sender);
  }
  EXPECT_FALSE(rounds.is_empty());
  EXPECT_THAT(round_of(rounds), ElementsAre(1));
  EXPECT_TRUE(rounds.is_empty());
}

TEST(SendRounds, who_waits_is_in_no_round_before_he_is_free) {
  int a = 1;
  int b = 2;
  SendRounds<int> rounds;
  rounds.wait(a);
  EXPECT_TRUE(rounds.is_empty());
  rounds.push(b);
  rounds.free_waiting();
  EXPECT_THAT(round_of(rounds), ElementsAre(2, 1));
  rounds.free_waiting();
  EXPECT_TRUE(rounds.is_empty());
}

}  // namespace
}  // namespace culvert::drive
