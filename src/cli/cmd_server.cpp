#include "app/server_app.h"
#include "cli/commands.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/reload.h"
#include "cli/role_options.h"
#include "cli/server_options.h"
#include "net/descriptors.h"
#include "net/stderr_sink.h"

#include <fmt/format.h>

namespace culvert::cli {
namespace {

using settings::Id;
using settings::Settings;

// The id and the ticket go to standard output, for programs; the rest is log.
class ServerOutput final : public app::ServerReporter {
 public:
  ServerOutput(const Settings& settings, const app::ServerOptions& options, Logger& log)
      : is_json_(settings.flag(Id::json)),
        log_(log),
        tokens_(options.policy.auth.tokens.size()),
        keys_(options.policy.auth.keys.size()),
        endpoint_ids_(options.policy.auth.endpoint_ids.size()),
        tcp_(options.policy.sources.tcp.text()),
        udp_(options.policy.sources.udp.text()),
        unix_(options.policy.sources.unix_sockets.text()) {}

  void on_ready(const app::ServerReady& ready) override {
    std::vector<std::string> addresses;
    for (const SocketAddress& address : ready.addresses) addresses.push_back(address.text());
    if (is_json_) {
      print_json({{"event", "ready"},
                  {"endpoint_id", ready.id.text()},
                  {"listening", ready.listening.text()},
                  {"addresses", addresses},
                  {"ticket", ready.ticket}});
    } else {
      print_line(fmt::format("EndpointId: {}", ready.id.text()));
      print_line(fmt::format("Ticket: {}", ready.ticket));
    }
    log_.info("server", "Listening on UDP {}, reachable at: {}", ready.listening.text(),
              fmt::join(addresses, " "));
    log_.info("server", "Clients that are let in: by token {}, by key {}, by EndpointId {}",
              tokens_, keys_, endpoint_ids_);
    log_.info("server", "Allowed sources: tcp {} udp {} unix {}", tcp_, udp_, unix_);
    log_.info("server", "Waiting for clients to connect...");
  }
  void on_stopping() override {
    if (is_json_) print_json({{"event", "stopping"}});
    log_.info("server", "Stopping: running connections may end (again to stop at once)");
  }

 private:
  bool is_json_;
  Logger& log_;
  std::size_t tokens_;
  std::size_t keys_;
  std::size_t endpoint_ids_;
  std::string tcp_;
  std::string udp_;
  std::string unix_;
};

}  // namespace

Status cmd_server(const Settings& settings, const settings::Arguments& arguments) {
  net::raise_descriptor_limit();
  net::StderrSink sink(log_format(settings));
  Logger log(sink, log_level(settings));
  CULVERT_TRY(app::ServerOptions options, server_options(settings, log));
  CULVERT_TRY(options.watched_files, watched_files(settings::Command::server, settings));
  if (can_reload(settings)) {
    options.reload = [&settings, &arguments]() -> Result<app::ServerReload> {
      CULVERT_TRY(const Settings again,
                  load_settings(settings::Command::server, arguments, Occasion::reload));
      CULVERT_TRY(app::ServerOptions changed,
                  server_options(again, null_logger(), Occasion::reload));
      return app::ServerReload{std::move(changed.policy), changed.auth_limits,
                               reload_notes(settings::Command::server, settings, again)};
    };
  }
  ServerOutput reporter(settings, options, log);
  CULVERT_TRY(const auto server, app::ServerApp::create(std::move(options), reporter, log));
  return server->run();
}

}  // namespace culvert::cli
