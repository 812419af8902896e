#include "settings/changes.h"

#include <gtest/gtest.h>

namespace culvert::settings {
namespace {

Node text(std::string value, std::uint32_t line) {
  return {.kind = Node::Kind::text, .text = std::move(value), .line = line};
}

Settings resolved(std::vector<std::pair<std::string, Node>> members) {
  Node file;
  file.members.emplace_back("iroh", Node{.members = std::move(members), .line = 1});
  const auto settings = resolve(Command::server, {.file = &file, .file_name = "server.toml"});
  EXPECT_TRUE(settings) << settings.error().text();
  return settings.value_or(Settings{});
}

TEST(NeedsRestart, names_what_a_reload_does_not_apply) {
  const Settings before = resolved({{"listen", text("[::]:1", 2)}, {"audit_log", text("a", 3)}});
  const Settings after =
      resolved({{"listen", text("[::]:2", 5)}, {"allowed_endpoint_ids", text("x", 6)}});
  EXPECT_EQ(needs_restart(Command::server, before, after),
            (std::vector<std::string>{"server.toml:5: iroh.listen", "iroh.audit_log"}));
}

TEST(NeedsRestart, names_nothing_when_only_places_or_live_settings_change) {
  const Settings before = resolved({{"listen", text("[::]:1", 2)}});
  const Settings after =
      resolved({{"auth_tokens_file", text("tokens", 2)}, {"listen", text("[::]:1", 3)}});
  EXPECT_TRUE(needs_restart(Command::server, before, after).empty());
}

}  // namespace
}  // namespace culvert::settings
