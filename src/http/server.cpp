#include "http/server.h"

#include "base/assert.h"

#include <array>
#include <utility>

namespace culvert::http {
// Reads only while it waits for a request, so that what a client sends ahead waits in the
// kernel; an event stream only to see its end.
class Server::Connection final : public StreamHandler {
 public:
  Connection(Server& server, std::uint64_t its_id, std::unique_ptr<StreamPort> port, Instant now)
      : id(its_id),
        server_(server),
        waits_since_(now),
        deadline_(now + server.config_.times.idle),
        moved_at_(now),
        spoke_at_(now) {
    if (server.tls_) {
      port_ = TlsStream::accept(server.host_, std::move(port), server.tls_,
                                server.config_.times.request, *this);
      return;
    }
    port_ = std::move(port);
    port_->set_handler(*this);
    port_->want_readable();
  }

  void on_stream_connected(Instant) override { port_->want_readable(); }
  void on_stream_failed(Instant, const Error&) override { close(); }
  void on_stream_readable(Instant now) override;
  void on_stream_writable(Instant now) override { flush(now); }

  void answer(Instant now, Response response);
  // False: it has more than it can take, and has been told.
  bool publish(Instant now, std::string_view text);
  void on_tick(Instant now);
  [[nodiscard]] bool is_subscriber() const { return state_ == State::streaming; }
  // It is its client's turn: to ask, or to take an answer.
  [[nodiscard]] bool is_waiting() const {
    return state_ != State::answering && state_ != State::streaming;
  }
  [[nodiscard]] Instant waits_since() const { return waits_since_; }
  void close();

  const std::uint64_t id;

 private:
  // ending: closes when the last answer has left. draining: it has; reads what is left of a
  // request that was refused, because closing before that would take the answer from it.
  // upgrading: somebody else has the stream once the answer has left.
  enum class State : std::uint8_t { reading, answering, streaming, ending, draining, upgrading };

  [[nodiscard]] bool may_read() const {
    return state_ == State::streaming || state_ == State::draining ||
           (state_ == State::reading && output_.empty());
  }
  void take_requests(Instant now);
  void send(Instant now, std::string_view text);
  void flush(Instant now);
  void fail(Instant now, int status, std::string_view what, std::string_view fix);
  void hand_over(Instant now);

