// The control interface of a running role: its Unix socket, and on request a TCP address for
// metrics. Owned by the role in app/, on the loop of its first worker; the data path knows
// nothing of it.
#pragma once

#include "admin/api.h"
#include "admin/target.h"
#include "base/address.h"
#include "base/result.h"
#include "http/server.h"
#include "net/kernel_host.h"
#include "peer/role_event.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::admin {

struct ControlOptions {
  bool is_enabled = false;
  std::string socket{};                      // empty: DIRECTORY/ROLE-PID.sock
  std::string directory{};                   // made with mode 0700; not used when `socket` is given
  std::vector<SocketAddress> metrics{};      // all that can be had, one at least
  std::vector<std::string> metrics_hosts{};  // by which it is asked, beside addresses and our own
};

class ControlServer final : public peer::RoleEventSink {
 public:
  // Both outlive the server.
  ControlServer(net::KernelHost& host, ControlTarget& target);

  // A default socket that cannot be opened is a warning: the role is worth more than its
  // window. What was asked for by name is an error.
  [[nodiscard]] Status open(const ControlOptions& options, std::string_view role, int pid);
  // Empty: none.
  [[nodiscard]] const std::string& socket_path() const { return socket_path_; }
  // Where metrics are served over TCP.
  [[nodiscard]] std::optional<SocketAddress> metrics_address() const;

  // From any thread.
  [[nodiscard]] bool wants_events() const override {
    return has_subscribers_.load(std::memory_order_relaxed);
  }
  void on_role_event(peer::RoleEvent event) override;

  // On the loop.
  [[nodiscard]] ControlCounters counters() const;

 private:
  void on_request(Instant now, const http::Request& request, http::Server::Answer answer);
  void on_metrics_request(Instant now, const http::Request& request, http::Server::Answer answer);
  void update_subscribers();
  [[nodiscard]] Status listen_for_metrics(const std::vector<SocketAddress>& addresses);

  net::KernelHost& host_;
  ControlTarget& target_;
  Api api_;
  std::string socket_path_;
  std::unique_ptr<http::Server> socket_;
  std::unique_ptr<http::Server> metrics_;
  std::vector<std::string> hosts_;
  std::uint64_t hosts_refused_ = 0;
  std::atomic<bool> has_subscribers_{false};
  std::atomic<std::uint32_t> events_under_way_{0};  // posted and not yet published
  std::atomic<std::uint64_t> events_dropped_{0};
};

}  // namespace culvert::admin
