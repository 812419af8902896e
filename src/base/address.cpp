#include "base/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

namespace culvert {
namespace {

// A whole decimal number without sign, spaces or leading zeros (0 itself is fine).
template <typename Integer>
std::optional<Integer> parse_decimal(std::string_view text, std::uint64_t max) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return static_cast<Integer>(value);
}

std::optional<std::array<std::uint8_t, 4>> parse_v4(std::string_view text) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const auto part = parse_decimal<std::uint8_t>(text.substr(0, dot), 255);
    if (!part) return std::nullopt;
    bytes[i] = *part;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return bytes;
}

std::optional<std::uint16_t> parse_hex_group(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The groups between colons, appended to `out`; the last may be an IPv4 address.
bool parse_groups(std::string_view text, bool may_end_in_v4, Bytes& out) {
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    const bool is_last = colon == std::string_view::npos;
    if (is_last && may_end_in_v4 && part.find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(part);
      if (!v4) return false;
      out.insert(out.end(), v4->begin(), v4->end());
    } else {
      const auto group = parse_hex_group(part);
      if (!group) return false;
      out.push_back(static_cast<std::uint8_t>(*group >> 8));
      out.push_back(static_cast<std::uint8_t>(*group));
    }
    if (out.size() > 16) return false;
    if (is_last) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;  // a trailing single colon
  }
  return true;
}

std::optional<std::array<std::uint8_t, 16>> parse_v6(std::string_view text) {
  Bytes head;
  Bytes tail;
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!parse_groups(text, true, head) || head.size() != 16) return std::nullopt;
  } else {
    if (!parse_groups(text.substr(0, gap), false, head) ||
        !parse_groups(text.substr(gap + 2), true, tail) || head.size() + tail.size() > 14) {
      return std::nullopt;
    }
  }
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(head, bytes.begin());
  std::ranges::copy(tail, bytes.end() - static_cast<std::ptrdiff_t>(tail.size()));
  return bytes;
}

// RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups
// (the first of equals) as "::".
std::string format_v6(ByteView bytes) {
  std::array<std::uint16_t, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) {
    groups[i] = static_cast<std::uint16_t>((bytes[2 * i] << 8) | bytes[2 * i + 1]);
  }
  std::size_t best_start = 8;
  std::size_t best_length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t length = 0;
    while (i + length < 8 && groups[i + length] == 0) ++length;
    if (length > best_length) {
      best_start = i;
      best_length = length;
    }
  }
  std::string out;
  for (std::size_t i = 0; i < 8;) {
    if (i == best_start) {
      out += "::";
      i += best_length;
      continue;
    }
    if (!out.empty() && !out.ends_with(':')) out += ':';
    out += fmt::format("{:x}", groups[i++]);
  }
  return out;
}

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93ULL;
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93ULL;
  return value ^ (value >> 32);
}

}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) {
  return v4(std::array<std::uint8_t, 4>{
      static_cast<std::uint8_t>(host_order >> 24), static_cast<std::uint8_t>(host_order >> 16),
      static_cast<std::uint8_t>(host_order >> 8), static_cast<std::uint8_t>(host_order)});
}

IpAddress IpAddress::v4(const std::array<std::uint8_t, 4>& bytes) {
  IpAddress ip;
  std::ranges::copy(bytes, ip.bytes_.begin());
  return ip;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes, std::uint32_t scope_id) {
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
    return v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  }
  IpAddress ip;
  ip.family_ = Family::v6;
  ip.bytes_ = bytes;
  ip.scope_id_ = scope_id;
  return ip;
}

IpAddress IpAddress::any(Family family) {
  return family == Family::v4 ? v4(0) : v6(std::array<std::uint8_t, 16>{});
}

IpAddress IpAddress::loopback(Family family) {
  if (family == Family::v4) return v4(0x7f000001);
  return v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string offender(text.substr(0, 64));
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    if (text.find(':') == std::string_view::npos) {
      return fail(ErrorKind::configuration, "brackets are for IPv6 addresses", offender);
    }
  }
  if (const auto bytes = parse_v4(text)) return v4(*bytes);
  std::uint32_t scope_id = 0;
  if (const std::size_t percent = text.find('%'); percent != std::string_view::npos) {
    const auto scope = parse_decimal<std::uint32_t>(text.substr(percent + 1), 0xffffffff);
    if (!scope) {
      return fail(ErrorKind::configuration,
                  "the scope after '%' must be an interface number (see: ip link)", offender);
    }
    scope_id = *scope;
    text = text.substr(0, percent);
  }
  if (const auto bytes = parse_v6(text)) return v6(*bytes, scope_id);
  return fail(ErrorKind::configuration, "not an IP address (192.0.2.1 or 2001:db8::1)", offender);
}

bool IpAddress::is_loopback() const {
  return is_v4() ? bytes_[0] == 127 : bytes_ == loopback(Family::v6).bytes_;
}

