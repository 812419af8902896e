// Serves HTTP/1.1 on a listening socket of a host: keep-alive, one request of a connection at
// a time, event streams. Everything is bounded (limits::kControl*): headers, bodies,
// connections, how long a request and its answer take, and what a slow subscriber has not
// taken. Who dawdles never keeps others out: at the limit the one that has waited longest for
// a request, or for its answer to be taken, gives its place to the next.
//
// Lives on the host's loop; owned by ControlServer. The host outlives it.
#pragma once

#include "base/limits.h"
#include "control/http.h"
#include "net/kernel_host.h"
#include "ports/ports.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

namespace culvert::control {

struct HttpTimes {
  Duration idle = limits::kControlIdle;            // between requests; a stream that takes nothing
  Duration request = limits::kControlRequest;      // from its first byte to its last
  Duration answer = limits::kControlAnswer;        // likewise
  Duration heartbeat = limits::kControlHeartbeat;  // a comment on a silent event stream
  Duration tick = std::chrono::seconds(1);         // how often these are looked at
};

class HttpServer final : private ListenerHandler {
 public:
  // May be called later, once, on the loop; of a connection that is gone it does nothing.
  // It must not be called after the server is gone.
  using Answer = std::move_only_function<void(Instant now, HttpResponse response)>;
  using Handler = std::function<void(Instant now, HttpRequest request, Answer answer)>;

  HttpServer(net::KernelHost& host, Handler handler, HttpTimes times = {});
  ~HttpServer() override;
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // A Unix socket gets mode 0600. May be called for several addresses.
  [[nodiscard]] Status listen(const StreamAddress& address);
  // Of the first.
  [[nodiscard]] StreamAddress local_address() const { return listeners_.front()->local_address(); }
  // To every event stream; `text` is whole lines of the event stream format.
  void publish(Instant now, std::string_view text);
  [[nodiscard]] std::size_t subscriber_count() const;
  // Subscribers that were too slow so far.
  [[nodiscard]] std::uint64_t dropped_subscribers() const { return dropped_subscribers_; }
  // Connections that were too slow, or gave way to others, so far.
  [[nodiscard]] std::uint64_t dropped_connections() const { return dropped_connections_; }

 private:
  class Connection;

  void on_accept(Instant now, std::unique_ptr<StreamPort> stream) override;
  void on_request(Instant now, Connection& connection, HttpRequest request);
  void retire(Connection& connection);
  // Makes room when there are too many; `newest` stays.
  void make_room(std::uint64_t newest);
  void arm();
  void on_tick(Instant now);

  net::KernelHost& host_;
  Handler handler_;
  HttpTimes times_;
  std::vector<std::unique_ptr<ListenerPort>> listeners_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> ended_;  // until the next tick: may be calling us
  std::uint64_t next_id_ = 1;
  std::uint64_t dropped_subscribers_ = 0;
  std::uint64_t dropped_connections_ = 0;
  std::unique_ptr<TimerPort> tick_;  // while there are connections
};

}  // namespace culvert::control
