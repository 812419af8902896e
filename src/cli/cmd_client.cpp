#include "app/client_app.h"
#include "cli/client_options.h"
#include "cli/commands.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/reload.h"
#include "cli/role_options.h"
#include "net/descriptors.h"
#include "net/stderr_sink.h"

namespace culvert::cli {
namespace {

using settings::Id;
using settings::Settings;

// For programs; people read the log. Without --json standard output stays free, for -W.
class ClientOutput final : public app::ClientReporter {
 public:
  explicit ClientOutput(bool is_json) : is_json_(is_json) {}

  void on_connected(const std::string& name, const SocketAddress& server) override {
    if (is_json_) {
      print_json({{"event", "connected"}, {"server", server.text()}, {"server_name", name}});
    }
  }
  void on_listening(const tunnel::TunnelSpec& tunnel, const std::string& local) override {
    if (is_json_) {
      print_json({{"event", "listening"},
                  {"name", tunnel.name},
                  {"server_name", tunnel.server},
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
  net::raise_descriptor_limit();
  net::StderrSink sink(log_format(settings));
  Logger log(sink, log_level(settings));
  CULVERT_TRY(app::ClientOptions options, client_options(settings, log));
  const auto command = settings::Command::client;
  CULVERT_TRY(options.watched_files, watched_files(command, settings));
  if (config_path(command, settings) && can_reload(settings) && !options.stdio) {
    options.reload = [&settings, &arguments]() -> Result<app::ClientReload> {
      CULVERT_TRY(const Settings again, load_settings(command, arguments, Occasion::reload));
      CULVERT_TRY(app::ClientOptions changed,
                  client_options(again, null_logger(), Occasion::reload));
      return app::ClientReload{std::move(changed.servers), std::move(changed.tunnels),
                               reload_notes(command, settings, again)};
    };
  }
  ClientOutput reporter(settings.flag(Id::json));
  CULVERT_TRY(const auto client, app::ClientApp::create(std::move(options), reporter, log));
  return client->run();
}

}  // namespace culvert::cli
