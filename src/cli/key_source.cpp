#include "cli/key_source.h"

#include "base/limits.h"
#include "base/secret.h"
#include "cli/load_settings.h"
#include "crypto/key_file.h"
#include "net/files.h"

namespace culvert::cli {

void warn_if_others_read(const settings::Value& file, std::string_view secret, Logger& log) {
  if (file.text == "-" || is_credential(file.text)) return;
  const std::string path = expand_home(file.text);
  if (!net::is_readable_by_others(path)) return;
  log.warn("keys", "{}: other users can read this {}; chmod 600 it", path, secret);
}

Result<std::optional<crypto::SecretKey>> load_key(const settings::Settings& settings,
                                                  std::optional<settings::Id> inline_id,
                                                  settings::Id file_id, Logger& log,
                                                  Occasion occasion) {
  if (inline_id && settings.has(*inline_id)) {
    const settings::Value value = settings.value(*inline_id);
    CULVERT_TRY(crypto::SecretKey key, crypto::parse_secret_key(value.text, value.origin));
    return key;
  }
  if (!settings.has(file_id)) return std::nullopt;
  const settings::Value value = settings.value(file_id);
  const std::string path = expand_home(value.text);
  auto text = read_named_file(value, limits::kMaxKeyFileBytes, occasion);
  if (!text) {
    Error error = std::move(text).error();
    error.what += "; make one with: culvert key generate -o " + value.text;
    return std::unexpected(std::move(error));
  }
  const WipedAtEnd wiped(*text);
  warn_if_others_read(value, "key", log);
  CULVERT_TRY(crypto::SecretKey key, crypto::parse_secret_key(*text, path));
  return key;
}

}  // namespace culvert::cli
