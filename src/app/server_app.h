// The server role as a program: workers in threads, signals, ready and stop. Blocks in
// run(); prints nothing, reports through ServerReporter (cli/ turns that into output).
#pragma once

#include "app/options.h"
#include "base/log.h"
#include "base/result.h"
#include "drive/counters.h"
#include "session/auth_limiter.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert::app {

struct ServerReady {
  crypto::EndpointId id;
  SocketAddress listening;               // the socket's, perhaps a wildcard
  std::vector<SocketAddress> addresses;  // where clients can dial us, best first
  std::string ticket;                    // app/ticket.h: both of the above as one word
};

// Called on the thread that called run().
class ServerReporter {
 public:
  virtual ~ServerReporter() = default;
  virtual void on_ready(const ServerReady& ready) = 0;
  virtual void on_stopping() {}
  virtual void on_stopped(const drive::Counters&) {}  // summed over the workers
};

class ServerApp {
 public:
  // Opens sockets and keys; nothing runs yet. `log` and `reporter` outlive the app.
  [[nodiscard]] static Result<std::unique_ptr<ServerApp>> create(ServerOptions options,
                                                                 ServerReporter& reporter,
                                                                 Logger& log);
  virtual ~ServerApp() = default;
  // Serves until a signal or request_stop(). Success after a stop, polite or not.
  [[nodiscard]] virtual Status run() = 0;
  // From any thread. The first call stops politely within drain_timeout, the second at once.
  virtual void request_stop() = 0;
  // From any thread.
  [[nodiscard]] virtual session::AuthMetrics auth_metrics() = 0;
};

}  // namespace culvert::app
