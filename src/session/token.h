// Shared authentication tokens in tunnel-rs's 47-character form:
//   'i' + base64url without padding of (32 random bytes + CRC-16/CCITT-FALSE, big endian)
// The CRC catches typing errors; the 256 random bits are the secret.
#pragma once

#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::session {

inline constexpr std::size_t kTokenLength = 47;

using Token = Secret<std::string>;

[[nodiscard]] Token generate_token(Rng& rng);
// Says precisely what is wrong (length, prefix, alphabet, checksum), never the token itself.
[[nodiscard]] Result<Token> parse_token(std::string_view text, std::string_view origin);

class TokenSet {
 public:
  // One token per line; blank lines and '#' comments (also behind a token) are skipped.
  [[nodiscard]] static Result<TokenSet> parse(std::string_view text, std::string_view origin);
  [[nodiscard]] Status add(Token token);
  [[nodiscard]] const std::vector<Token>& tokens() const { return tokens_; }
  [[nodiscard]] bool is_empty() const { return tokens_.empty(); }
  [[nodiscard]] std::size_t size() const { return tokens_.size(); }
  // Compares with every token, whichever matches: time tells nothing.
  [[nodiscard]] bool contains(std::string_view text) const;

 private:
  std::vector<Token> tokens_;
};

}  // namespace culvert::session
