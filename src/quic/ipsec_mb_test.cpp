#include "quic/ipsec_mb.h"

#include "base/encoding.h"
#include "base/rng.h"

#include <gnutls/crypto.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace culvert::quic::ipsec_mb {
namespace {

Bytes hex(std::string_view text) {
  const auto bytes = hex_decode(text);
  EXPECT_TRUE(bytes.has_value()) << text;
  return bytes.value_or(Bytes{});
}

Nonce nonce_of(const Bytes& bytes) {
  return Nonce(bytes.data(), kNonceSize);
}

// RFC 9001 5.3: the packet number, left-padded, xor the IV.
Bytes nonce_for(Bytes iv, std::uint64_t packet_number) {
  for (std::size_t i = 0; i < 8; ++i) {
    iv[iv.size() - 1 - i] ^= static_cast<std::uint8_t>(packet_number >> (8 * i));
  }
  return iv;
}

Bytes seal(const GcmKey& key, ByteView plaintext, Nonce nonce, ByteView aad) {
  Bytes out(plaintext.size() + kTagSize);
  encrypt(key, out.data(), plaintext, nonce, aad);
  return out;
}

Bytes mask_of(const HeaderKey& key, ByteView sample) {
  Bytes out(kBlockSize);
  mask(key, out.data(), Sample(sample.data(), kBlockSize));
  return out;
}

// The same by GnuTLS, straight, to compare with.
Bytes gnutls_seal(ByteView key, ByteView plaintext, Nonce nonce, ByteView aad) {
  const gnutls_datum_t datum{const_cast<unsigned char*>(key.data()),
                             static_cast<unsigned>(key.size())};
  gnutls_aead_cipher_hd_t handle = nullptr;
  const auto cipher = key.size() == 16 ? GNUTLS_CIPHER_AES_128_GCM : GNUTLS_CIPHER_AES_256_GCM;
  EXPECT_EQ(gnutls_aead_cipher_init(&handle, cipher, &datum), 0);
  Bytes out(plaintext.size() + kTagSize);
  std::size_t size = out.size();
  // A null pointer for an empty plaintext is refused by some versions.
  const std::uint8_t nothing = 0;
  EXPECT_EQ(gnutls_aead_cipher_encrypt(handle, nonce.data(), nonce.size(), aad.data(), aad.size(),
                                       kTagSize, plaintext.empty() ? &nothing : plaintext.data(),
                                       plaintext.size(), out.data(), &size),
            0);
  EXPECT_EQ(size, out.size());
  gnutls_aead_cipher_deinit(handle);
  return out;
}

Bytes gnutls_mask(ByteView key, ByteView sample) {
  const gnutls_datum_t datum{const_cast<unsigned char*>(key.data()),
                             static_cast<unsigned>(key.size())};
  std::array<std::uint8_t, kBlockSize> zero{};
  const gnutls_datum_t iv{zero.data(), zero.size()};
  gnutls_cipher_hd_t handle = nullptr;
  const auto cipher = key.size() == 16 ? GNUTLS_CIPHER_AES_128_CBC : GNUTLS_CIPHER_AES_256_CBC;
  EXPECT_EQ(gnutls_cipher_init(&handle, cipher, &datum, &iv), 0);
  Bytes out(kBlockSize);
  EXPECT_EQ(gnutls_cipher_encrypt2(handle, sample.data(), kBlockSize, out.data(), kBlockSize), 0);
  gnutls_cipher_deinit(handle);
  return out;
}

class IpsecMb : public testing::Test {
 protected:
  void SetUp() override {
    if (!is_available()) GTEST_SKIP() << "no libipsec-mb in this build, or no AES-NI";
  }
  Bytes random_bytes(std::size_t size) {
    Bytes out(size);
    rng_.fill(out);
    return out;
  }
  SeededRng rng_{9001};
};

TEST_F(IpsecMb, makes_keys_of_16_and_32_bytes_only) {
  for (const std::size_t size : {0, 1, 15, 16, 17, 24, 31, 32, 33, 64}) {
    const Bytes key(size);
    const bool is_good = size == 16 || size == 32;
    EXPECT_EQ(make_gcm_key(key) != nullptr, is_good) << size;
    EXPECT_EQ(make_header_key(key) != nullptr, is_good) << size;
  }
}

// RFC 9001 A.2. The tag covers the whole ciphertext, so its first block (the sample) and the
// tag stand for all 1178 bytes.
TEST_F(IpsecMb, protects_the_client_initial_of_rfc9001_a2) {
  const auto key = make_gcm_key(hex("1f369613dd76d5467730efcbe3b1a22d"));
  const auto header_key = make_header_key(hex("9f50449e04a0e810283a1e9933adedd2"));
  const Bytes header = hex("c300000001088394c8f03e5157080000449e00000002");
  Bytes payload =
      hex("060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c"
          "00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006"
          "001d0017001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa4"
          "7fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e040305"
          "0306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ff"
          "ff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff");
  payload.resize(1162);
  const Bytes nonce = nonce_for(hex("fa044b2f42a3fd3b46fb255c"), 2);

  const Bytes sealed = seal(*key, payload, nonce_of(nonce), header);
  EXPECT_EQ(hex_encode(ByteView(sealed).first(16)), "d1b1c98dd7689fb8ec11d242b123dc9b");
  EXPECT_EQ(hex_encode(ByteView(sealed).last(16)), "e221af44860018ab0856972e194cd934");
  EXPECT_EQ(hex_encode(ByteView(mask_of(*header_key, sealed)).first(5)), "437b9aec36");

  Bytes opened(payload.size());
  ASSERT_TRUE(decrypt(*key, opened.data(), sealed, nonce_of(nonce), header));
  EXPECT_EQ(opened, payload);
}

TEST_F(IpsecMb, protects_the_server_initial_of_rfc9001_a3) {
  const auto key = make_gcm_key(hex("cf3a5331653c364c88f0f379b6067e37"));
  const auto header_key = make_header_key(hex("c206b8d9b9f0f37644430b490eeaa314"));
  const Bytes header = hex("c1000000010008f067a5502a4262b50040750001");
  const Bytes payload =
      hex("02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc543"
          "0b9a045a1200130100002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c83"
          "4d5311bcf32bb9da1a002b00020304");
  const Bytes nonce = nonce_for(hex("0ac1493ca1905853b0bba03e"), 1);

  const Bytes sealed = seal(*key, payload, nonce_of(nonce), header);
  EXPECT_EQ(hex_encode(sealed),
            "5a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec249"
            "3a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4"
            "cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee");
  EXPECT_EQ(hex_encode(ByteView(mask_of(*header_key, ByteView(sealed).subspan(2))).first(5)),
            "2ec0d8356a");
}

// RFC 9001 A.4: a tag over nothing but associated data.
TEST_F(IpsecMb, computes_the_retry_tag_of_rfc9001_a4) {
  const auto key = make_gcm_key(hex("be0c690b9f66575a1d766b54e368c84e"));
  const Bytes nonce = hex("461599d35d632bf2239825bb");
  const Bytes pseudo = hex("088394c8f03e515708ff000000010008f067a5502a4262b5746f6b656e");
  EXPECT_EQ(hex_encode(seal(*key, {}, nonce_of(nonce), pseudo)),
            "04a265ba2eff4d829058fb3f0f2496ba");
}

TEST_F(IpsecMb, equals_gnutls_for_every_size_and_in_place) {
  std::vector<std::size_t> sizes;
  for (std::size_t size = 0; size <= 600; ++size) sizes.push_back(size);
  for (int i = 0; i < 150; ++i) sizes.push_back(rng_.below(65'536));
  sizes.push_back(65'535);

  for (const std::size_t key_size : {16, 32}) {
    for (const std::size_t size : sizes) {
      const Bytes raw_key = random_bytes(key_size);
      const Bytes nonce = random_bytes(kNonceSize);
      const Bytes aad = random_bytes(1 + rng_.below(50));
      const Bytes plaintext = random_bytes(size);
      const auto key = make_gcm_key(raw_key);
      ASSERT_TRUE(key);

      const Bytes sealed = seal(*key, plaintext, nonce_of(nonce), aad);
      ASSERT_EQ(sealed, gnutls_seal(raw_key, plaintext, nonce_of(nonce), aad)) << size;

      Bytes buffer = plaintext;
      buffer.resize(size + kTagSize);
      encrypt(*key, buffer.data(), ByteView(buffer).first(size), nonce_of(nonce), aad);
      ASSERT_EQ(buffer, sealed) << size;
      ASSERT_TRUE(decrypt(*key, buffer.data(), buffer, nonce_of(nonce), aad)) << size;
      ASSERT_TRUE(std::equal(plaintext.begin(), plaintext.end(), buffer.begin())) << size;

      Bytes opened(size + 1, 0xaa);
      ASSERT_TRUE(decrypt(*key, opened.data(), sealed, nonce_of(nonce), aad)) << size;
      ASSERT_TRUE(std::equal(plaintext.begin(), plaintext.end(), opened.begin())) << size;
      ASSERT_EQ(opened.back(), 0xaa) << "wrote past the plaintext of " << size;
    }
  }
}

TEST_F(IpsecMb, masks_equal_gnutls) {
  for (const std::size_t key_size : {16, 32}) {
    for (int i = 0; i < 200; ++i) {
      const Bytes key = random_bytes(key_size);
      const Bytes sample = random_bytes(kBlockSize);
      ASSERT_EQ(mask_of(*make_header_key(key), sample), gnutls_mask(key, sample));
    }
  }
}

TEST_F(IpsecMb, refuses_any_changed_bit_and_releases_no_plaintext) {
  for (const std::size_t key_size : {16, 32}) {
    const auto key = make_gcm_key(random_bytes(key_size));
    const Bytes nonce = random_bytes(kNonceSize);
    const Bytes aad = random_bytes(21);
    const Bytes plaintext = random_bytes(67);
    const Bytes sealed = seal(*key, plaintext, nonce_of(nonce), aad);
    const auto is_refused = [&](const Bytes& ciphertext, const Bytes& n, const Bytes& a) {
      Bytes out(plaintext.size(), 0xaa);
      return !decrypt(*key, out.data(), ciphertext, nonce_of(n), a) &&
             std::ranges::all_of(out, [](std::uint8_t byte) { return byte == 0; });
    };
    ASSERT_FALSE(is_refused(sealed, nonce, aad));
    const auto flip = [](Bytes bytes, std::size_t bit) {
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      return bytes;
    };
    // The last 128 bits of `sealed` are the tag.
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
      EXPECT_TRUE(is_refused(flip(sealed, bit), nonce, aad)) << bit;
    }
    for (std::size_t bit = 0; bit < aad.size() * 8; ++bit) {
      EXPECT_TRUE(is_refused(sealed, nonce, flip(aad, bit))) << bit;
    }
    for (std::size_t bit = 0; bit < nonce.size() * 8; ++bit) {
      EXPECT_TRUE(is_refused(sealed, flip(nonce, bit), aad)) << bit;
    }
  }
}

TEST_F(IpsecMb, refuses_every_truncation) {
  const auto key = make_gcm_key(random_bytes(16));
  const Bytes nonce = random_bytes(kNonceSize);
  const Bytes aad = random_bytes(9);
  const Bytes sealed = seal(*key, random_bytes(50), nonce_of(nonce), aad);
  Bytes out(sealed.size());
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(decrypt(*key, out.data(), ByteView(sealed).first(size), nonce_of(nonce), aad))
        << size;
  }
}

}  // namespace
}  // namespace culvert::quic::ipsec_mb
