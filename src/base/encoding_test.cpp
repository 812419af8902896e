#include "base/encoding.h"

#include "base/rng.h"

#include <gtest/gtest.h>

namespace culvert {
namespace {

// RFC 4648 10.
TEST(Encoding, agrees_with_the_vectors_of_rfc_4648) {
  struct Case {
    const char* text;
    const char* base64;
    const char* base32;
    const char* hex;
  };
  for (const Case& c :
       {Case{"", "", "", ""}, Case{"f", "Zg==", "my", "66"}, Case{"fo", "Zm8=", "mzxq", "666f"},
        Case{"foo", "Zm9v", "mzxw6", "666f6f"}, Case{"foob", "Zm9vYg==", "mzxw6yq", "666f6f62"},
        Case{"fooba", "Zm9vYmE=", "mzxw6ytb", "666f6f6261"},
        Case{"foobar", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172"}}) {
    EXPECT_EQ(base64_encode(as_bytes(c.text)), c.base64);
    EXPECT_EQ(base32_encode(as_bytes(c.text)), c.base32);
    EXPECT_EQ(hex_encode(as_bytes(c.text)), c.hex);
    EXPECT_EQ(as_text(base64_decode(c.base64).value()), c.text);
    EXPECT_EQ(as_text(base32_decode(c.base32).value()), c.text);
    EXPECT_EQ(as_text(hex_decode(c.hex).value()), c.text);
  }
  EXPECT_EQ(base64url_encode(Bytes{0xfb, 0xff}), "-_8");
}

TEST(Encoding, refuses_what_no_encoder_writes) {
  for (const char* text : {"Zg=", "Z", "Zg==Zg==", "Zh==", "Zm9v!", "Zm9v ", "=", "===="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
  for (const char* text : {"Zg==", "Z", "Zh", "+/8", "Zm9v\n"}) {
    EXPECT_FALSE(base64url_decode(text)) << text;
  }
  for (const char* text : {"a", "abc", "mz", "my======", "1234", "mzxw6y"}) {
    EXPECT_FALSE(base32_decode(text)) << text;
  }
  for (const char* text : {"a", "0g", "0x12", "12 "}) EXPECT_FALSE(hex_decode(text)) << text;
}

TEST(Encoding, accepts_the_spellings_it_promises) {
  EXPECT_EQ(hex_decode("AbCd").value(), (Bytes{0xab, 0xcd}));
  EXPECT_EQ(base32_decode("MZXW6").value(), base32_decode("mzxw6").value());
  EXPECT_EQ(base64_decode("Zg").value(), base64_decode("Zg==").value());
}

TEST(Encoding, round_trips_every_length) {
  SeededRng rng(1);
  for (std::size_t size = 0; size < 100; ++size) {
    Bytes bytes(size);
    rng.fill(bytes);
    EXPECT_EQ(hex_decode(hex_encode(bytes)), bytes);
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
    EXPECT_EQ(base32_decode(base32_encode(bytes)), bytes);
  }
}

TEST(Crc16CcittFalse, agrees_with_its_check_value) {
  EXPECT_EQ(crc16_ccitt_false(as_bytes("123456789")), 0x29b1);
  EXPECT_EQ(crc16_ccitt_false({}), 0xffff);
}

}  // namespace
}  // namespace culvert
