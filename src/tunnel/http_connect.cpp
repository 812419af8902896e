#include "tunnel/http_connect.h"

#include "base/limits.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::tunnel {
namespace {

constexpr std::string_view kMethod = "CONNECT ";
constexpr std::string_view kBadRequest = "400 Bad Request";

Bytes response(std::string_view status) {
  const std::string text =
      fmt::format("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

// The authority of "CONNECT host:port HTTP/1.1"; names as those of SOCKS.
std::optional<HostPort> destination_of(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t end = line.rfind(' ');
  if (end < kMethod.size() || !line.substr(end + 1).starts_with("HTTP/1.")) return std::nullopt;
  auto destination = HostPort::parse(line.substr(kMethod.size(), end - kMethod.size()));
  if (!destination) return std::nullopt;
  if (!destination->literal() && !is_plain_name(destination->host)) return std::nullopt;
  return std::move(*destination);
}

}  // namespace

std::size_t HttpConnectServer::handle_data(ByteView bytes) {
  for (std::size_t used = 0; used < bytes.size() && !is_done_;) {
    head_.push_back(static_cast<char>(bytes[used++]));
    if (head_.ends_with("\r\n\r\n") || head_.ends_with("\n\n")) {
      read_head();
    } else if (head_.size() >= limits::kProxyHeadBytes) {
      refuse("431 Request Header Fields Too Large", "its HTTP request is too long");
    }
    if (is_done_) return used;
  }
  return is_done_ ? 0 : bytes.size();
}

void HttpConnectServer::read_head() {
  const std::string_view line = std::string_view(head_).substr(0, head_.find('\n'));
  if (!line.starts_with(kMethod)) {
    refuse("405 Method Not Allowed",
           "it speaks HTTP without CONNECT, as to a web proxy; set it to SOCKS5");
    return;
  }
  auto destination = destination_of(line);
  if (!destination) {
    refuse(kBadRequest, "its HTTP CONNECT names no host:port");
    return;
  }
  is_done_ = true;
  event_ = SocksConnect{std::move(*destination)};
}

void HttpConnectServer::refuse(std::string_view status, std::string_view why) {
  is_done_ = true;
  output_ = response(status);
  event_ = SocksRefused{why};
}

std::optional<SocksEvent> HttpConnectServer::poll_event() {
  return std::exchange(event_, std::nullopt);
}

Bytes HttpConnectServer::take_output() {
  return std::exchange(output_, {});
}

Bytes HttpConnectServer::reply(SocksReply code) {
  switch (code) {
    case SocksReply::succeeded: {
      // No length: what follows is the tunnel (RFC 9110 9.3.6).
      const ByteView text = as_bytes("HTTP/1.1 200 Connection established\r\n\r\n");
      return {text.begin(), text.end()};
    }
    case SocksReply::not_allowed:
      return response("403 Forbidden");
    case SocksReply::ttl_expired:
      return response("504 Gateway Timeout");
    case SocksReply::general_failure:
      return response("503 Service Unavailable");
    default:
      return response("502 Bad Gateway");
  }
}

}  // namespace culvert::tunnel
