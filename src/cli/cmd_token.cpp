#include "cli/commands.h"
#include "cli/output.h"
#include "net/system_rng.h"
#include "session/token.h"

namespace culvert::cli {

Status cmd_token(const settings::Settings& settings) {
  net::SystemRng rng;
  std::vector<std::string> tokens;
  for (std::int64_t i = 0; i < settings.number(settings::Id::count); ++i) {
    tokens.push_back(session::generate_token(rng).reveal());
  }
  if (settings.flag(settings::Id::json)) {
    print_json({{"auth_tokens", tokens}});
    return {};
  }
  for (const std::string& token : tokens) print_line(token);
  return {};
}

}  // namespace culvert::cli
