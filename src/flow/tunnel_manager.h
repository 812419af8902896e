// The client's tunnels as they are: opens and closes their listeners as the set of tunnels
// changes, tries again what cannot listen, and knows each one's state. Owned by the client;
// its sessions come and go beneath. Private to drive/.
#pragma once

#include "flow/client_tunnel.h"
#include "flow/flow_group.h"
#include "flow/tunnel_status.h"
#include "tunnel/tunnel_set.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::flow {

class TunnelManager {
 public:
  TunnelManager(SessionSource& sessions, drive::Worker& worker, peer::ClientContext& context,
                peer::ClientObserver& observer, tunnel::TunnelSet set);
  ~TunnelManager();

  // Opens the listeners; later calls do nothing. An error when tunnels are enabled and not
  // one of them can listen: whoever started the client believes in its ports.
  [[nodiscard]] Status start(Instant now);
  // Says from now on, and once of what start() met, that a tunnel cannot listen and tries again.
  // Not before it is known whether the client goes on.
  void warn_of_failures();
  // See Client::apply_tunnels. Before start() nothing is opened.
  tunnel::TunnelDiff apply(Instant now, tunnel::TunnelSet set);
  // Closes every listener; flows over streams go on.
  void stop(Instant now);

  [[nodiscard]] bool is_any_listening() const;

  [[nodiscard]] const tunnel::TunnelSet& set() const { return set_; }
  [[nodiscard]] std::vector<TunnelStatus> status() const;
  // Of all stream flows of tunnels so far.
  [[nodiscard]] drive::TrafficCounters stream_traffic() const;

 private:
  struct Entry;

  void open(Instant now, Entry& entry);
  void open_due(Instant now, Entry& entry);
  void close(Instant now, Entry& entry);
  void forget_counters(Entry& entry);
  void announce(Instant now, const Entry& entry, const std::string& address) const;
  void tell_state(const Entry& entry, TunnelState state, std::string_view reason = {}) const;
  void on_due(Instant now);
  void arm();

  SessionSource& sessions_;
  drive::Worker& worker_;
  peer::ClientContext& context_;
  peer::ClientObserver& observer_;
  tunnel::TunnelSet set_;
  std::vector<std::unique_ptr<Entry>> entries_;  // one for each tunnel of set_, in its order
  drive::TrafficCounters gone_;                  // stream traffic of tunnels that are gone
  std::vector<std::string> warnings_;            // that wait for warn_of_failures()
  bool may_warn_ = false;
  bool is_started_ = false;
  bool is_stopped_ = false;
  MemberTimer<TunnelManager, &TunnelManager::on_due> due_;
};

}  // namespace culvert::flow
