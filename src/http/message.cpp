#include "http/message.h"

#include "base/address.h"
#include "base/assert.h"
#include "ports/ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::http {
namespace {

// RFC 9110 15, and 408 to 431 of RFC 6585: those that somebody here sends.
std::string_view reason_of(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Payload Too Large";
    case 421:
      return "Misdirected Request";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "";
  }
}

// RFC 9110 5.6.2: what names of methods and fields consist of.
bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool is_visible(char c) {
  return c > ' ' && c < '\x7f';
}

bool is_field_value(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return is_visible(c) || c == ' ' || c == '\t' || static_cast<unsigned char>(c) >= 0x80;
  });
}

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

std::optional<std::string_view> find(std::span<const Header> headers, std::string_view name) {
  const auto found = std::ranges::find_if(headers, [name](const Header& header) {
    return std::ranges::equal(header.name, name, {}, to_lower, to_lower);
  });
  if (found == headers.end()) return std::nullopt;
  return found->value;
}

std::string to_wire(const Response& response, bool keeps_alive) {
  const bool is_upgrade = response.status == 101;
  const bool has_body = !response.is_event_stream && response.status != 204 && !is_upgrade;
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_of(response.status));
  if (!is_upgrade) {
    text += fmt::format("Content-Type: {}\r\nCache-Control: no-store\r\n", response.content_type);
  }
  if (!response.allow.empty()) text += fmt::format("Allow: {}\r\n", response.allow);
  for (const Header& header : response.headers) {
    CULVERT_ASSERT(is_token(header.name) && is_field_value(header.value));
    text += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  if ((!keeps_alive || response.is_event_stream) && !is_upgrade) text += "Connection: close\r\n";
  if (has_body) text += fmt::format("Content-Length: {}\r\n", response.body.size());
  text += "\r\n";
  if (has_body) text += response.body;
  return text;
}

std::optional<std::string> to_wire(const Call& call, std::string_view host, bool keeps_alive) {
  if (!is_token(call.method) || call.target.empty() || host.empty() ||
      !std::ranges::all_of(call.target, is_visible) || !std::ranges::all_of(host, is_visible)) {
    return std::nullopt;
  }
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", call.method, call.target, host);
  for (const Header& header : call.headers) {
    if (!is_token(header.name) || !is_field_value(header.value)) return std::nullopt;
    text += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  if (!keeps_alive) text += "Connection: close\r\n";
  // Of GET, HEAD and DELETE a length of nothing says no more than none.
  if (!call.body.empty() || call.method == "POST" || call.method == "PUT") {
    text += fmt::format("Content-Length: {}\r\n", call.body.size());
  }
  return text + "\r\n" + call.body;
}

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

}  // namespace culvert::http
