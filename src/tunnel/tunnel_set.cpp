#include "tunnel/tunnel_set.h"

#include "base/limits.h"
#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <utility>

namespace culvert::tunnel {
namespace {

Status check_name(const TunnelSpec& tunnel) {
  if (tunnel.name.size() > limits::kMaxTunnelNameBytes) {
    return fail(ErrorKind::configuration,
                fmt::format("a tunnel's name has at most {} bytes", limits::kMaxTunnelNameBytes),
                tunnel.name.substr(0, limits::kMaxTunnelNameBytes) + "...");
  }
  if (!is_printable(tunnel.name)) {
    return fail(ErrorKind::configuration, "a tunnel's name holds a control character",
                tunnel.source.text());
  }
  return {};
}

// Where a target listens, as far as two of them can be known to collide: the kernel knows
// more (wildcards), and its answer becomes the tunnel's state.
std::vector<std::string> places(const TunnelSpec& tunnel) {
  const Target& target = tunnel.target;
  if (target.kind == Target::Kind::unix_path) return {target.text()};
  if (target.address.port == 0) return {};  // the kernel chooses
  const std::string_view transport = tunnel.source.protocol == Protocol::udp ? "udp" : "tcp";
  const auto place = [&](const SocketAddress& address) {
    return fmt::format("{} {}", transport, address.text());
  };
  if (target.kind == Target::Kind::address) return {place(target.address)};
  return {place({IpAddress::loopback(Family::v4), target.address.port}),
          place({IpAddress::loopback(Family::v6), target.address.port})};
}

bool does_the_same(const TunnelSpec& a, const TunnelSpec& b) {
  return a.source == b.source && a.target == b.target && a.options == b.options &&
         a.server == b.server;
}

// What two tunnels must have in common to be one that was renamed.
std::string work_of(const TunnelSpec& tunnel) {
  return fmt::format("{} -> {}", tunnel.source.text(), tunnel.target.text());
}

}  // namespace

std::string TunnelDiff::text() const {
  std::string text;
  const auto say = [&](std::size_t count, std::string_view what) {
    if (count == 0) return;
    fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  say(added.size(), "added");
  say(removed.size(), "removed");
  say(changed.size(), "changed");
  say(switched.size(), "switched on or off");
  say(renamed.size(), "renamed");
  say(unchanged.size(), "unchanged");
  return text.empty() ? "none" : text;
}

Result<TunnelSet> TunnelSet::make(std::vector<TunnelSpec> tunnels) {
  if (tunnels.size() > limits::kMaxTunnels) {
    return fail(ErrorKind::configuration,
                fmt::format("{} tunnels are more than a client may have ({})", tunnels.size(),
                            limits::kMaxTunnels));
  }
  std::unordered_map<std::string, std::size_t> labels;
  std::unordered_map<std::string, std::size_t> taken;  // place: whose
  for (std::size_t i = 0; i < tunnels.size(); ++i) {
    const TunnelSpec& tunnel = tunnels[i];
    if (Status checked = check_name(tunnel); !checked) return forward(checked);
    if (!labels.emplace(tunnel.label(), i).second) {
      return tunnel.name.empty()
                 ? fail(ErrorKind::configuration, "two tunnels are the same: give each a name",
                        tunnel.label())
                 : fail(ErrorKind::configuration,
                        fmt::format("two tunnels are called '{}'", tunnel.name), tunnel.label());
    }
    if (!tunnel.is_enabled) continue;
    for (const std::string& place : places(tunnel)) {
      const auto [other, is_free] = taken.emplace(place, i);
      if (is_free) continue;
      return fail(ErrorKind::configuration,
                  fmt::format("listens at {} as tunnel '{}' does: change or disable one of them",
                              tunnel.target.text(), tunnels[other->second].label()),
                  tunnel.label());
    }
  }
  return TunnelSet(std::move(tunnels));
}

Result<std::size_t> TunnelSet::index_of(std::string_view label) const {
  const auto found = std::ranges::find_if(
      tunnels_, [&](const TunnelSpec& tunnel) { return tunnel.label() == label; });
  if (found == tunnels_.end()) {
    return fail(ErrorKind::configuration, "there is no such tunnel", std::string(label));
  }
  return static_cast<std::size_t>(found - tunnels_.begin());
}

Result<TunnelSet> TunnelSet::with(TunnelSpec tunnel) const {
  std::vector<TunnelSpec> tunnels = tunnels_;
  tunnels.push_back(std::move(tunnel));
  return make(std::move(tunnels));
}

Result<TunnelSet> TunnelSet::without(std::string_view label) const {
  CULVERT_TRY(const std::size_t index, index_of(label));
  std::vector<TunnelSpec> tunnels = tunnels_;
  tunnels.erase(tunnels.begin() + static_cast<std::ptrdiff_t>(index));
  return make(std::move(tunnels));
}

Result<TunnelSet> TunnelSet::with_replaced(std::string_view label, TunnelSpec tunnel) const {
  CULVERT_TRY(const std::size_t index, index_of(label));
  std::vector<TunnelSpec> tunnels = tunnels_;
  tunnels[index] = std::move(tunnel);
  return make(std::move(tunnels));
}

Result<TunnelSet> TunnelSet::with_enabled(std::string_view label, bool is_enabled) const {
  CULVERT_TRY(const std::size_t index, index_of(label));
  std::vector<TunnelSpec> tunnels = tunnels_;
  tunnels[index].is_enabled = is_enabled;
  return make(std::move(tunnels));
}

TunnelSet TunnelSet::of_server(std::string_view server) const {
  std::vector<TunnelSpec> tunnels;
  std::ranges::copy_if(tunnels_, std::back_inserter(tunnels),
                       [&](const TunnelSpec& tunnel) { return tunnel.server == server; });
  return TunnelSet(std::move(tunnels));
}

Result<TunnelSet> TunnelSet::reloaded(const TunnelSet& configured) const {
  std::vector<TunnelSpec> tunnels = configured.tunnels_;
  for (const TunnelSpec& tunnel : tunnels_) {
    if (tunnel.is_added_live && !configured.index_of(tunnel.label())) tunnels.push_back(tunnel);
  }
  return make(std::move(tunnels));
}

TunnelDiff difference(const TunnelSet& before, const TunnelSet& after) {
  const auto& old = before.tunnels();
  const auto& wanted = after.tunnels();
  std::unordered_map<std::string, std::size_t> by_label;
  for (std::size_t i = 0; i < old.size(); ++i) by_label.emplace(old[i].label(), i);
  std::vector<std::optional<std::size_t>> partner(wanted.size());
  std::vector<bool> is_paired(old.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto found = by_label.find(wanted[i].label());
    if (found == by_label.end()) continue;
    partner[i] = found->second;
    is_paired[found->second] = true;
  }
  std::unordered_multimap<std::string, std::size_t> left_over;
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (!is_paired[i]) left_over.emplace(work_of(old[i]), i);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (partner[i]) continue;
    const auto found = left_over.find(work_of(wanted[i]));
    if (found == left_over.end()) continue;
    partner[i] = found->second;
    is_paired[found->second] = true;
    left_over.erase(found);
  }
  TunnelDiff diff;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!partner[i]) {
      diff.added.push_back(i);
      continue;
    }
    const TunnelSpec& was = old[*partner[i]];
    const TunnelSpec& will = wanted[i];
    auto& list = !does_the_same(was, will)           ? diff.changed
                 : was.is_enabled != will.is_enabled ? diff.switched
                 : was.name != will.name             ? diff.renamed
                                                     : diff.unchanged;
    list.push_back({*partner[i], i});
  }
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (!is_paired[i]) diff.removed.push_back(i);
  }
  return diff;
}

}  // namespace culvert::tunnel
