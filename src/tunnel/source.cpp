#include "tunnel/source.h"

#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::tunnel {
namespace {

constexpr std::size_t kMaxHostBytes = 255;  // RFC 1035 2.3.4
constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kMaxUnixPathBytes = 107;  // sockaddr_un less its NUL

std::string shown(std::string_view text) {
  return printable(text.substr(0, 300));
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// Letters, digits, '-' and '_' (which real names use), labels of 1..63 bytes, one optional
// dot at the end.
bool is_host_name(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host.size() > kMaxHostBytes) return false;
  std::size_t label = 0;
  for (const char c : host) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
    } else if (!is_host_character(c) || ++label > kMaxLabelBytes) {
      return false;
    }
  }
  return label > 0;
}

Status check_path(std::string_view path, const std::string& offender) {
  if (!path.starts_with('/') || path.size() < 2) {
    return fail(ErrorKind::configuration, "a socket path must be absolute (unix:///run/x.sock)",
                offender);
  }
  if (path.size() > kMaxUnixPathBytes || path.find('\0') != std::string_view::npos) {
    return fail(ErrorKind::configuration,
                fmt::format("a socket path has at most {} bytes", kMaxUnixPathBytes), offender);
  }
  return {};
}

}  // namespace

Result<Source> Source::parse(std::string_view text) {
  const std::string offender = shown(text);
  Source source;
  if (text.starts_with("unix://")) {
    source.protocol = Protocol::unix_stream;
    source.path = text.substr(7);
    if (auto checked = check_path(source.path, offender); !checked) return forward(checked);
    return source;
  }
  if (text.starts_with("udp://")) {
    source.protocol = Protocol::udp;
  } else if (!text.starts_with("tcp://")) {
    return fail(ErrorKind::configuration,
                "a source begins with tcp://, udp:// or unix:// (tcp://127.0.0.1:22)", offender);
  }
  std::string_view rest = text.substr(6);
  if (rest.ends_with('/')) rest.remove_suffix(1);  // as URLs are often written
  auto host_port = HostPort::parse(rest);
  if (!host_port) {
    return fail(ErrorKind::configuration, host_port.error().what, offender);
  }
  source.host_port = std::move(*host_port);
  if (source.host_port.port == 0) {
    return fail(ErrorKind::configuration, "the port of a source must be from 1 to 65535", offender);
  }
  if (!source.host_port.literal() && !is_host_name(source.host_port.host)) {
    return fail(ErrorKind::configuration, "not a host name or IP address", offender);
  }
  return source;
}

std::string Source::text() const {
  switch (protocol) {
    case Protocol::tcp:
      return "tcp://" + host_port.text();
    case Protocol::udp:
      return "udp://" + host_port.text();
    case Protocol::unix_stream:
      break;
  }
  return "unix://" + path;
}

Result<Target> Target::parse(std::string_view text) {
  const std::string offender = shown(text);
  Target target;
  if (text.starts_with("unix:")) {
    target.kind = Kind::unix_path;
    std::string_view path = text.substr(5);
    if (path.starts_with("//")) path.remove_prefix(2);
    target.path = path;
    if (auto checked = check_path(target.path, offender); !checked) return forward(checked);
    return target;
  }
  std::string_view rest = text;
  if (rest.starts_with("tcp://") || rest.starts_with("udp://")) {
    target.protocol = rest.starts_with("tcp") ? Protocol::tcp : Protocol::udp;
    rest.remove_prefix(6);
  }
  auto host_port = HostPort::parse(rest);
  if (!host_port) return fail(ErrorKind::configuration, host_port.error().what, offender);
  target.address.port = host_port->port;
  if (host_port->host == "localhost") {
    target.kind = Kind::all_loopback;
    target.address.ip = IpAddress::loopback(Family::v4);
    return target;
  }
  if (host_port->host == "*") {
    target.address.ip = IpAddress::any(Family::v6);
    return target;
  }
  const auto literal = host_port->literal();
  if (!literal) {
    return fail(ErrorKind::configuration,
                "a target is an address of this machine: an IP address, localhost, * or unix:/path",
                offender);
  }
  target.address = *literal;
  return target;
}

std::string Target::text() const {
  switch (kind) {
    case Kind::address:
      return address.text();
    case Kind::all_loopback:
      return fmt::format("localhost:{}", address.port);
    case Kind::unix_path:
      break;
  }
  return "unix:" + path;
}

Result<TunnelSpec> TunnelSpec::make(std::string name, Source source, Target target) {
  const bool is_udp = source.protocol == Protocol::udp;
  if (is_udp && target.kind == Target::Kind::unix_path) {
    return fail(ErrorKind::configuration,
                "a UDP source cannot be offered on a Unix socket: give an address and port",
                target.text());
  }
  if (target.protocol && (*target.protocol == Protocol::udp) != is_udp) {
    return fail(ErrorKind::configuration,
                fmt::format("the target's protocol differs from the source {}", source.text()),
                target.text());
  }
  return TunnelSpec{
      .name = std::move(name), .source = std::move(source), .target = std::move(target)};
}

std::string TunnelSpec::label() const {
  return name.empty() ? fmt::format("{} -> {}", source.text(), target.text()) : name;
}

}  // namespace culvert::tunnel
