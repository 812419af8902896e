// The client's end of one connection over which requests of HTTP/1.1 go one after the other. The
// stream underneath may be any: TCP, TLS, a stream in simulation.
//
// On the thread of its host, which outlives it; owned by whoever asks. It does not connect again:
// who wants that makes another.
#pragma once

#include "base/alive.h"
#include "http/message.h"
#include "http/parser.h"
#include "ports/ports.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace culvert::http {

struct ClientConfig {
  std::string host{};  // for the field of this name: NAME or NAME:PORT; errors name it as well
  MessageBounds reply;
};

class Client final : private StreamHandler {
 public:
  // Once, never from inside call(). The client may be destroyed in it, and another call made.
  // Errors: unreachable (no connection, no reply in time), lost (the connection ended before the
  // reply did), protocol (no HTTP, or beyond the bounds), configuration (the call is no HTTP).
  using Done = std::move_only_function<void(Instant now, Result<Reply> reply)>;

  Client(Host& host, ClientConfig config) : host_(host), config_(std::move(config)) {}
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // One of these, once, before the first call.
  [[nodiscard]] Status connect(const StreamAddress& address);
  // Takes a stream on which on_stream_connected() is still to come.
  void attach(std::unique_ptr<StreamPort> connecting);

  // May be called while the stream still connects. `patience` is for all of it, connecting
  // included. One call at a time: while is_busy() it is our bug.
  void call(const Call& call, Duration patience, Done done);
  [[nodiscard]] bool is_busy() const { return done_ != nullptr; }
  // Another call may be made. False once the connection has ended, or either side said that it
  // does.
  [[nodiscard]] bool is_open() const { return port_ != nullptr; }

  struct Upgraded {
    std::unique_ptr<StreamPort> stream;  // calls our handler no more: set another at once
    std::string rest;                    // bytes of the other protocol that have come already
  };
  // After a reply with status 101, in `done` or later: the stream is the caller's.
  [[nodiscard]] std::optional<Upgraded> take_stream();

 private:
  void on_stream_connected(Instant now) override;
  void on_stream_failed(Instant now, const Error& error) override;
  void on_stream_readable(Instant now) override;
  void on_stream_writable(Instant now) override { flush(now); }

  void flush(Instant now);
  void read(Instant now);
  void take_reply(Instant now);
  void end(Instant now, ErrorKind kind, std::string what);
  void finish(Instant now, Result<Reply> reply);

  Host& host_;
  const ClientConfig config_;
  std::unique_ptr<StreamPort> port_;  // null: not yet, or no more
  std::unique_ptr<TimerPort> timer_;  // of the call under way
  std::unique_ptr<ReplyParser> parser_;
  Done done_;
  std::string output_;
  bool is_connected_ = false;
  bool has_upgraded_ = false;
  Alive alive_;
};

}  // namespace culvert::http
