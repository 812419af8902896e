#include "flow/tunnel_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::flow {

// One tunnel. It is open, with listeners or without, exactly while `stream` or `udp` is there.
struct TunnelManager::Entry {
  explicit Entry(tunnel::TunnelSpec its_spec) : spec(std::move(its_spec)) {}

  [[nodiscard]] bool is_udp() const { return spec.source.protocol == tunnel::Protocol::udp; }
  [[nodiscard]] ListenPlaces* places() const {
    if (stream) return &stream->places();
    return udp ? &udp->places() : nullptr;
  }
  [[nodiscard]] bool is_listening() const { return places() != nullptr && places()->is_any_open(); }

  tunnel::TunnelSpec spec;
  std::shared_ptr<FlowGroup> flows = std::make_shared<FlowGroup>();
  std::unique_ptr<StreamTunnel> stream;
  std::unique_ptr<UdpTunnel> udp;
  bool was_told_listening = false;
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

TunnelManager::TunnelManager(SessionSource& sessions, drive::Worker& worker,
                             peer::ClientContext& context, peer::ClientObserver& observer,
                             tunnel::TunnelSet set)
    : sessions_(sessions),
      worker_(worker),
      context_(context),
      observer_(observer),
      set_(std::move(set)),
      due_(worker.timers(), *this) {
  for (const tunnel::TunnelSpec& spec : set_.tunnels()) {
    entries_.push_back(std::make_unique<Entry>(spec));
  }
}

TunnelManager::~TunnelManager() = default;

// --- opening and closing ---------------------------------------------------------------------

void TunnelManager::open(Instant now, Entry& entry) {
  if (entry.is_udp()) {
    entry.udp = std::make_unique<UdpTunnel>(sessions_, worker_, context_, entry.spec, entry.flows);
  } else {
    entry.stream = std::make_unique<StreamTunnel>(sessions_, worker_, entry.spec, entry.flows);
  }
  entry.flows->watch_refusal([this, &entry](const std::string& refusal) {
    tell_state(entry, refusal.empty() ? TunnelState::listening : TunnelState::source_refused,
               refusal);
  });
  open_due(now, entry);
}

void TunnelManager::open_due(Instant now, Entry& entry) {
  if (entry.stream) entry.stream->open_due(now);
  if (entry.udp) entry.udp->open_due(now);
  ListenPlaces& places = *entry.places();
  for (const std::string& address : places.take_opened()) announce(now, entry, address);
  // Once for each reason: it may go on for days.
  const std::string failure = places.take_failure();
  if (!failure.empty()) {
    warnings_.push_back(fmt::format("tunnel '{}': {}; trying again", entry.spec.label(), failure));
    if (may_warn_) warn_of_failures();
  }
  const bool is_listening = places.has_tried_all() && places.is_any_open();
  if (is_listening && !entry.was_told_listening) {
    entry.was_told_listening = true;
    tell_state(entry, TunnelState::listening, failure);
  } else if (!failure.empty()) {
    tell_state(entry, is_listening ? TunnelState::listening : TunnelState::failed, failure);
  }
}

void TunnelManager::warn_of_failures() {
  may_warn_ = true;
  for (const std::string& warning : warnings_) worker_.log().warn("tunnel", "{}", warning);
  warnings_.clear();
}

void TunnelManager::tell_state(const Entry& entry, TunnelState state,
                               std::string_view reason) const {
  tell(context_.config.events, [&] {
    return peer::RoleEvent{.kind = peer::RoleEventKind::tunnel_changed,
                           .peer = entry.spec.label(),
                           .detail = std::string(to_string(state)) + (reason.empty() ? "" : ": ") +
                                     std::string(reason)};
  });
}

void TunnelManager::announce(Instant now, const Entry& entry, const std::string& address) const {
  // A Unix socket's address says what it is.
  const std::string_view kind = entry.is_udp() ? "UDP "
                                : entry.spec.target.kind == tunnel::Target::Kind::unix_path
                                    ? ""
                                    : "TCP ";
  worker_.log().info("tunnel", "Listening on {}{} -> {}", kind, address, entry.spec.source.text());
  observer_.on_listening(now, entry.spec, address);
}

void TunnelManager::close(Instant now, Entry& entry) {
  entry.stream.reset();
  if (entry.udp) entry.udp->close(now);
  entry.udp.reset();
  entry.was_told_listening = false;
  if (entry.spec.is_enabled) tell_state(entry, TunnelState::disabled);
  entry.flows->close(now);
  // Connections that wait for a stream hold the old group and see that it is closed.
  FlowCounters counters = entry.flows->counters();
  counters.refusal.clear();
  entry.flows = std::make_shared<FlowGroup>(std::move(counters));
}

void TunnelManager::forget_counters(Entry& entry) {
  if (!entry.is_udp()) {
    gone_.to_stream += entry.flows->traffic().to_stream;
    gone_.from_stream += entry.flows->traffic().from_stream;
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
    open(now, *entry);
    const ListenPlaces& places = *entry->places();
    // Of a large range the rest may do better.
    const bool is_hopeful = places.is_any_open() || !places.has_tried_all();
    is_any_listening = is_any_listening || is_hopeful;
    if (!first_error && !is_hopeful) first_error = Error{ErrorKind::io, places.failure(), {}};
  }
  arm();
  if (first_error && !is_any_listening) return std::unexpected(std::move(*first_error));
  return {};
}

void TunnelManager::stop(Instant now) {
  is_stopped_ = true;
  due_.cancel();
  for (const auto& entry : entries_) {
    entry->stream.reset();
    if (entry->udp) entry->udp->close(now);
  }
}

bool TunnelManager::is_any_listening() const {
  return std::ranges::any_of(entries_, [](const auto& entry) { return entry->is_listening(); });
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
      if (entry->spec.is_enabled && entry->places() == nullptr) open(now, *entry);
    }
    arm();
  }
  if (!diff.is_empty()) worker_.log().info("tunnel", "tunnels: {}", diff.text());
  worker_.host().request_turn_end();
  return diff;
}

