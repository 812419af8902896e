#include "drive/tunnel_manager.h"

#include <algorithm>
#include <utility>

namespace culvert::drive {

// One tunnel. Has listeners exactly while `stream` or `udp` is there.
struct TunnelManager::Entry {
  explicit Entry(tunnel::TunnelSpec its_spec) : spec(std::move(its_spec)) {}

  [[nodiscard]] bool is_udp() const { return spec.source.protocol == tunnel::Protocol::udp; }
  [[nodiscard]] bool is_listening() const { return stream != nullptr || udp != nullptr; }
  [[nodiscard]] std::vector<std::string> local_addresses() const {
    if (stream) return stream->local_addresses();
    return udp ? udp->local_addresses() : std::vector<std::string>{};
  }

  tunnel::TunnelSpec spec;
  std::shared_ptr<FlowGroup> flows = std::make_shared<FlowGroup>();
  std::unique_ptr<StreamTunnel> stream;
  std::unique_ptr<UdpTunnel> udp;
  std::string failure;                // why it cannot listen
  std::optional<Instant> next_retry;  // exactly while it cannot
  Duration retry_delay = limits::kTunnelRetryMin;
};

std::string_view to_string(TunnelState state) {
  switch (state) {
    case TunnelState::waiting:
      return "waiting";
    case TunnelState::listening:
      return "listening";
    case TunnelState::source_refused:
      return "source_refused";
    case TunnelState::failed:
      return "failed";
    case TunnelState::disabled:
      break;
  }
  return "disabled";
}

TunnelManager::TunnelManager(SessionSource& sessions, Worker& worker, ClientContext& context,
                             ClientObserver& observer, tunnel::TunnelSet set)
    : sessions_(sessions),
      worker_(worker),
      context_(context),
      observer_(observer),
      set_(std::move(set)),
      retry_(worker.timers(), *this) {
  for (const tunnel::TunnelSpec& spec : set_.tunnels()) {
    entries_.push_back(std::make_unique<Entry>(spec));
  }
}

TunnelManager::~TunnelManager() = default;

// --- opening and closing ---------------------------------------------------------------------

Status TunnelManager::open(Instant now, Entry& entry) {
  if (entry.is_udp()) {
    auto tunnel =
        std::make_unique<UdpTunnel>(sessions_, worker_, context_, entry.spec, entry.flows);
    if (auto opened = tunnel->open(); !opened) return forward(opened);
    entry.udp = std::move(tunnel);
  } else {
    auto tunnel = std::make_unique<StreamTunnel>(sessions_, worker_, entry.spec, entry.flows);
    if (auto opened = tunnel->open(); !opened) return forward(opened);
    entry.stream = std::move(tunnel);
  }
  entry.failure.clear();
  entry.next_retry.reset();
  entry.retry_delay = limits::kTunnelRetryMin;
  announce(now, entry);
  entry.flows->watch_refusal([this, &entry](const std::string& refusal) {
    tell_state(entry, refusal.empty() ? TunnelState::listening : TunnelState::source_refused,
               refusal);
  });
  tell_state(entry, TunnelState::listening);
  return {};
}

void TunnelManager::tell_state(const Entry& entry, TunnelState state,
                               std::string_view reason) const {
  tell(context_.config.events, [&] {
    return RoleEvent{.kind = RoleEventKind::tunnel_changed,
                     .peer = entry.spec.label(),
                     .detail = std::string(to_string(state)) + (reason.empty() ? "" : ": ") +
                               std::string(reason)};
  });
}

void TunnelManager::announce(Instant now, const Entry& entry) const {
  for (const std::string& address : entry.local_addresses()) {
    worker_.log().info("tunnel", "Listening on {} {} -> {}", entry.is_udp() ? "UDP" : "TCP",
                       address, entry.spec.source.text());
    observer_.on_listening(now, entry.spec, address);
  }
}

void TunnelManager::open_or_retry(Instant now, Entry& entry) {
  const Status opened = open(now, entry);
  if (opened) return;
  const std::string failure = opened.error().text();
  // Once for each reason: it may go on for days.
  const bool is_news = failure != entry.failure;
  entry.failure = failure;
  if (is_news) {
    worker_.log().warn("tunnel", "tunnel '{}': {}; trying again", entry.spec.label(), failure);
    tell_state(entry, TunnelState::failed, failure);
  }
  entry.next_retry = now + entry.retry_delay;
  entry.retry_delay = std::min(2 * entry.retry_delay, limits::kTunnelRetryMax);
}

void TunnelManager::close(Instant now, Entry& entry) {
  entry.stream.reset();
  if (entry.udp) entry.udp->close(now);
  entry.udp.reset();
  entry.failure.clear();
  entry.next_retry.reset();
  entry.retry_delay = limits::kTunnelRetryMin;
  if (entry.spec.is_enabled) tell_state(entry, TunnelState::disabled);
  entry.flows->close(now);
  // Connections that wait for a stream hold the old group and see that it is closed.
  FlowCounters counters = entry.flows->counters();
  counters.refusal.clear();
  entry.flows = std::make_shared<FlowGroup>(std::move(counters));
}

void TunnelManager::forget_counters(Entry& entry) {
  if (!entry.is_udp()) {
    gone_.bytes_up += entry.flows->traffic().bytes_up;
    gone_.bytes_down += entry.flows->traffic().bytes_down;
  }
  entry.flows = std::make_shared<FlowGroup>();
}

Status TunnelManager::start(Instant now) {
  if (is_started_) return {};
  is_started_ = true;
  std::optional<Error> first_error;
  bool is_any_listening = false;
  for (const auto& entry : entries_) {
    if (!entry->spec.is_enabled) continue;
    open_or_retry(now, *entry);
    is_any_listening = is_any_listening || entry->is_listening();
    if (!first_error && !entry->is_listening()) {
      first_error = Error{ErrorKind::io, entry->failure, {}};
    }
  }
  arm_retry();
  if (first_error && !is_any_listening) return std::unexpected(std::move(*first_error));
  return {};
}

void TunnelManager::stop(Instant now) {
  is_stopped_ = true;
  retry_.cancel();
  for (const auto& entry : entries_) {
    entry->stream.reset();
    if (entry->udp) entry->udp->close(now);
    entry->next_retry.reset();
  }
}

// --- changes -----------------------------------------------------------------------------------

tunnel::TunnelDiff TunnelManager::apply(Instant now, tunnel::TunnelSet set) {
  tunnel::TunnelDiff diff = tunnel::difference(set_, set);
  // Places are freed before they are taken: two tunnels may swap theirs.
  for (const std::size_t index : diff.removed) {
    close(now, *entries_[index]);
    forget_counters(*entries_[index]);
  }
  for (const auto* pairs : {&diff.changed, &diff.switched}) {
    for (const tunnel::TunnelPair& pair : *pairs) close(now, *entries_[pair.before]);
  }
  for (const tunnel::TunnelPair& pair : diff.changed) forget_counters(*entries_[pair.before]);

  std::vector<std::unique_ptr<Entry>> entries(set.size());
  for (const auto* pairs : {&diff.changed, &diff.switched, &diff.renamed, &diff.unchanged}) {
    for (const tunnel::TunnelPair& pair : *pairs) {
      entries[pair.after] = std::move(entries_[pair.before]);
      entries[pair.after]->spec = set.tunnels()[pair.after];
    }
  }
  for (const std::size_t index : diff.added) {
    entries[index] = std::make_unique<Entry>(set.tunnels()[index]);
  }
  entries_ = std::move(entries);
  set_ = std::move(set);
  if (is_started_ && !is_stopped_) {
    for (const auto& entry : entries_) {
      const bool is_new = !entry->is_listening() && !entry->next_retry;
      if (entry->spec.is_enabled && is_new) open_or_retry(now, *entry);
    }
    arm_retry();
  }
  if (!diff.is_empty()) worker_.log().info("tunnel", "tunnels: {}", diff.text());
  worker_.host().request_turn_end();
  return diff;
}

void TunnelManager::on_retry(Instant now) {
  for (const auto& entry : entries_) {
    if (entry->next_retry && *entry->next_retry <= now) open_or_retry(now, *entry);
  }
  arm_retry();
}

void TunnelManager::arm_retry() {
  Instant next = kNever;
  for (const auto& entry : entries_) {
    if (entry->next_retry) next = std::min(next, *entry->next_retry);
  }
  retry_.set(next);
}

// --- what can be seen --------------------------------------------------------------------------

std::vector<TunnelStatus> TunnelManager::status() const {
  std::vector<TunnelStatus> all;
  all.reserve(entries_.size());
  for (const auto& entry : entries_) {
    const FlowCounters& counters = entry->flows->counters();
    TunnelStatus& status = all.emplace_back(TunnelStatus{.spec = entry->spec});
    status.local_addresses = entry->local_addresses();
    status.next_retry = entry->next_retry;
    status.flows_opened = counters.opened;
    status.flows_refused = counters.refused;
    status.flows_active = entry->udp ? entry->udp->flow_count() : entry->flows->active();
    status.bytes_up = counters.traffic.bytes_up;
    status.bytes_down = counters.traffic.bytes_down;
    if (!entry->spec.is_enabled) {
      status.state = TunnelState::disabled;
    } else if (entry->next_retry) {
      status.state = TunnelState::failed;
      status.reason = entry->failure;
    } else if (entry->is_listening()) {
      const bool is_refused = !counters.refusal.empty();
      status.state = is_refused ? TunnelState::source_refused : TunnelState::listening;
      status.reason = counters.refusal;
    }
  }
  return all;
}

TrafficCounters TunnelManager::stream_traffic() const {
  TrafficCounters sum = gone_;
  for (const auto& entry : entries_) {
    if (entry->is_udp()) continue;
    sum.bytes_up += entry->flows->traffic().bytes_up;
    sum.bytes_down += entry->flows->traffic().bytes_down;
  }
  return sum;
}

}  // namespace culvert::drive
