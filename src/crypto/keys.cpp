#include "crypto/keys.h"

#include "base/assert.h"
#include "base/encoding.h"
#include "crypto/mac.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include <algorithm>
#include <memory>

namespace culvert::crypto {
namespace {

constexpr std::size_t kHexLength = 64;
constexpr std::size_t kBase32Length = 52;

template <auto deinit>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    deinit(object);
  }
};
using PrivateKeyHandle =
    std::unique_ptr<std::remove_pointer_t<gnutls_privkey_t>, Deleter<&gnutls_privkey_deinit>>;
using PublicKeyHandle =
    std::unique_ptr<std::remove_pointer_t<gnutls_pubkey_t>, Deleter<&gnutls_pubkey_deinit>>;

gnutls_datum_t datum(ByteView bytes) {
  return {const_cast<unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

PrivateKeyHandle import_private(ByteView seed, ByteView public_key) {
  gnutls_privkey_t raw = nullptr;
  CULVERT_ASSERT(gnutls_privkey_init(&raw) == 0);
  PrivateKeyHandle key(raw);
  const gnutls_datum_t x = datum(public_key);
  const gnutls_datum_t k = datum(seed);
  CULVERT_ASSERT(
      gnutls_privkey_import_ecc_raw(key.get(), GNUTLS_ECC_CURVE_ED25519, &x, nullptr, &k) == 0);
  return key;
}

// PKCS#8 of an Ed25519 seed (RFC 8410 7): GnuTLS derives the public key from it.
std::array<std::uint8_t, SecretKey::kSize> derive_public(
    const std::array<std::uint8_t, SecretKey::kSize>& seed) {
  constexpr std::array<std::uint8_t, 16> kPrefix{0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                                 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
  std::array<std::uint8_t, kPrefix.size() + SecretKey::kSize> der{};
  std::ranges::copy(kPrefix, der.begin());
  std::ranges::copy(seed, der.begin() + kPrefix.size());

  gnutls_privkey_t raw_private = nullptr;
  CULVERT_ASSERT(gnutls_privkey_init(&raw_private) == 0);
  const PrivateKeyHandle private_key(raw_private);
  const gnutls_datum_t input = datum(der);
  CULVERT_ASSERT(gnutls_privkey_import_x509_raw(private_key.get(), &input, GNUTLS_X509_FMT_DER,
                                                nullptr, 0) == 0);
  gnutls_memset(der.data(), 0, der.size());

  gnutls_pubkey_t raw_public = nullptr;
  CULVERT_ASSERT(gnutls_pubkey_init(&raw_public) == 0);
  const PublicKeyHandle public_key(raw_public);
  CULVERT_ASSERT(gnutls_pubkey_import_privkey(public_key.get(), private_key.get(), 0, 0) == 0);
  gnutls_datum_t x{};
  CULVERT_ASSERT(gnutls_pubkey_export_ecc_raw2(public_key.get(), nullptr, &x, nullptr, 0) == 0);
  CULVERT_ASSERT(x.size == PublicKey::kSize);
  std::array<std::uint8_t, PublicKey::kSize> bytes{};
  std::copy_n(x.data, x.size, bytes.begin());
  gnutls_free(x.data);
  return bytes;
}

}  // namespace

Result<PublicKey> PublicKey::from_bytes(ByteView bytes) {
  if (bytes.size() != kSize) {
    return fail(ErrorKind::configuration, "an Ed25519 public key has 32 bytes");
  }
  std::array<std::uint8_t, kSize> copy{};
  std::ranges::copy(bytes, copy.begin());
  return PublicKey(copy);
}

Result<PublicKey> PublicKey::parse(std::string_view text) {
  Decoded<Bytes> bytes = std::unexpected(DecodeError::malformed);
  if (text.size() == kHexLength) {
    bytes = hex_decode(text);
  } else if (text.size() == kBase32Length) {
    bytes = base32_decode(text);
  }
  if (!bytes) {
    return fail(ErrorKind::configuration,
                "not an EndpointId: it has 64 hex digits or 52 base32 characters",
                std::string(text.substr(0, 80)));
  }
  return from_bytes(*bytes);
}

std::string PublicKey::text() const {
  return hex_encode(bytes());
}

std::string PublicKey::short_text() const {
  return hex_encode(bytes().first(5));
}

bool PublicKey::verify(ByteView message, ByteView signature) const {
  if (signature.size() != std::tuple_size_v<Signature>) return false;
  gnutls_pubkey_t raw = nullptr;
  CULVERT_ASSERT(gnutls_pubkey_init(&raw) == 0);
  const PublicKeyHandle key(raw);
  const gnutls_datum_t x = datum(bytes());
  if (gnutls_pubkey_import_ecc_raw(key.get(), GNUTLS_ECC_CURVE_ED25519, &x, nullptr) != 0) {
    return false;
  }
  const gnutls_datum_t signed_data = datum(message);
  const gnutls_datum_t signature_data = datum(signature);
  return gnutls_pubkey_verify_data2(key.get(), GNUTLS_SIGN_EDDSA_ED25519, 0, &signed_data,
                                    &signature_data) >= 0;
}

SecretKey SecretKey::from_seed(const std::array<std::uint8_t, kSize>& seed) {
  SecretKey key;
  key.seed_ = Secret(seed);
  key.public_key_ = PublicKey(derive_public(seed));
  return key;
}

SecretKey SecretKey::generate(Rng& rng) {
  std::array<std::uint8_t, kSize> seed{};
  rng.fill(seed);
  SecretKey key = from_seed(seed);
  gnutls_memset(seed.data(), 0, seed.size());
  return key;
}

Secret<std::array<std::uint8_t, 32>> SecretKey::derive(std::string_view purpose) const {
  Bytes info;
  ByteWriter writer(info);
  writer.raw(as_bytes(purpose));
  writer.u8(1);  // the first and only block
  return Secret(hmac_sha256(seed(), info));
}

Signature SecretKey::sign(ByteView message) const {
  const PrivateKeyHandle key = import_private(seed(), public_key_.bytes());
  const gnutls_datum_t input = datum(message);
  gnutls_datum_t output{};
  CULVERT_ASSERT(
      gnutls_privkey_sign_data2(key.get(), GNUTLS_SIGN_EDDSA_ED25519, 0, &input, &output) == 0);
  Signature signature{};
  CULVERT_ASSERT(output.size == signature.size());
  std::copy_n(output.data, output.size, signature.begin());
  gnutls_free(output.data);
  return signature;
}

}  // namespace culvert::crypto

std::size_t std::hash<culvert::crypto::PublicKey>::operator()(
    const culvert::crypto::PublicKey& key) const noexcept {
  // Keys of peers are theirs to choose; maps keyed by them are bounded by limits.h.
  std::uint64_t hash = 0;
  for (const std::uint8_t byte : key.bytes()) {
    hash = (hash ^ byte) * 0x100000001b3ULL;
    hash ^= hash >> 29;
  }
  return hash;
}
