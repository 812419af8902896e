// The client role as the control interface sees it; both are on the client's main loop.
#pragma once

#include "admin/target.h"
#include "app/client_servers.h"
#include "app/options.h"

#include <string>
#include <vector>

namespace culvert::app {

// Owned by the client app, as what it refers to.
class ClientControl final : public admin::ControlTarget {
 public:
  ClientControl(Instant now, ClientServers& servers, const ClientOptions& options, Logger& log);

  void set_stopping() { is_stopping_ = true; }

  void collect(Instant now, OnSnapshot done) override;
  void kick(Instant now, std::uint64_t session, std::string reason, OnDone done) override;
  void change_tunnel(Instant now, admin::TunnelChange change, OnDone done) override;
  [[nodiscard]] Logger& log() override { return log_; }

 private:
  [[nodiscard]] admin::Snapshot snapshot(Instant now, const std::vector<ServerView>& views) const;
  [[nodiscard]] Result<tunnel::TunnelSet> changed(admin::TunnelChange change) const;
  [[nodiscard]] Result<std::string> server_named(const std::optional<std::string>& name) const;

  ClientServers& servers_;
  const ClientOptions& options_;
  Logger& log_;
  std::int64_t started_at_s_;
  Instant started_at_;
  bool is_stopping_ = false;
};

}  // namespace culvert::app
