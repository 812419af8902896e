#include "crypto/keys.h"

#include "base/encoding.h"
#include "crypto/key_file.h"
#include "crypto/mac.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::crypto {
namespace {

SecretKey key_of(std::string_view hex_seed) {
  std::array<std::uint8_t, 32> seed{};
  std::ranges::copy(hex_decode(hex_seed).value(), seed.begin());
  return SecretKey::from_seed(seed);
}

// RFC 8032 7.1, tests 1 to 3.
TEST(SecretKey, signs_as_rfc_8032) {
  struct Case {
    const char* seed;
    const char* public_key;
    const char* message;
    const char* signature;
  };
  const Case cases[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb882159"
                         "0a33bacc61e39701cf9"
                         "b46bd25bf5f0595bbe24655141438e7a100b"},
                        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43"
                         "e15996e458f3613d0f1"
                         "1d8c387b2eaeb4302aeeb00d291612bb0c00"},
                        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538"
                         "d16f290ae67f760984d"
                         "c6594a7c15e9716ed28dc027beceea1ec40a"}};
  for (const Case& c : cases) {
    const SecretKey key = key_of(c.seed);
    const Bytes message = hex_decode(c.message).value();
    EXPECT_EQ(key.public_key().text(), c.public_key);
    EXPECT_EQ(hex_encode(key.sign(message)), c.signature);
    EXPECT_TRUE(key.public_key().verify(message, hex_decode(c.signature).value()));
  }
}

TEST(PublicKey, refuses_any_changed_bit) {
  const SecretKey key = key_of(std::string(64, '7'));
  const Bytes message(as_bytes("message").begin(), as_bytes("message").end());
  const Signature good = key.sign(message);
  for (std::size_t i = 0; i < good.size(); ++i) {
    Signature bad = good;
    bad[i] ^= 1U << (i % 8);
    EXPECT_FALSE(key.public_key().verify(message, bad)) << i;
  }
  EXPECT_FALSE(key.public_key().verify(as_bytes("massage"), good));
  EXPECT_FALSE(key.public_key().verify(message, ByteView(good).first(63)));
  EXPECT_FALSE(key.public_key().verify(message, {}));
  EXPECT_FALSE(key_of(std::string(64, '8')).public_key().verify(message, good));
  EXPECT_FALSE(PublicKey(std::array<std::uint8_t, 32>{}).verify(message, Signature{}));
}

// docs/protocol/mf-4.md, vectors.
TEST(PublicKey, prints_as_tunnel_rs_and_iroh) {
  const PublicKey key =
      key_of("2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a").public_key();
  EXPECT_EQ(tunnel_rs_text(key), "ed25519-pub:GX9rI-FshTLGq8g4-s1ep4m-DHaykgM0A5v6iz02jWE");
  EXPECT_EQ(key.text().size(), 64U);
  EXPECT_EQ(key.short_text(), key.text().substr(0, 10));
  EXPECT_EQ(PublicKey::parse(key.text()).value(), key);
  EXPECT_EQ(PublicKey::parse(base32_encode(key.bytes())).value(), key);
  std::string upper = base32_encode(key.bytes());
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return static_cast<char>(std::toupper(c)); });
  EXPECT_EQ(PublicKey::parse(upper).value(), key);
}

TEST(PublicKey, says_what_an_endpoint_id_looks_like) {
  for (const std::string& text : {std::string(), std::string(63, 'a'), std::string(64, 'g'),
                                  std::string(52, '1'), std::string(65, 'a')}) {
    const auto parsed = PublicKey::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::configuration);
    EXPECT_NE(parsed.error().text().find("64"), std::string::npos);
  }
  EXPECT_FALSE(PublicKey::from_bytes(Bytes(31)));
}

TEST(SecretKey, derives_secrets_that_depend_on_key_and_purpose) {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(0x42);
  const SecretKey key = SecretKey::from_seed(seed);
  seed[0] = 0x43;
  const SecretKey other = SecretKey::from_seed(seed);
  EXPECT_EQ(key.derive("a").reveal(), key.derive("a").reveal());
  EXPECT_NE(key.derive("a").reveal(), key.derive("b").reveal());
  EXPECT_NE(key.derive("a").reveal(), other.derive("a").reveal());
  EXPECT_NE(key.derive("").reveal(), key.seed());
}

// HKDF-Expand(PRK = 32 x 0x42, info = "a", L = 32), computed with Python's hmac.
TEST(SecretKey, derives_as_rfc_5869_expands) {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(0x42);
  EXPECT_EQ(hex_encode(SecretKey::from_seed(seed).derive("a").reveal()),
            "fc0186a2a520de29c1a54e1376a66e11acb3b54bbeaba252b7d39363bdc47286");
}

TEST(Mac, agrees_with_rfc_4231_and_fips_180) {
  EXPECT_EQ(hex_encode(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(hmac_sha256(Bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex_encode(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(ConstantTimeEqual, compares_contents_and_lengths) {
  EXPECT_TRUE(constant_time_equal(as_bytes("same"), as_bytes("same")));
  EXPECT_FALSE(constant_time_equal(as_bytes("same"), as_bytes("sama")));
  EXPECT_FALSE(constant_time_equal(as_bytes("same"), as_bytes("same ")));
  EXPECT_TRUE(constant_time_equal({}, {}));
}

}  // namespace
}  // namespace culvert::crypto
