// The client role as the control interface sees it; both are on the client's one loop.
#pragma once

#include "app/options.h"
#include "control/target.h"
#include "drive/client.h"

#include <memory>
#include <optional>

namespace culvert::app {

// Owned by the client app. `client` is null while the server's address is looked up.
class ClientControl final : public control::ControlTarget {
 public:
  ClientControl(Instant now, const std::unique_ptr<drive::Client>& client,
                const ClientOptions& options, Logger& log);

  void set_stopping() { is_stopping_ = true; }

  void collect(Instant now, OnSnapshot done) override;
  void kick(Instant now, std::uint64_t session, std::string reason, OnDone done) override;
  void change_tunnel(Instant now, control::TunnelChange change, OnDone done) override;
  [[nodiscard]] Logger& log() override { return log_; }

 private:
  [[nodiscard]] Status change(Instant now, control::TunnelChange change);

  const std::unique_ptr<drive::Client>& client_;
  const ClientOptions& options_;
  Logger& log_;
  std::int64_t started_at_s_;
  Instant started_at_;
  bool is_stopping_ = false;
};

}  // namespace culvert::app
