#include "quic/acknowledged_run.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

TEST(AcknowledgedRun, gathers_what_belongs_to_one_stream) {
  int a = 0;
  int b = 0;
  AcknowledgedRun<int> run;
  EXPECT_FALSE(run.take());
  EXPECT_FALSE(run.add(a, 1000));
  EXPECT_FALSE(run.add(a, 500));
  const auto of_a = run.add(b, 7);
  ASSERT_TRUE(of_a);
  EXPECT_EQ(of_a->stream, &a);
  EXPECT_EQ(of_a->count, 1500U);
  const auto of_b = run.take();
  ASSERT_TRUE(of_b);
  EXPECT_EQ(of_b->stream, &b);
  EXPECT_EQ(of_b->count, 7U);
  EXPECT_FALSE(run.take());
}

}  // namespace
}  // namespace culvert::quic
