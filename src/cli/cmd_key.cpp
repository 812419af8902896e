#include "base/limits.h"
#include "cli/commands.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/role_options.h"
#include "crypto/key_file.h"
#include "net/files.h"
#include "net/system_rng.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

namespace culvert::cli {
namespace {

using settings::Id;
using settings::Settings;

std::string now_rfc3339() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

}  // namespace

Status cmd_key_generate(const Settings& settings) {
  net::SystemRng rng;
  const auto key = crypto::SecretKey::generate(rng);
  const bool is_auth = settings.flag(Id::auth_key);
  const std::string public_text =
      is_auth ? crypto::tunnel_rs_text(key.public_key()) : key.public_key().text();
  const std::string contents =
      is_auth ? crypto::format_auth_key_file(key, now_rfc3339(), settings.text(Id::comment))
              : crypto::format_identity_file(key, now_rfc3339());
  const std::string label = is_auth ? "Public key" : "EndpointId";
  const bool to_file = settings.has(Id::output) && settings.text(Id::output) != "-";
  if (!to_file) {
    if (settings.flag(Id::json)) {
      print_json({{"public_key", public_text}, {"private_key", contents}});
      return {};
    }
    print_note(fmt::format("{}: {}", label, public_text));
    print_line(std::string_view(contents).substr(0, contents.find_last_not_of('\n') + 1));
    return {};
  }

  const std::string path = expand_home(settings.text(Id::output));
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (!parent.empty()) {
    CULVERT_CHECK(net::create_directories(parent));
  }
  const auto overwrite = settings.flag(Id::force) ? net::Overwrite::yes : net::Overwrite::no;
  CULVERT_CHECK(net::write_secret_file(path, contents, overwrite));
  if (settings.flag(Id::json)) {
    print_json({{"public_key", public_text}, {"file", path}});
  } else {
    print_line(fmt::format("{}: {}", label, public_text));
  }
  return {};
}

Status cmd_key_show(const Settings& settings) {
  if (!settings.has(Id::secret_file) && !settings.has(Id::secret)) {
    return fail(ErrorKind::configuration, "which key? give its file with -s");
  }
  std::string text;
  std::string origin;
  if (settings.has(Id::secret_file)) {
    const settings::Value value = settings.value(Id::secret_file);
    CULVERT_TRY(text, read_named_file(value, limits::kMaxKeyFileBytes));
    origin = value.text;
  } else {
    text = settings.text(Id::secret);
    origin = settings.value(Id::secret).origin;
  }
  CULVERT_TRY(const crypto::SecretKey key, crypto::parse_secret_key(text, origin));
  const crypto::PublicKey& id = key.public_key();
  if (settings.flag(Id::json)) {
    print_json({{"public_key", id.text()},
                {"tunnel_rs", crypto::tunnel_rs_text(id)},
                {"openssh", crypto::openssh_text(id)}});
    return {};
  }
  print_line(fmt::format("EndpointId: {}", id.text()));
  print_line(fmt::format("authorized_keys: {}", crypto::openssh_text(id)));
  print_line(fmt::format("authorized_keys: {}", crypto::tunnel_rs_text(id)));
  return {};
}

}  // namespace culvert::cli
