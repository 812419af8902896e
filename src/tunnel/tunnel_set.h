// All tunnels of a client as one value: what is wrong with a set, how one set becomes
// another, and what that means for each tunnel. Decides only; drive/tunnel_manager acts.
#pragma once

#include "base/result.h"
#include "tunnel/source.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::tunnel {

// Indexes into the sets before and after.
struct TunnelPair {
  std::size_t before = 0;
  std::size_t after = 0;
  friend bool operator==(const TunnelPair&, const TunnelPair&) = default;
};

// Every tunnel of either set is in exactly one list.
struct TunnelDiff {
  std::vector<std::size_t> added;     // of the set after
  std::vector<std::size_t> removed;   // of the set before
  std::vector<TunnelPair> changed;    // another source, target or option: opened anew
  std::vector<TunnelPair> switched;   // enabled or disabled, else alike but for the name
  std::vector<TunnelPair> renamed;    // only the name differs
  std::vector<TunnelPair> unchanged;  // alike

  [[nodiscard]] bool is_empty() const {
    return added.empty() && removed.empty() && changed.empty() && switched.empty() &&
           renamed.empty();
  }
  // "2 added, 1 removed, 97 unchanged"
  [[nodiscard]] std::string text() const;
};

class TunnelSet {
 public:
  TunnelSet() = default;
  // Errors name the tunnel at fault: two with one label, two enabled ones that would listen
  // at the same place, a name that cannot be shown, more than limits::kMaxTunnels or
  // limits::kMaxTunnelPorts.
  [[nodiscard]] static Result<TunnelSet> make(std::vector<TunnelSpec> tunnels);

  [[nodiscard]] const std::vector<TunnelSpec>& tunnels() const { return tunnels_; }
  [[nodiscard]] std::size_t size() const { return tunnels_.size(); }

  // This set with one difference, checked as make() does. `label` is TunnelSpec::label();
  // one that no tunnel has is an error.
  [[nodiscard]] Result<TunnelSet> with(TunnelSpec tunnel) const;
  [[nodiscard]] Result<TunnelSet> without(std::string_view label) const;
  [[nodiscard]] Result<TunnelSet> with_replaced(std::string_view label, TunnelSpec tunnel) const;
  [[nodiscard]] Result<TunnelSet> with_enabled(std::string_view label, bool is_enabled) const;

  // Those of one server, in their order.
  [[nodiscard]] TunnelSet of_server(std::string_view server) const;

  // What a reload of the configuration makes of this set: `configured`, and those that were
  // added live, unless `configured` has a tunnel of the same label.
  [[nodiscard]] Result<TunnelSet> reloaded(const TunnelSet& configured) const;

  friend bool operator==(const TunnelSet&, const TunnelSet&) = default;

 private:
  explicit TunnelSet(std::vector<TunnelSpec> tunnels) : tunnels_(std::move(tunnels)) {}
  [[nodiscard]] Result<std::size_t> index_of(std::string_view label) const;

  std::vector<TunnelSpec> tunnels_;
};

// Tunnels are paired by label; of those left over, by what they do (a new name).
[[nodiscard]] TunnelDiff difference(const TunnelSet& before, const TunnelSet& after);

}  // namespace culvert::tunnel
