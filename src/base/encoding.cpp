#include "base/encoding.h"

#include <array>

namespace culvert {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase32Digits = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64UrlDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Groups of `bits_per_digit` bits, most significant first (RFC 4648).
std::string encode_digits(ByteView bytes, std::string_view digits, unsigned bits_per_digit) {
  std::string out;
  out.reserve((bytes.size() * 8 + bits_per_digit - 1) / bits_per_digit);
  const std::uint32_t mask = (1U << bits_per_digit) - 1;
  std::uint32_t pending = 0;
  unsigned pending_bits = 0;
  for (const std::uint8_t byte : bytes) {
    pending = (pending << 8) | byte;
    pending_bits += 8;
    while (pending_bits >= bits_per_digit) {
      pending_bits -= bits_per_digit;
      out.push_back(digits[(pending >> pending_bits) & mask]);
    }
  }
  if (pending_bits > 0) out.push_back(digits[(pending << (bits_per_digit - pending_bits)) & mask]);
  return out;
}

// Refuses digits that no encoder writes: a last group that adds no byte, or bits set
// behind the last byte.
Decoded<Bytes> decode_digits(std::string_view text, std::string_view digits,
                             unsigned bits_per_digit, bool folds_case) {
  Bytes out;
  out.reserve(text.size() * bits_per_digit / 8);
  std::uint32_t pending = 0;
  unsigned pending_bits = 0;
  for (const char c : text) {
    const std::size_t value = digits.find(folds_case ? lower(c) : c);
    if (value == std::string_view::npos) return std::unexpected(DecodeError::malformed);
    pending = (pending << bits_per_digit) | static_cast<std::uint32_t>(value);
    pending_bits += bits_per_digit;
    if (pending_bits >= 8) {
      pending_bits -= 8;
      out.push_back(static_cast<std::uint8_t>(pending >> pending_bits));
    }
    pending &= (1U << pending_bits) - 1;
  }
  if (pending_bits >= bits_per_digit || pending != 0) {
    return std::unexpected(DecodeError::malformed);
  }
  return out;
}

}  // namespace

std::string hex_encode(ByteView bytes) {
  return encode_digits(bytes, kHexDigits, 4);
}
Decoded<Bytes> hex_decode(std::string_view text) {
  return decode_digits(text, kHexDigits, 4, true);
}

std::string base64url_encode(ByteView bytes) {
  return encode_digits(bytes, kBase64UrlDigits, 6);
}
Decoded<Bytes> base64url_decode(std::string_view text) {
  return decode_digits(text, kBase64UrlDigits, 6, false);
}

std::string base64_encode(ByteView bytes) {
  std::string out = encode_digits(bytes, kBase64Digits, 6);
  while (out.size() % 4 != 0) out.push_back('=');
  return out;
}
Decoded<Bytes> base64_decode(std::string_view text) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  return decode_digits(text, kBase64Digits, 6, false);
}

std::string base32_encode(ByteView bytes) {
  return encode_digits(bytes, kBase32Digits, 5);
}
Decoded<Bytes> base32_decode(std::string_view text) {
  return decode_digits(text, kBase32Digits, 5, true);
}

std::uint16_t crc16_ccitt_false(ByteView bytes) {
  std::uint16_t crc = 0xffff;
  for (const std::uint8_t byte : bytes) {
    crc = static_cast<std::uint16_t>(crc ^ (byte << 8));
    for (int bit = 0; bit < 8; ++bit) {
      crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
  }
  return crc;
}

}  // namespace culvert
