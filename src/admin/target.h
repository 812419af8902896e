// What the control interface asks of the role it steers. Implemented by app/, which asks the
// workers on their own threads. Every call, and every call back, is on the loop that serves
// the interface; call backs may come before the call returns.
#pragma once

#include "admin/snapshot.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "tunnel/source.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace culvert::admin {

enum class TunnelAction : std::uint8_t { add, remove, update };

struct TunnelChange {
  TunnelAction action = TunnelAction::add;
  std::string label{};  // remove, update: which
  // add needs the first two; update changes what is there.
  std::optional<tunnel::Source> source{};
  std::optional<tunnel::Target> target{};
  std::optional<std::string> name{};
  std::optional<std::string> server{};  // by name; of several
  std::optional<bool> is_enabled{};
  // Each makes one option another one, or empty: the client's.
  std::vector<std::function<void(tunnel::TunnelOptions& options)>> options{};

  void apply_options(tunnel::TunnelOptions& to) const {
    for (const auto& change : options) change(to);
  }
};

class ControlTarget {
 public:
  using OnSnapshot = std::move_only_function<void(Instant now, const Snapshot& snapshot)>;
  // An error of kind not_found: there is no such session or tunnel.
  using OnDone = std::move_only_function<void(Instant now, const Status& status)>;

  virtual ~ControlTarget() = default;
  virtual void collect(Instant now, OnSnapshot done) = 0;
  // Closes a client's session; `reason` reaches the client.
  virtual void kick(Instant now, std::uint64_t session, std::string reason, OnDone done) = 0;
  virtual void change_tunnel(Instant now, TunnelChange change, OnDone done) = 0;
  [[nodiscard]] virtual Logger& log() = 0;
};

}  // namespace culvert::admin
