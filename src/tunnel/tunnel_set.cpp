#include "tunnel/tunnel_set.h"

#include "base/limits.h"
#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
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

// Which ports are taken at one address, by the first of each run.
struct TakenPorts {
  struct Run {
    std::uint32_t last;
    std::size_t owner;
  };
  std::map<std::uint32_t, Run> runs;  // never overlap

  [[nodiscard]] std::optional<std::size_t> owner(std::uint32_t first, std::uint32_t last) const {
    const auto after = runs.upper_bound(last);
    if (after == runs.begin() || std::prev(after)->second.last < first) return std::nullopt;
    return std::prev(after)->second.owner;
  }
};

// Where targets listen, as far as two of them can be known to collide: the kernel knows more
// (wildcards), and its answer becomes the tunnel's state.
class TakenPlaces {
 public:
  // Whose tunnel `tunnel` is in the way of; empty: nobody's, and the places are now its own.
  std::optional<std::size_t> take(std::size_t index, const TunnelSpec& tunnel) {
    const Target& target = tunnel.target;
    if (target.kind == Target::Kind::unix_path) {
      const auto [other, is_free] = paths_.emplace(target.path, index);
      return is_free ? std::nullopt : std::optional(other->second);
    }
    if (target.address.port == 0) return std::nullopt;  // the kernel chooses
    const std::uint32_t first = target.address.port;
    const std::uint32_t last = first + target.port_count - 1;
    const bool is_udp = tunnel.source.protocol == Protocol::udp;
    for (const SocketAddress& address : target.addresses()) {
      TakenPorts& taken = ports_[{is_udp, address.ip}];
      if (const auto owner = taken.owner(first, last)) return owner;
      taken.runs.emplace(first, TakenPorts::Run{last, index});
    }
    return std::nullopt;
  }

 private:
  std::map<std::pair<bool, IpAddress>, TakenPorts> ports_;
  std::unordered_map<std::string, std::size_t> paths_;
};

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
  TakenPlaces taken;
  std::size_t ports = 0;
  for (std::size_t i = 0; i < tunnels.size(); ++i) {
    const TunnelSpec& tunnel = tunnels[i];
    CULVERT_CHECK(check_name(tunnel));
    if (!labels.emplace(tunnel.label(), i).second) {
      return tunnel.name.empty()
                 ? fail(ErrorKind::configuration, "two tunnels are the same: give each a name",
                        tunnel.label())
                 : fail(ErrorKind::configuration,
                        fmt::format("two tunnels are called '{}'", tunnel.name), tunnel.label());
    }
    if (!tunnel.is_enabled) continue;
    if (const auto other = taken.take(i, tunnel)) {
      return fail(ErrorKind::configuration,
                  fmt::format("listens at {} as tunnel '{}' does: change or disable one of them",
                              tunnel.target.text(), tunnels[*other].label()),
                  tunnel.label());
    }
    ports += tunnel.target.port_count;
    if (ports > limits::kMaxTunnelPorts) {
      return fail(ErrorKind::configuration,
                  fmt::format("with it the tunnels have more ports than a client may listen on "
                              "({})",
                              limits::kMaxTunnelPorts),
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