bool IpAddress::is_unspecified() const {
  return std::ranges::all_of(bytes(), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

bool IpAddress::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254
                 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

IpAddress IpAddress::source_network() const {
  if (is_v4() || is_link_local()) return *this;  // neighbours share fe80::/64
  IpAddress network = *this;
  std::fill(network.bytes_.begin() + 8, network.bytes_.end(), std::uint8_t{0});
  return network;
}

std::string IpAddress::text() const {
  if (is_v4()) return fmt::format("{}.{}.{}.{}", bytes_[0], bytes_[1], bytes_[2], bytes_[3]);
  std::string out = format_v6(bytes());
  if (scope_id_ != 0) out += fmt::format("%{}", scope_id_);
  return out;
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  CULVERT_TRY(const HostPort parts, HostPort::parse(text));
  const auto address = parts.literal();
  if (!address) {
    return fail(ErrorKind::configuration,
                "not an IP address and port (192.0.2.1:80 or [2001:db8::1]:80)",
                std::string(text.substr(0, 64)));
  }
  return *address;
}

std::string SocketAddress::text() const {
  return ip.is_v4() ? fmt::format("{}:{}", ip.text(), port)
                    : fmt::format("[{}]:{}", ip.text(), port);
}

Result<HostPort> HostPort::parse(std::string_view text) {
  const std::string offender(text.substr(0, 300));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    if (parse_decimal<std::uint16_t>(text, 65'535)) {
      return fail(ErrorKind::configuration,
                  fmt::format("a host is missing before the port (host:{})", text), offender);
    }
    return fail(ErrorKind::configuration, "a port is missing (host:port)", offender);
  }
  const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1), 65'535);
  if (!port) {
    return fail(ErrorKind::configuration, "the port must be a number from 0 to 65535", offender);
  }
  std::string_view host = text.substr(0, colon);
  if (host.empty()) {
    return fail(ErrorKind::configuration, "a host is missing before the port", offender);
  }
  if (host.front() == '[') {
    if (host.back() != ']' || !IpAddress::parse(host)) {
      return fail(ErrorKind::configuration, "not an IPv6 address in brackets", offender);
    }
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return fail(ErrorKind::configuration, "an IPv6 address needs brackets ([2001:db8::1]:80)",
                offender);
  }
  return HostPort{std::string(host), *port};
}

std::string HostPort::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::optional<SocketAddress> HostPort::literal() const {
  const auto ip = IpAddress::parse(host);
  if (!ip) return std::nullopt;
  return SocketAddress{*ip, port};
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const std::string offender(text.substr(0, 64));
  const std::size_t slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip || text.starts_with('[') || ip->scope_id() != 0) {
    return fail(ErrorKind::configuration, "not a network (10.0.0.0/8 or 2001:db8::/32)", offender);
  }
  const unsigned width = ip->is_v4() ? 32 : 128;
  unsigned length = width;
  if (slash != std::string_view::npos) {
    const auto parsed = parse_decimal<unsigned>(text.substr(slash + 1), width);
    if (!parsed) {
      return fail(ErrorKind::configuration,
                  fmt::format("the prefix length must be a number from 0 to {}", width), offender);
    }
    length = *parsed;
  }
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(ip->bytes(), bytes.begin());
  bool has_host_bits = false;
  for (unsigned bit = length; bit < width; ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80 >> (bit % 8));
    has_host_bits = has_host_bits || (bytes[bit / 8] & mask) != 0;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~mask);
  }
  if (has_host_bits) {
    const IpAddress network = ip->is_v4() ? IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]})
                                          : IpAddress::v6(bytes);
    return fail(
        ErrorKind::configuration,
        fmt::format("bits are set behind the prefix: did you mean {}/{}?", network.text(), length),
        offender);
  }
  return Cidr(*ip, length);
}

bool Cidr::contains(const IpAddress& ip) const {
  if (ip.family() != network_.family()) return false;
  const ByteView ours = network_.bytes();
  const ByteView theirs = ip.bytes();
  const std::size_t whole = prefix_length_ / 8;
  if (!std::equal(ours.begin(), ours.begin() + static_cast<std::ptrdiff_t>(whole),
                  theirs.begin())) {
    return false;
  }
  const unsigned rest = prefix_length_ % 8;
  return rest == 0 || ((ours[whole] ^ theirs[whole]) >> (8 - rest)) == 0;
}

std::string Cidr::text() const {
  return fmt::format("{}/{}", network_.text(), prefix_length_);
}

}  // namespace culvert

std::size_t std::hash<culvert::IpAddress>::operator()(const culvert::IpAddress& ip) const noexcept {
  std::uint64_t hash = 0x9e3779b97f4a7c15ULL + ip.scope_id();
  const culvert::ByteView bytes = ip.bytes();
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    std::uint64_t word = 0;
    for (std::size_t j = 0; j < 4; ++j) word = (word << 8) | bytes[i + j];
    hash = culvert::mix(hash ^ word) + 0x9e3779b97f4a7c15ULL;
  }
  return hash;
}

std::size_t std::hash<culvert::SocketAddress>::operator()(
    const culvert::SocketAddress& address) const noexcept {
  return culvert::mix(std::hash<culvert::IpAddress>{}(address.ip) ^
                      (std::uint64_t{address.port} << 48));
}
