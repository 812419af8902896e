// The server role as the control interface sees it: asks every worker on its own thread and
// puts the parts together on worker 0's, which serves the interface.
#pragma once

#include "admin/target.h"
#include "app/audit_log.h"
#include "app/options.h"
#include "app/shared_auth_limiter.h"
#include "net/kernel_host.h"
#include "role/server.h"

#include <memory>
#include <vector>

namespace culvert::app {

// Owned by the server app, whose hosts and servers outlive it.
class ServerControl final : public admin::ControlTarget {
 public:
  using Servers = std::vector<std::unique_ptr<role::Server>>;
  ServerControl(net::HostGroup& group, const Servers& servers, const ServerOptions& options,
                const SharedAuthLimiter& auth_limiter, const std::unique_ptr<AuditLog>& audit_log,
                Logger& log);

  void set_stopping() { is_stopping_ = true; }

  void collect(Instant now, OnSnapshot done) override;
  void kick(Instant now, std::uint64_t session, std::string reason, OnDone done) override;
  void change_tunnel(Instant now, admin::TunnelChange change, OnDone done) override;
  [[nodiscard]] Logger& log() override { return log_; }

 private:
  struct Part;    // what one worker tells
  struct Gather;  // parts coming together
  struct Kick;
  [[nodiscard]] Part part_of(unsigned worker) const;
  void add(Instant now, Gather& gather, Part part);
  // Runs `ask` on every worker's thread and `add` with what it gave on worker 0's; one that
  // takes no more tasks gives a default.
  template <typename Answer, typename Ask, typename Add>
  void ask_workers(Instant now, const Ask& ask, const Add& add);

  net::HostGroup& group_;
  const Servers& servers_;
  const ServerOptions& options_;
  const SharedAuthLimiter& auth_limiter_;
  const std::unique_ptr<AuditLog>& audit_log_;  // null: none
  Logger& log_;
  std::int64_t started_at_s_;
  Instant started_at_;
  bool is_stopping_ = false;
};

// What a path shows of its connection.
[[nodiscard]] admin::PathInfo path_info(const PathId& path, const quic::ConnectionStats& stats);

}  // namespace culvert::app
