// The client role as a program: runs a worker for each server, maps signals to a polite stop
// and a reload. Blocks in run(); prints nothing, reports through ClientReporter.
#pragma once

#include "app/options.h"
#include "base/log.h"
#include "base/result.h"
#include "drive/counters.h"

#include <memory>
#include <string>

namespace culvert::app {

// Called on the thread that called run().
class ClientReporter {
 public:
  virtual ~ClientReporter() = default;
  // And authenticated. `name` is ClientServer::name.
  virtual void on_connected(const std::string& name, const SocketAddress& server) = 0;
  virtual void on_listening(const tunnel::TunnelSpec& tunnel, const std::string& local) = 0;
  virtual void on_stopped(const drive::Counters&) {}
};

class ClientApp {
 public:
  // `log` and `reporter` outlive the app.
  [[nodiscard]] static Result<std::unique_ptr<ClientApp>> create(ClientOptions options,
                                                                 ClientReporter& reporter,
                                                                 Logger& log);
  virtual ~ClientApp() = default;
  // Until a signal, request_stop(), the end of stdio (-W), or an error; the error's kind
  // decides the exit code.
  [[nodiscard]] virtual Status run() = 0;
  // From any thread. The first call stops politely within drain_timeout, the second at once.
  virtual void request_stop() = 0;
};

}  // namespace culvert::app
