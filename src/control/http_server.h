// Serves HTTP/1.1 on a listening socket of a host: keep-alive, one request of a connection at
// a time, event streams. Everything is bounded (limits::kControl*): headers, bodies,
// connections, silence, and what a slow subscriber has not taken.
//
// Lives on the host's loop; owned by ControlServer. The host outlives it.
#pragma once

#include "base/limits.h"
#include "control/http.h"
#include "drive/ports.h"
#include "net/kernel_host.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

namespace culvert::control {

struct HttpTimes {
  Duration idle = limits::kControlIdle;            // a connection without a byte moving
  Duration heartbeat = limits::kControlHeartbeat;  // a comment on a silent event stream
  Duration tick = std::chrono::seconds(1);         // how often both are looked at
};

class HttpServer final : private drive::ListenerHandler {
 public:
  // May be called later, once, on the loop; of a connection that is gone it does nothing.
  // It must not be called after the server is gone.
  using Answer = std::move_only_function<void(Instant now, HttpResponse response)>;
  using Handler = std::function<void(Instant now, HttpRequest request, Answer answer)>;

  HttpServer(net::KernelHost& host, Handler handler, HttpTimes times = {});
  ~HttpServer() override;
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // A Unix socket gets mode 0600.
  [[nodiscard]] Status listen(const drive::StreamAddress& address);
  [[nodiscard]] drive::StreamAddress local_address() const { return listener_->local_address(); }
  // To every event stream; `text` is whole lines of the event stream format.
  void publish(Instant now, std::string_view text);
  [[nodiscard]] std::size_t subscriber_count() const;
  // Subscribers that were too slow so far.
  [[nodiscard]] std::uint64_t dropped_subscribers() const { return dropped_subscribers_; }

 private:
  class Connection;

  void on_accept(Instant now, std::unique_ptr<drive::StreamPort> stream) override;
  void on_request(Instant now, Connection& connection, HttpRequest request);
  void retire(Connection& connection);
  void arm();
  void on_tick(Instant now);

  net::KernelHost& host_;
  Handler handler_;
  HttpTimes times_;
  std::unique_ptr<drive::ListenerPort> listener_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> ended_;  // until the next tick: may be calling us
  std::uint64_t next_id_ = 1;
  std::uint64_t dropped_subscribers_ = 0;
  std::unique_ptr<net::Timer> tick_;  // while there are connections
};

}  // namespace culvert::control