void TunnelManager::on_due(Instant now) {
  for (const auto& entry : entries_) {
    if (entry->places() != nullptr && entry->places()->next_timeout() <= now) {
      open_due(now, *entry);
    }
  }
  arm();
}

void TunnelManager::arm() {
  Instant next = kNever;
  for (const auto& entry : entries_) {
    if (entry->places() != nullptr) next = std::min(next, entry->places()->next_timeout());
  }
  due_.set(next);
}

// --- what can be seen --------------------------------------------------------------------------

std::vector<TunnelStatus> TunnelManager::status() const {
  std::vector<TunnelStatus> all;
  all.reserve(entries_.size());
  for (const auto& entry : entries_) {
    const FlowCounters& counters = entry->flows->counters();
    TunnelStatus& status = all.emplace_back(TunnelStatus{.spec = entry->spec});
    const ListenPlaces* places = entry->places();
    if (places != nullptr) {
      status.local_addresses = places->open_texts();
      status.next_retry = places->next_retry();
    }
    status.counters = {
        .flows_opened = counters.opened,
        .flows_refused = counters.refused,
        .flows_active = entry->udp ? entry->udp->flow_count() : entry->flows->active(),
        .bytes_up = counters.traffic.to_stream,
        .bytes_down = counters.traffic.from_stream};
    if (!entry->spec.is_enabled) {
      status.state = TunnelState::disabled;
    } else if (entry->is_listening()) {
      const bool is_refused = !counters.refusal.empty();
      status.state = is_refused ? TunnelState::source_refused : TunnelState::listening;
      status.reason = is_refused ? counters.refusal : places->failure();
    } else if (places != nullptr && places->has_tried_all()) {
      status.state = TunnelState::failed;
      status.reason = places->failure();
    }
  }
  return all;
}

drive::TrafficCounters TunnelManager::stream_traffic() const {
  drive::TrafficCounters sum = gone_;
  for (const auto& entry : entries_) {
    if (entry->is_udp()) continue;
    sum.to_stream += entry->flows->traffic().to_stream;
    sum.from_stream += entry->flows->traffic().from_stream;
  }
  return sum;
}

}  // namespace culvert::flow
