#include "tunnel/source.h"

#include "base/limits.h"
#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace culvert::tunnel {
namespace {

constexpr std::size_t kMaxHostBytes = 255;      // RFC 1035 2.3.4
constexpr std::size_t kMaxLabelBytes = 63;      // likewise
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

struct HostPorts {
  HostPort first;
  std::uint16_t count = 1;
};

// "host:port" or "host:first-last".
Result<HostPorts> parse_ports(std::string_view text, const std::string& offender) {
  const std::size_t colon = text.rfind(':');
  const std::size_t dash =
      colon == std::string_view::npos ? std::string_view::npos : text.find('-', colon);
  auto first = HostPort::parse(text.substr(0, dash));
  if (!first) return fail(ErrorKind::configuration, first.error().what, offender);
  if (dash == std::string_view::npos) return HostPorts{std::move(*first)};
  const std::string_view tail = text.substr(dash + 1);
  std::uint16_t last = 0;
  const auto [end, error] = std::from_chars(tail.data(), tail.data() + tail.size(), last);
  if (error != std::errc{} || end != tail.data() + tail.size() || tail.starts_with('0') ||
      first->port == 0 || last < first->port) {
    return fail(ErrorKind::configuration,
                "a range of ports is FIRST-LAST, from 1 to 65535 (8000-8009)", offender);
  }
  const std::size_t count = std::size_t{last} - first->port + 1;
  if (count > limits::kMaxTunnelPorts) {
    return fail(
        ErrorKind::configuration,
        fmt::format("{} ports are more than a range may have ({})", count, limits::kMaxTunnelPorts),
        offender);
  }
  return HostPorts{std::move(*first), static_cast<std::uint16_t>(count)};
}

// What text() writes behind the first port.
std::string range_end(std::uint16_t first, std::uint16_t count) {
  return count > 1 ? fmt::format("-{}", first + count - 1) : std::string();
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
  CULVERT_TRY(Source source, parse_range(text));
  if (source.port_count > 1) {
    return fail(ErrorKind::configuration, "one port is meant here, not a range", shown(text));
  }
  return source;
}

Result<Source> Source::parse_range(std::string_view text) {
  const std::string offender = shown(text);
  Source source;
  if (text.starts_with("unix:")) {  // unix:/path, as targets and allow lists are written, too
    source.protocol = Protocol::unix_stream;
    source.path = text.substr(text.starts_with("unix://") ? 7 : 5);
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
  CULVERT_TRY(HostPorts ports, parse_ports(rest, offender));
  source.host_port = std::move(ports.first);
  source.port_count = ports.count;
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
      return "tcp://" + host_port.text() + range_end(host_port.port, port_count);
    case Protocol::udp:
      return "udp://" + host_port.text() + range_end(host_port.port, port_count);
    case Protocol::unix_stream:
      break;
  }
  return "unix://" + path;
}

Source Source::at(std::uint16_t offset) const {
  Source one = *this;
  one.host_port.port = static_cast<std::uint16_t>(host_port.port + offset);
  one.port_count = 1;
  return one;
}

Result<Target> Target::parse(std::string_view text) {
  const std::string offender = shown(text);
  Target target;
  if (text.starts_with("unix:")) {
    target.kind = Kind::unix_path;
    std::string_view path = text.substr(5);
    if (path.starts_with("//")) path.remove_prefix(2);
    while (path.starts_with("//")) path.remove_prefix(1);  // the same, and text() reads back
    target.path = path;
    if (auto checked = check_path(target.path, offender); !checked) return forward(checked);
    return target;
  }
  std::string_view rest = text;
  if (rest.starts_with("tcp://") || rest.starts_with("udp://")) {
    target.protocol = rest.starts_with("tcp") ? Protocol::tcp : Protocol::udp;
    rest.remove_prefix(6);
  }
  // A port alone, as `ssh -L` has it, is nobody else's business.
  const bool is_bare = rest.find_first_not_of("0123456789-") == std::string_view::npos;
  const std::string with_host =
      fmt::format("{}{}", is_bare && !rest.empty() ? "localhost:" : "", rest);
  CULVERT_TRY(const HostPorts ports, parse_ports(with_host, offender));
  const HostPort& host_port = ports.first;
  target.address.port = host_port.port;
  target.port_count = ports.count;
  if (host_port.host == "localhost") {
    target.kind = Kind::all_loopback;
    target.address.ip = IpAddress::loopback(Family::v4);
    return target;
  }
  if (host_port.host == "*") {
    target.address.ip = IpAddress::any(Family::v6);
    return target;
  }
  const auto literal = host_port.literal();
  if (!literal) {
    return fail(ErrorKind::configuration,
                "must be an address of this machine: an IP address, localhost or * with a port, "
                "or unix:/path",
                offender);
  }
  target.address = *literal;
  return target;
}

std::string Target::text() const {
  switch (kind) {
    case Kind::address:
      return address.text() + range_end(address.port, port_count);
    case Kind::all_loopback:
      return fmt::format("localhost:{}", address.port) + range_end(address.port, port_count);
    case Kind::unix_path:
      break;
  }
  return "unix:" + path;
}

Result<Target> Target::parse_one_port(std::string_view text) {
  CULVERT_TRY(Target target, parse(text));
  if (target.kind == Kind::unix_path || target.port_count > 1 ||
      target.protocol.value_or(Protocol::tcp) != Protocol::tcp) {
    return fail(ErrorKind::configuration,
                "one address and port are meant here (127.0.0.1:1080, localhost:1080, *:1080)",
                shown(text));
  }
  target.protocol.reset();
  return target;
}

std::vector<SocketAddress> Target::addresses() const {
  switch (kind) {
    case Kind::unix_path:
      return {};
    case Kind::all_loopback:
      return {{IpAddress::loopback(Family::v4), address.port},
              {IpAddress::loopback(Family::v6), address.port}};
    case Kind::address:
      break;
  }
  if (address.ip != IpAddress::any(Family::v6)) return {address};
  return {address, {IpAddress::any(Family::v4), address.port}};
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
  if (source.port_count != target.port_count) {
    return fail(ErrorKind::configuration,
                fmt::format("the source {} and its target must have as many ports as each other: "
                            "{} and {}",
                            source.text(), source.port_count, target.port_count),
                target.text());
  }
  return TunnelSpec{
      .name = std::move(name), .source = std::move(source), .target = std::move(target)};
}

std::string TunnelSpec::label() const {
  return name.empty() ? fmt::format("{} -> {}", source.text(), target.text()) : name;
}

}  // namespace culvert::tunnel
