// Ed25519 keys: EndpointId (public) and SecretKey, as addresses and as signers.
// RFC 8032; verification is strict. Implemented over GnuTLS.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace culvert::crypto {

using Signature = std::array<std::uint8_t, 64>;

// An Ed25519 public key. As the address of a machine it is what iroh calls
// EndpointId (formerly NodeId).
class PublicKey {
 public:
  static constexpr std::size_t kSize = 32;

  PublicKey() = default;
  explicit PublicKey(const std::array<std::uint8_t, kSize>& bytes) : bytes_(bytes) {}
  // 64 hex digits or 52 base32 characters, either case (both spellings iroh uses).
  [[nodiscard]] static Result<PublicKey> parse(std::string_view text);
  [[nodiscard]] static Result<PublicKey> from_bytes(ByteView bytes);

  [[nodiscard]] ByteView bytes() const { return bytes_; }
  [[nodiscard]] std::string text() const;        // 64 lower-case hex digits, as iroh 1.x prints
  [[nodiscard]] std::string short_text() const;  // first 10 hex digits, for logs
  [[nodiscard]] bool verify(ByteView message, ByteView signature) const;

  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;

 private:
  std::array<std::uint8_t, kSize> bytes_{};
};

using EndpointId = PublicKey;

class SecretKey {
 public:
  static constexpr std::size_t kSize = 32;

  [[nodiscard]] static SecretKey generate(Rng& rng);
  [[nodiscard]] static SecretKey from_seed(const std::array<std::uint8_t, kSize>& seed);

  [[nodiscard]] const std::array<std::uint8_t, kSize>& seed() const { return seed_.reveal(); }
  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] Signature sign(ByteView message) const;
  // A secret for another purpose than signing, the same each time (HKDF-Expand of RFC 5869 with
  // SHA-256, `purpose` as its info). It tells nothing of the key or of other purposes' secrets.
  [[nodiscard]] Secret<std::array<std::uint8_t, 32>> derive(std::string_view purpose) const;

 private:
  SecretKey() = default;
  Secret<std::array<std::uint8_t, kSize>> seed_;
  PublicKey public_key_;
};

}  // namespace culvert::crypto

template <>
struct std::hash<culvert::crypto::PublicKey> {
  std::size_t operator()(const culvert::crypto::PublicKey& key) const noexcept;
};
