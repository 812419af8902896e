// Secret keys from where settings say they are.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "cli/load_settings.h"
#include "crypto/keys.h"
#include "settings/resolver.h"

#include <optional>
#include <string_view>

namespace culvert::cli {

// The key in `inline_id` (environment, stdin) or in the file `file_id` names; nothing when
// neither is set. Warns when others may read the file.
[[nodiscard]] Result<std::optional<crypto::SecretKey>> load_key(
    const settings::Settings& settings, std::optional<settings::Id> inline_id, settings::Id file_id,
    Logger& log, Occasion occasion = Occasion::start);

// `secret` says what the file holds. Silent about standard input.
void warn_if_others_read(const settings::Value& file, std::string_view secret, Logger& log);

}  // namespace culvert::cli