  Server& server_;
  std::unique_ptr<StreamPort> port_;  // null: closed, waits to be deleted
  RequestParser parser_{server_.config_.request};
  std::string output_;
  State state_ = State::reading;
  TakeStream take_stream_;
  bool keeps_alive_ = true;
  bool is_taking_ = false;
  bool is_within_request_ = false;
  Instant waits_since_;  // it was accepted, or its last answer began
  Instant deadline_;     // of the request or the answer; kNever while it waits for us
  Instant moved_at_;     // an event stream: a byte left
  Instant spoke_at_;     // an event stream: something was queued
};

void Server::Connection::on_stream_readable(Instant now) {
  std::array<std::uint8_t, kReadBytes> block;
  for (int i = 0; i < kMaxReads && port_ && may_read(); ++i) {
    const std::array into{ByteSpan(block)};
    const IoResult result = port_->try_read(into);
    if (result.bytes > 0) {
      // Nothing is expected of these but that they leave.
      if (state_ != State::reading) continue;
      parser_.add(ByteView(block).first(result.bytes));
      take_requests(now);
      continue;
    }
    if (result.status == IoStatus::ok) continue;
    if (result.status == IoStatus::would_block) break;
    return close();
  }
  if (port_ && may_read()) port_->want_readable();
}

// Requests that came together are answered in turn; none is begun while the answer to the
// one before waits to be taken.
void Server::Connection::take_requests(Instant now) {
  if (is_taking_) return;
  is_taking_ = true;
  while (port_ && state_ == State::reading && output_.empty()) {
    if (auto request = parser_.next()) {
      state_ = State::answering;
      keeps_alive_ = request->keeps_alive;
      is_within_request_ = false;
      deadline_ = kNever;
      server_.on_request(now, *this, std::move(*request));
    } else if (parser_.error()) {
      fail(now, parser_.error()->status, parser_.error()->what, server_.config_.request_advice);
    } else {
      // Its time begins with its first byte, and no later one lengthens it.
      if (parser_.is_within_request() && !std::exchange(is_within_request_, true)) {
        deadline_ = now + server_.config_.times.request;
      }
      break;
    }
  }
  is_taking_ = false;
}

void Server::Connection::answer(Instant now, Response response) {
  if (!port_ || state_ != State::answering) return;
  CULVERT_ASSERT((response.status == 101) == (response.take_stream != nullptr));
  if (response.is_event_stream && server_.subscriber_count() >= server_.config_.max_subscribers) {
    answer(now, server_.config_.error_page(503, "there are as many event streams as may be",
                                           "event streams", "close one of them"));
    return;
  }
  spoke_at_ = moved_at_ = waits_since_ = now;
  deadline_ = now + server_.config_.times.answer;
  if (response.take_stream) {
    take_stream_ = std::move(response.take_stream);
    state_ = State::upgrading;
  } else if (response.is_event_stream) {
    state_ = State::streaming;
  } else {
    state_ = keeps_alive_ ? State::reading : State::ending;
  }
  send(now, to_wire(response, keeps_alive_));
}

bool Server::Connection::publish(Instant now, std::string_view text) {
  if (output_.size() + text.size() <= server_.config_.event_bytes) {
    spoke_at_ = now;
    send(now, text);
    return true;
  }
  state_ = State::ending;
  send(now, server_.config_.too_slow_event);
  return false;
}

void Server::Connection::fail(Instant now, int status, std::string_view what,
                              std::string_view fix) {
  state_ = State::answering;
  keeps_alive_ = false;
  answer(now, server_.config_.error_page(status, what, "request", fix));
}

void Server::Connection::send(Instant now, std::string_view text) {
  const bool was_idle = output_.empty();
  output_ += text;
  if (was_idle) flush(now);
}

void Server::Connection::flush(Instant now) {
  while (port_ && !output_.empty()) {
    const std::array from{as_bytes(output_)};
    const IoResult result = port_->try_write(from);
    if (result.bytes > 0) {
      moved_at_ = now;
      output_.erase(0, result.bytes);
      continue;
    }
    if (result.status == IoStatus::would_block) return port_->want_writable();
    return close();
  }
  if (port_ && state_ == State::upgrading) return hand_over(now);
  if (port_ && state_ == State::ending) {
    if (!parser_.error()) return close();
    state_ = State::draining;
    port_->shutdown_write();
  }
  if (port_ && state_ == State::reading && !is_within_request_) {
    deadline_ = now + server_.config_.times.idle;
  }
  take_requests(now);
  if (port_ && may_read()) port_->want_readable();
}

void Server::Connection::hand_over(Instant now) {
  TakeStream take = std::move(take_stream_);
  std::unique_ptr<StreamPort> stream = std::move(port_);
  server_.retire(*this);
  take(now, std::move(stream), parser_.take_rest());
}

void Server::Connection::on_tick(Instant now) {
  if (state_ == State::streaming) {
    if (!output_.empty()) {
      if (now - moved_at_ >= server_.config_.times.idle) close();
    } else if (now - spoke_at_ >= server_.config_.times.heartbeat) {
      publish(now, ":\n\n");  // a comment, so that both ends notice when the other is gone
    }
    return;
  }
  if (now < deadline_) return;
  ++server_.dropped_connections_;
  if (is_within_request_ && output_.empty() && state_ == State::reading) {
    is_within_request_ = false;
    fail(now, 408, "the request took too long", "send all of it at once");
  } else {
    close();
  }
}

void Server::Connection::close() {
  if (!port_) return;
  port_.reset();
  server_.retire(*this);
}

// --- the server --------------------------------------------------------------------------------

Server::Server(Host& host, ServerConfig config, Handler handler)
    : host_(host), config_(std::move(config)), tls_(config_.tls), handler_(std::move(handler)) {}
Server::~Server() = default;

Status Server::listen(const StreamAddress& address) {
  CULVERT_TRY(auto listener, host_.listen_stream(address, Purpose::process, *this));
  listeners_.push_back(std::move(listener));
  return {};
}

void Server::on_accept(Instant now, std::unique_ptr<StreamPort> stream) {
  ended_.clear();  // none of them is calling us: a flood does not pile them up
  const std::uint64_t id = next_id_++;
  connections_.emplace(id, std::make_unique<Connection>(*this, id, std::move(stream), now));
  make_room(id);
  arm();
}

void Server::make_room(std::uint64_t newest) {
  if (connections_.size() <= config_.max_connections) return;
  Connection* idlest = nullptr;
  for (const auto& [id, connection] : connections_) {
    if (id == newest || !connection->is_waiting()) continue;
    if (idlest == nullptr || connection->waits_since() < idlest->waits_since()) {
      idlest = connection.get();
    }
  }
  if (idlest == nullptr) {  // all are being answered: until one is
    for (const auto& listener : listeners_) listener->pause();
    return;
  }
  ++dropped_connections_;
  idlest->close();
}

void Server::on_request(Instant now, Connection& connection, Request request) {
  handler_(now, std::move(request), [this, id = connection.id](Instant at, Response response) {
    const auto found = connections_.find(id);
    if (found != connections_.end()) found->second->answer(at, std::move(response));
  });
}

void Server::publish(Instant now, std::string_view text) {
  for (auto next = connections_.begin(); next != connections_.end();) {
    Connection& connection = *next->second;
    ++next;  // it may be retired
    if (connection.is_subscriber() && !connection.publish(now, text)) ++dropped_subscribers_;
  }
}

std::size_t Server::subscriber_count() const {
  std::size_t count = 0;
  for (const auto& [id, connection] : connections_) count += connection->is_subscriber() ? 1 : 0;
  return count;
}

void Server::retire(Connection& connection) {
  const auto found = connections_.find(connection.id);
  ended_.push_back(std::move(found->second));
  connections_.erase(found);
  for (const auto& listener : listeners_) listener->resume();
  arm();
}

void Server::arm() {
  if (!tick_) tick_ = host_.after(config_.times.tick, [this](Instant now) { on_tick(now); });
}

void Server::on_tick(Instant now) {
  ended_.clear();
  for (auto next = connections_.begin(); next != connections_.end();) {
    Connection& connection = *next->second;
    ++next;
    connection.on_tick(now);
  }
  if (!connections_.empty()) make_room(connections_.rbegin()->first);
  tick_.reset();
  if (!connections_.empty() || !ended_.empty()) arm();
}

}  // namespace culvert::http
