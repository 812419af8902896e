#include "net/uninterrupted.h"

#include <gtest/gtest.h>

namespace culvert::net {
namespace {

TEST(Uninterrupted, calls_again_while_it_is_interrupted_only) {
  int calls = 0;
  EXPECT_EQ(uninterrupted([&] {
              errno = EINTR;
              return ++calls < 3 ? -1 : 7;
            }),
            7);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(uninterrupted([&] {
              errno = EAGAIN;
              ++calls;
              return -1L;
            }),
            -1L);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(calls, 4);
}

}  // namespace
}  // namespace culvert::net
