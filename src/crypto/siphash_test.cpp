#include "crypto/siphash.h"

#include <gtest/gtest.h>

namespace culvert::crypto {
namespace {

// The reference implementation's vectors: key 00 01 .. 0f, message 00 01 .. of each length.
TEST(SipHash, gives_the_values_of_the_paper) {
  SipKey key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  const std::array<std::uint8_t, 15> message{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
  EXPECT_EQ(siphash(key, {}), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(siphash(key, ByteView(message).first(8)), 0x93f5f5799a932462U);
  EXPECT_EQ(siphash(key, message), 0xa129ca6149be45e5U);
}

TEST(SipHash, depends_on_the_key) {
  const std::array<std::uint8_t, 3> message{1, 2, 3};
  EXPECT_NE(siphash({}, message), siphash({1}, message));
}

}  // namespace
}  // namespace culvert::crypto
