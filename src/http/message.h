// HTTP/1.1 (RFC 9112) as values: what goes over a connection in either direction, and the small
// forms of paths and names in it.
#pragma once

#include "base/time.h"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert {
class StreamPort;
}

namespace culvert::http {

struct Header {
  std::string name;
  std::string value;
};

// The value of the first with this name, in any case; nothing when there is none.
[[nodiscard]] std::optional<std::string_view> find(std::span<const Header> headers,
                                                   std::string_view name);

// As a server gets it.
struct Request {
  std::string method{};
  std::string path{};   // still percent-encoded, without the query
  std::string query{};  // what follows the question mark
  std::vector<Header> headers{};
  std::string body{};
  bool keeps_alive = true;
  std::optional<std::string> host{};  // as sent: NAME, NAME:PORT
};

// The connection changes to another protocol: its stream, which calls our handler no more (set
// another at once), and bytes of that protocol that have come already.
using TakeStream = std::move_only_function<void(Instant now, std::unique_ptr<StreamPort> stream,
                                                std::string rest)>;

// As a server gives it.
struct Response {
  int status = 200;
  std::string body{};
  std::string content_type = "application/json";
  std::string allow{};            // of 405: the methods there are
  bool is_event_stream = false;   // no body: events follow until somebody closes
  std::vector<Header> headers{};  // more; their values are not a stranger's
  TakeStream take_stream{};       // of 101, and of nothing else: called when it has left
};
// The head, and the body if it is no event stream. `keeps_alive`: whether more may follow.
[[nodiscard]] std::string to_wire(const Response& response, bool keeps_alive);

// As a client gives it.
struct Call {
  std::string method = "GET";
  std::string target = "/";  // percent-encoded, with the query
  std::vector<Header> headers{};
  std::string body{};
};
// Everything but Host, Content-Length and Connection is the caller's. An error where a line would
// not be what it says (a line break in a value, a blank in the target).
[[nodiscard]] std::optional<std::string> to_wire(const Call& call, std::string_view host,
                                                 bool keeps_alive);

// As a client gets it.
struct Reply {
  int status = 0;
  std::vector<Header> headers{};
  std::string body{};
  bool keeps_alive = true;
};

// Whether a Host field means us: an address, localhost, or one of `names`. A page that a browser
// got from elsewhere can have its name lead to our address (DNS rebinding), but must send it.
[[nodiscard]] bool is_own_host(std::string_view host, std::span<const std::string> names);

// "/v1/tunnels/a%2Fb" as {"v1", "tunnels", "a/b"}. Nothing when an escape is malformed, a
// segment is empty or holds a zero byte.
[[nodiscard]] std::optional<std::vector<std::string>> path_segments(std::string_view path);
// The other way, for one segment.
[[nodiscard]] std::string percent_encoded(std::string_view segment);

}  // namespace culvert::http
