// Secret keys from where settings say they are.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "cli/load_settings.h"
#include "crypto/keys.h"
#include "settings/resolver.h"

#include <optional>

namespace culvert::cli {

// The key in `inline_id` (environment, stdin) or in the file `file_id` names; nothing when
// neither is set. Warns when others may read the file.
[[nodiscard]] Result<std::optional<crypto::SecretKey>> load_key(
    const settings::Settings& settings, std::optional<settings::Id> inline_id, settings::Id file_id,
    Logger& log, Occasion occasion = Occasion::start);

}  // namespace culvert::cli
