#include "control/http.h"

#include "base/address.h"
#include "base/limits.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace culvert::control {

namespace http = boost::beast::http;

struct HttpParser::Beast {
  Beast() {
    parser.header_limit(limits::kControlHeaderBytes);
    parser.body_limit(limits::kControlBodyBytes);
    parser.eager(true);
  }
  http::request_parser<http::string_body> parser;
};

HttpParser::HttpParser() : beast_(std::make_unique<Beast>()) {}
HttpParser::~HttpParser() = default;

void HttpParser::add(ByteView bytes) {
  if (!error_) buffer_.append(as_text(bytes));
}

std::optional<HttpRequest> HttpParser::next() {
  if (error_ || buffer_.empty()) return std::nullopt;
  auto& parser = beast_->parser;
  boost::system::error_code failed;
  const std::size_t used =
      parser.put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), failed);
  buffer_.erase(0, used);
  if (failed == http::error::need_more) return std::nullopt;
  if (failed) {
    const int status = failed == http::error::header_limit || failed == http::error::buffer_overflow
                           ? 431
                       : failed == http::error::body_limit ? 413
                                                           : 400;
    error_ = Failure{status, failed.message()};
    return std::nullopt;
  }
  if (!parser.is_done()) return std::nullopt;
  const auto hosts = parser.get().equal_range(http::field::host);
  if (std::distance(hosts.first, hosts.second) > 1) {  // RFC 9112 3.2
    error_ = Failure{400, "more than one Host"};
    return std::nullopt;
  }
  auto message = parser.release();
  const std::string_view target(message.target().data(), message.target().size());
  const std::string_view method(message.method_string().data(), message.method_string().size());
  HttpRequest request{.method = std::string(method),
                      .path = std::string(target.substr(0, target.find('?'))),
                      .body = std::move(message.body()),
                      .keeps_alive = message.keep_alive()};
  if (const auto found = message.find(http::field::host); found != message.end()) {
    request.host.emplace(found->value().data(), found->value().size());
  }
  beast_ = std::make_unique<Beast>();
  return request;
}

bool HttpParser::is_within_request() const {
  return !error_ && (!buffer_.empty() || beast_->parser.got_some());
}

std::string to_wire(const HttpResponse& response, bool keeps_alive) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
  std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nCache-Control: no-store\r\n", response.status,
      std::string_view(reason.data(), reason.size()), response.content_type);
  if (!response.allow.empty()) text += fmt::format("Allow: {}\r\n", response.allow);
  if (!keeps_alive || response.is_event_stream) text += "Connection: close\r\n";
  if (!response.is_event_stream && response.status != 204) {
    text += fmt::format("Content-Length: {}\r\n", response.body.size());
  }
  text += "\r\n";
  if (!response.is_event_stream && response.status != 204) text += response.body;
  return text;
}

namespace {

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    decoded += c;
  }
  return decoded;
}

}  // namespace

bool is_own_host(std::string_view host, std::span<const std::string> names) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view rest = host.substr(end + 1);
    return (rest.empty() || rest.starts_with(':')) &&
           IpAddress::parse(host.substr(1, end - 1)).has_value();
  }
  std::string name(host.substr(0, host.find(':')));
  if (name.ends_with('.')) name.pop_back();
  const auto is_called = [&name](std::string_view other) {
    return std::ranges::equal(name, other, {}, to_lower, to_lower);
  };
  return IpAddress::parse(name).has_value() || is_called("localhost") ||
         std::ranges::any_of(names, is_called);
}

std::optional<std::vector<std::string>> path_segments(std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  std::vector<std::string> segments;
  path.remove_prefix(1);
  for (;;) {
    const std::size_t end = path.find('/');
    auto segment = percent_decoded(path.substr(0, end));
    if (!segment || segment->empty()) return std::nullopt;
    segments.push_back(std::move(*segment));
    if (end == std::string_view::npos) return segments;
    path.remove_prefix(end + 1);
  }
}

std::string percent_encoded(std::string_view segment) {
  std::string text;
  for (const char c : segment) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                          (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
    text += is_plain ? std::string(1, c)
                     : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return text;
}

}  // namespace culvert::control
