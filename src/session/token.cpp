#include "session/token.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "base/trimmed.h"
#include "crypto/mac.h"

#include <fmt/format.h>

#include <array>

namespace culvert::session {
namespace {

constexpr std::size_t kRandomBytes = 32;

}  // namespace

Token generate_token(Rng& rng) {
  Bytes bytes(kRandomBytes);
  rng.fill(bytes);
  ByteWriter(bytes).u16(crc16_ccitt_false(bytes));
  return Token("i" + base64url_encode(bytes));
}

Result<Token> parse_token(std::string_view text, std::string_view origin) {
  const std::string offender(origin);
  if (text.size() != kTokenLength) {
    return fail(ErrorKind::configuration,
                fmt::format("a token has {} characters, this has {}; make one with "
                            "'culvert token'",
                            kTokenLength, text.size()),
                offender);
  }
  if (text.front() != 'i') {
    return fail(ErrorKind::configuration, "a token begins with 'i'", offender);
  }
  const auto bytes = base64url_decode(text.substr(1));
  if (!bytes || bytes->size() != kRandomBytes + 2) {
    return fail(ErrorKind::configuration,
                "the token has a character outside A-Z a-z 0-9 - _ (mistyped?)", offender);
  }
  const ByteView body = ByteView(*bytes).first(kRandomBytes);
  const std::uint16_t crc =
      static_cast<std::uint16_t>(((*bytes)[kRandomBytes] << 8) | (*bytes)[kRandomBytes + 1]);
  if (crc != crc16_ccitt_false(body)) {
    return fail(ErrorKind::configuration, "the token's checksum is wrong: it was mistyped or cut",
                offender);
  }
  return Token(std::string(text));
}

Result<TokenSet> TokenSet::parse(std::string_view text, std::string_view origin) {
  if (text.size() > limits::kMaxTokenFileBytes) {
    return fail(ErrorKind::configuration, "too large for a token file", std::string(origin));
  }
  TokenSet set;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    line = trimmed(line.substr(0, line.find('#')));
    if (!line.empty()) {
      const std::string place = fmt::format("{}:{}", origin, number);
      CULVERT_TRY(Token token, parse_token(line, place));
      if (auto added = set.add(std::move(token)); !added) return forward(added);
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return set;
}

Status TokenSet::add(Token token) {
  if (tokens_.size() >= limits::kMaxTokens) {
    return fail(ErrorKind::configuration, fmt::format("more than {} tokens", limits::kMaxTokens));
  }
  tokens_.push_back(std::move(token));
  return {};
}

bool TokenSet::contains(std::string_view text) const {
  bool is_known = false;
  for (const Token& token : tokens_) {
    // Not ||: every comparison is made.
    is_known |= crypto::constant_time_equal(as_bytes(token.reveal()), as_bytes(text));
  }
  return is_known;
}

}  // namespace culvert::session
