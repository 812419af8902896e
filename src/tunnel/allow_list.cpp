#include "tunnel/allow_list.h"

#include "base/limits.h"
#include "tunnel/embedded_v4.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace culvert::tunnel {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// The network's and the ports' text of an entry; no ports when there is no ':' behind the
// network.
struct Parts {
  std::string_view network;
  std::optional<std::string_view> ports;
};

Parts split(std::string_view entry) {
  if (entry.starts_with('[')) {
    const std::size_t close = entry.find(']');
    if (close == std::string_view::npos) return {entry, std::nullopt};
    const std::string_view rest = entry.substr(close + 1);
    if (rest.empty()) return {entry.substr(1, close - 1), std::nullopt};
    if (rest.front() == ':') return {entry.substr(1, close - 1), rest.substr(1)};
    return {entry, std::nullopt};
  }
  const std::size_t colon = entry.find(':');
  if (colon == std::string_view::npos || entry.find(':', colon + 1) != std::string_view::npos) {
    return {entry, std::nullopt};  // IPv4 without ports, or IPv6
  }
  return {entry.substr(0, colon), entry.substr(colon + 1)};
}

}  // namespace

Result<std::vector<AllowList::PortRange>> AllowList::parse_ports(std::string_view text,
                                                                 std::string_view entry) {
  std::vector<PortRange> ranges;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const auto first = parse_port(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_port(part.substr(dash + 1));
    if (!first || !last || *first > *last) {
      return fail(ErrorKind::configuration,
                  fmt::format("'{}' is not a port or range of ports (5432 or 8000-8999)", part),
                  std::string(entry));
    }
    ranges.push_back({*first, *last});
    if (comma == std::string_view::npos) return ranges;
    text.remove_prefix(comma + 1);
  }
}

Status AllowList::add(std::string_view entry) {
  if (entries_.size() >= kMaxEntries) {
    return fail(ErrorKind::configuration, fmt::format("more than {} entries", kMaxEntries));
  }
  const Parts parts = split(entry);
  auto network = Cidr::parse(parts.network);
  if (!network) {
    return fail(ErrorKind::configuration, network.error().what, std::string(entry.substr(0, 200)));
  }
  std::vector<PortRange> ports;
  if (parts.ports) {
    auto parsed = parse_ports(*parts.ports, entry.substr(0, 200));
    if (!parsed) return forward(parsed);
    ports = std::move(*parsed);
  }
  entries_.push_back({*network, std::move(ports), std::string(entry)});
  return {};
}

bool AllowList::allows(const SocketAddress& address) const {
  const auto embedded = embedded_v4(address.ip);
  if (!embedded) return has_entry_for(address);
  const bool is_named = std::ranges::any_of(entries_, [&](const Entry& entry) {
    return embedded->form.contains(entry.network.network()) &&
           entry.network.prefix_length() >= embedded->form.prefix_length() && entry.allows(address);
  });
  if (is_named) return true;
  return !embedded->addresses.empty() &&
         std::ranges::all_of(embedded->addresses, [&](const IpAddress& ip) {
           return has_entry_for({ip, address.port});
         });
}

bool AllowList::has_entry_for(const SocketAddress& address) const {
  return std::ranges::any_of(entries_, [&](const Entry& entry) { return entry.allows(address); });
}

bool AllowList::Entry::allows(const SocketAddress& address) const {
  if (!network.contains(address.ip)) return false;
  return ports.empty() || std::ranges::any_of(ports, [&](const PortRange& range) {
           return address.port >= range.first && address.port <= range.last;
         });
}

std::string AllowList::text() const {
  std::vector<std::string_view> texts;
  for (const Entry& entry : entries_) texts.emplace_back(entry.text);
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

Status UnixAllowList::add(std::string_view entry) {
  const std::string offender(entry.substr(0, 200));
  if (!entry.starts_with("unix:/")) {
    return fail(ErrorKind::configuration, "a Unix socket entry is unix:/path or unix:/directory/*",
                offender);
  }
  entry.remove_prefix(5);
  const std::size_t star = entry.find('*');
  if (star != std::string_view::npos && (star + 1 != entry.size() || !entry.ends_with("/*"))) {
    return fail(ErrorKind::configuration, "'*' may only stand behind the last '/'", offender);
  }
  entries_.emplace_back(entry);
  return {};
}

bool UnixAllowList::allows(std::string_view path) const {
  if (path.find("/../") != std::string_view::npos || path.ends_with("/..")) return false;
  return std::ranges::any_of(entries_, [&](std::string_view entry) {
    if (!entry.ends_with('*')) return path == entry;
    entry.remove_suffix(1);
    return path.starts_with(entry) && path.size() > entry.size();
  });
}

std::string_view UnixAllowList::directory_for(std::string_view path) const {
  std::string_view longest;
  for (std::string_view entry : entries_) {
    if (path == entry) return {};
    if (!entry.ends_with('*')) continue;
    entry.remove_suffix(1);
    if (path.starts_with(entry) && entry.size() > longest.size()) longest = entry;
  }
  return longest;
}

std::string UnixAllowList::text() const {
  return fmt::format("[{}]", fmt::join(entries_, ", "));
}

Result<std::vector<SocketAddress>> allowed_addresses(const SourcePolicy& policy,
                                                     const Source& source,
                                                     const std::vector<IpAddress>& resolved) {
  const AllowList& list = policy.list_for(source.protocol);
  std::vector<SocketAddress> v4;
  std::vector<SocketAddress> v6;
  bool is_all_loopback = true;
  std::vector<std::string> shown;
  for (const IpAddress& ip : resolved) {
    if (shown.size() == limits::kMaxResolvedAddresses) break;
    shown.push_back(ip.text());
    const SocketAddress address{ip, source.host_port.port};
    if (!list.allows(address)) continue;
    is_all_loopback = is_all_loopback && ip.is_loopback();
    (ip.is_v4() ? v4 : v6).push_back(address);
  }
  if (v4.empty() && v6.empty()) {
    return fail(ErrorKind::refused,
                fmt::format("Source '{}' (resolved to {}) not in allowed networks {}",
                            source.text(), fmt::join(shown, ", "), list.text()));
  }
  const auto& first = is_all_loopback ? v4 : v6;
  const auto& second = is_all_loopback ? v6 : v4;
  std::vector<SocketAddress> ordered;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) ordered.push_back(first[i]);
    if (i < second.size()) ordered.push_back(second[i]);
  }
  return ordered;
}

}  // namespace culvert::tunnel
