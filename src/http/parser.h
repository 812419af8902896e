// Messages of HTTP/1.1 out of a byte stream. The parser underneath is Boost.Beast's, which only
// parser.cpp includes.
#pragma once

#include "base/bytes.h"
#include "http/message.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace culvert::http {

// What a message may have; beyond it is an error.
struct MessageBounds {
  std::size_t head_bytes;
  std::size_t body_bytes;
};

// How a connection is read: so many bytes at a time, and so often in a turn of the loop that nobody
// holds it up.
inline constexpr std::size_t kReadBytes = 16'384;
inline constexpr int kMaxReads = 16;

struct ParseFailure {
  int status;  // that a server answers with: 400, 413, 431
  std::string what;
};

// One request after the other. After an error the stream cannot go on.
class RequestParser {
 public:
  explicit RequestParser(const MessageBounds& bounds);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  void add(ByteView bytes);
  // The next whole request; nothing: more bytes are needed, or error() is set.
  [[nodiscard]] std::optional<Request> next();
  [[nodiscard]] const std::optional<ParseFailure>& error() const { return error_; }
  // A part of a request has come, and not yet the rest.
  [[nodiscard]] bool is_within_request() const;
  // What came behind the last request: bytes of the protocol that it asked to change to.
  [[nodiscard]] std::string take_rest() { return std::move(buffer_); }

 private:
  struct Beast;
  MessageBounds bounds_;
  std::string buffer_;
  std::unique_ptr<Beast> beast_;
  std::optional<ParseFailure> error_;
};

// The reply to one request. Interim ones (1xx) are passed over, but for 101.
class ReplyParser {
 public:
  // `has_no_body`: of HEAD, whose reply says a length and has none.
  ReplyParser(const MessageBounds& bounds, bool has_no_body);
  ~ReplyParser();
  ReplyParser(const ReplyParser&) = delete;
  ReplyParser& operator=(const ReplyParser&) = delete;

  void add(ByteView bytes);
  // The peer's bytes have ended: so has a body of which no length was told.
  void add_end();
  [[nodiscard]] std::optional<Reply> next();
  [[nodiscard]] const std::optional<std::string>& error() const { return error_; }
  // A byte of it has come.
  [[nodiscard]] bool has_begun() const { return has_begun_; }
  // What came behind the reply: after 101, bytes of the other protocol.
  [[nodiscard]] std::string take_rest() { return std::move(buffer_); }

 private:
  struct Beast;
  void restart();

  MessageBounds bounds_;
  bool has_no_body_;
  bool has_begun_ = false;
  bool has_ended_ = false;
  std::string buffer_;
  std::unique_ptr<Beast> beast_;
  std::optional<std::string> error_;
};

}  // namespace culvert::http
