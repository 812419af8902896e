// Texts that hold Ed25519 keys: our own, tunnel-rs's and OpenSSH's. Text in, values out;
// reading files is somebody else's work (app/).
#pragma once

#include "base/result.h"
#include "crypto/keys.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::crypto {

// One secret key, in any of these forms; lines starting with '#' and blank lines are skipped:
//   44 characters of base64        tunnel-rs server identity
//   ed25519-sec:BASE64URL (43)     tunnel-rs / flexaccess authentication key
//   64 hex digits
//   -----BEGIN OPENSSH PRIVATE KEY-----   unencrypted, ssh-ed25519 (PROTOCOL.key)
// `origin` names the file in errors.
[[nodiscard]] Result<SecretKey> parse_secret_key(std::string_view text, std::string_view origin);

// A server identity file: '#' headers, then base64. `created` is an RFC 3339 time.
[[nodiscard]] std::string format_identity_file(const SecretKey& key, std::string_view created);
// An authentication key file: '#' headers, then ed25519-sec:...
[[nodiscard]] std::string format_auth_key_file(const SecretKey& key, std::string_view created,
                                               std::string_view comment);

// One public key in the forms of AuthorizedKeys; a comment behind it is passed over.
[[nodiscard]] Result<PublicKey> parse_public_key(std::string_view text, std::string_view origin);

// "ed25519-pub:..." (43 characters of base64url).
[[nodiscard]] std::string tunnel_rs_text(const PublicKey& key);
// "ssh-ed25519 AAAA..."
[[nodiscard]] std::string openssh_text(const PublicKey& key);

// One public key per line, then a comment: ed25519-pub:..., ssh-ed25519 AAAA..., or 64 hex
// digits. OpenSSH options in front of such a key are refused: we would not honour them. Keys of
// OpenSSH's other types let nobody in, and are passed over: files of ~/.ssh hold them. The last of
// duplicates wins.
class AuthorizedKeys {
 public:
  [[nodiscard]] static Result<AuthorizedKeys> parse(std::string_view text, std::string_view origin);
  void add(const PublicKey& key, std::string comment) { keys_[key] = std::move(comment); }
  // The key's comment (may be empty); nothing when it is not authorized. Public keys are
  // no secrets: the lookup need not be constant-time.
  [[nodiscard]] std::optional<std::string> lookup(const PublicKey& key) const;
  [[nodiscard]] std::size_t size() const { return keys_.size(); }
  [[nodiscard]] bool is_empty() const { return keys_.empty(); }
  // Of keys that were passed over, in the order of the file.
  struct PassedOver {
    std::string place;  // "FILE:LINE"
    std::string type;
  };
  [[nodiscard]] const std::vector<PassedOver>& passed_over() const { return passed_over_; }

 private:
  std::map<PublicKey, std::string> keys_;
  std::vector<PassedOver> passed_over_;
};

}  // namespace culvert::crypto
