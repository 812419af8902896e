// HTTP/1.1 (RFC 9112) as values: requests out of bytes, responses into bytes. The parser is
// Boost.Beast's, which only http.cpp includes.
#pragma once

#include "base/bytes.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::control {

struct HttpRequest {
  std::string method{};
  std::string path{};  // still percent-encoded, without the query
  std::string body{};
  bool keeps_alive = true;
  std::optional<std::string> host{};  // as sent: NAME, NAME:PORT
};

struct HttpResponse {
  int status = 200;
  std::string body{};
  std::string content_type = "application/json";
  std::string allow{};           // of 405: the methods there are
  bool is_event_stream = false;  // no body: events follow until somebody closes
};

// One request after the other out of a byte stream. Bounded by limits::kControlHeaderBytes
// and kControlBodyBytes. After an error the stream cannot go on.
class HttpParser {
 public:
  HttpParser();
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  void add(ByteView bytes);
  // The next whole request; nothing: more bytes are needed, or error() is set.
  [[nodiscard]] std::optional<HttpRequest> next();
  struct Failure {
    int status;  // 400, 413, 431
    std::string what;
  };
  [[nodiscard]] const std::optional<Failure>& error() const { return error_; }
  // A part of a request has come, and not yet the rest.
  [[nodiscard]] bool is_within_request() const;

 private:
  struct Beast;
  std::string buffer_;
  std::unique_ptr<Beast> beast_;
  std::optional<Failure> error_;
};

// The head, and the body if it is no event stream. `keeps_alive`: whether more may follow.
[[nodiscard]] std::string to_wire(const HttpResponse& response, bool keeps_alive);

// Whether a Host field means us: an address, localhost, or one of `names`. A page that a browser
// got from elsewhere can have its name lead to our address (DNS rebinding), but must send it.
[[nodiscard]] bool is_own_host(std::string_view host, std::span<const std::string> names);

// "/v1/tunnels/a%2Fb" as {"v1", "tunnels", "a/b"}. Nothing when an escape is malformed, a
// segment is empty or holds a zero byte.
[[nodiscard]] std::optional<std::vector<std::string>> path_segments(std::string_view path);
// The other way, for one segment.
[[nodiscard]] std::string percent_encoded(std::string_view segment);

}  // namespace culvert::control
