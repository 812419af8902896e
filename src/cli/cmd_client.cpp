#include "app/client_app.h"
#include "app/system.h"
#include "cli/client_options.h"
#include "cli/commands.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/role_options.h"

namespace culvert::cli {
namespace {

using settings::Id;
using settings::Settings;

// For programs; people read the log. Without --json standard output stays free, for -W.
class Reporter final : public app::ClientReporter {
 public:
  explicit Reporter(bool is_json) : is_json_(is_json) {}

  void on_connected(const SocketAddress& server) override {
    if (is_json_) print_json({{"event", "connected"}, {"server", server.text()}});
  }
  void on_listening(const tunnel::TunnelSpec& tunnel, const std::string& local) override {
    if (is_json_) {
      print_json({{"event", "listening"},
                  {"name", tunnel.name},
                  {"source", tunnel.source.text()},
                  {"address", local}});
    }
  }

 private:
  bool is_json_;
};

}  // namespace

Status cmd_client(const Settings& settings, const settings::Arguments& arguments) {
  if (settings.flag(Id::json) && settings.has(Id::stdio)) {
    return fail(ErrorKind::configuration, "standard output carries the tunnel of -W", "--json");
  }
  net::StderrSink sink(log_format(settings));
  Logger log(sink, log_level(settings));
  CULVERT_TRY(app::ClientOptions options, client_options(settings, log));
  const bool has_file = settings.has(Id::config) || settings.flag(Id::default_config);
  if (has_file && !options.stdio) {
    options.reload = [&arguments]() -> Result<tunnel::TunnelSet> {
      CULVERT_TRY(const Settings again, load_settings(settings::Command::client, arguments));
      CULVERT_TRY(app::ClientOptions changed, client_options(again, null_logger()));
      return std::move(changed.tunnels);
    };
  }
  Reporter reporter(settings.flag(Id::json));
  CULVERT_TRY(const auto client, app::ClientApp::create(std::move(options), reporter, log));
  return client->run();
}

}  // namespace culvert::cli
