// Serves HTTP/1.1 on a listening socket of a host: keep-alive, one request of a connection at
// a time, event streams. Everything is bounded (ServerConfig): headers, bodies, connections, how
// long a request and its answer take, and what a slow subscriber has not taken. Who dawdles never
// keeps others out: at the limit the one that has waited longest for a request, or for its answer
// to be taken, gives its place to the next. A connection that has changed to another protocol
// (Response::take_stream) is no longer the server's, nor counted by it.
//
// On the thread of its host, which outlives it; owned by whoever answers.
#pragma once

#include "http/message.h"
#include "http/parser.h"
#include "http/tls_stream.h"
#include "ports/ports.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

namespace culvert::http {

struct ServerTimes {
  Duration idle;                            // between requests; a stream that takes nothing
  Duration request;                         // from its first byte to its last
  Duration answer;                          // likewise
  Duration heartbeat;                       // a comment on a silent event stream
  Duration tick = std::chrono::seconds(1);  // how often these are looked at
};

// What the server itself refuses with, where no handler is asked.
using ErrorPage = std::function<Response(int status, std::string_view what,
                                         std::string_view offender, std::string_view fix)>;

struct ServerConfig {
  ServerTimes times;
  MessageBounds request;
  std::size_t max_connections;
  std::size_t max_subscribers;
  std::size_t event_bytes;     // that one subscriber has not taken; then it is told, and dropped
  std::string too_slow_event;  // what it is told
  std::string request_advice;  // how a request is to be, for one that is not
  ErrorPage error_page;
  std::shared_ptr<const TlsCredentials> tls{};  // null: nothing is encrypted
};

class Server final : private ListenerHandler {
 public:
  // May be called later, once, on the loop; of a connection that is gone it does nothing.
  // It must not be called after the server is gone.
  using Answer = std::move_only_function<void(Instant now, Response response)>;
  using Handler = std::function<void(Instant now, Request request, Answer answer)>;

  Server(Host& host, ServerConfig config, Handler handler);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // May be called for several addresses.
  [[nodiscard]] Status listen(const StreamAddress& address);
  // For connections that come from now on: the certificate was renewed. Only of a server that has
  // had one from the start.
  void set_tls(std::shared_ptr<const TlsCredentials> tls) { tls_ = std::move(tls); }
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
  void on_request(Instant now, Connection& connection, Request request);
  void retire(Connection& connection);
  // Makes room when there are too many; `newest` stays.
  void make_room(std::uint64_t newest);
  void arm();
  void on_tick(Instant now);

  Host& host_;
  const ServerConfig config_;
  std::shared_ptr<const TlsCredentials> tls_;
  Handler handler_;
  std::vector<std::unique_ptr<ListenerPort>> listeners_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> ended_;  // until the next tick: may be calling us
  std::uint64_t next_id_ = 1;
  std::uint64_t dropped_subscribers_ = 0;
  std::uint64_t dropped_connections_ = 0;
  std::unique_ptr<TimerPort> tick_;  // while there are connections
};

}  // namespace culvert::http
