#include "tests/sim/survival.h"

#include <algorithm>
#include <cstdlib>

namespace culvert::sim {
namespace {

using std::chrono::seconds;

std::string judge(const Talker& talker, bool may_reset) {
  if (talker.has_wrong_bytes()) return "wrong bytes: " + talker.describe();
  if (talker.was_cut_short()) return "cut short: " + talker.describe();
  if (!talker.plan() || talker.plan()->has_reset() || may_reset) return "";
  return talker.state() == Talker::State::finished ? "" : "not finished: " + talker.describe();
}

// Nothing of the flows is left, on either side, and the tunnel works.
std::string leftovers(TunnelWorld& tunnel) {
  if (tunnel.client->stats().flows_active != 0) return "client keeps flows";
  for (const auto& server : tunnel.servers) {
    const drive::Counters stats = server->stats();
    if (stats.flows_active != 0) return "server keeps flows";
    if (stats.sessions_suspended != 0) return "server keeps a session";
  }
  if (tunnel.shared.places->size() != 1) return "sessions are not counted right";
  Talker& last = tunnel.call({.seed = 99, .upload_bytes = 100, .download_bytes = 100});
  tunnel.world.run_until([&] { return last.state() != Talker::State::running; },
                         tunnel.world.now() + seconds(30));
  if (last.state() != Talker::State::finished || last.was_cut_short()) {
    return "the tunnel does not work afterwards";
  }
  return "";
}

}  // namespace

std::uint64_t number_from_environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

bool is_over(const std::unique_ptr<Talker>& talker) {
  return talker->state() != Talker::State::running;
}

std::string outlive(TunnelWorld& tunnel, const std::vector<PlannedFlow>& flows, bool may_reset) {
  for (const PlannedFlow& flow : flows) {
    tunnel.world.after(flow.start, [&tunnel, plan = flow.plan](Instant) { tunnel.call(plan); });
  }
  const auto is_done = [&] {
    return tunnel.is_finished ||
           (tunnel.callers.size() == flows.size() && std::ranges::all_of(tunnel.callers, is_over) &&
            std::ranges::all_of(tunnel.talkers->talkers(), is_over));
  };
  if (!tunnel.world.run_until(is_done, tunnel.world.now() + seconds(900))) {
    return tunnel.world.is_livelocked() ? "livelock" : "flows hang";
  }
  if (tunnel.is_finished) return "the client ended";
  // Decision 0008: a request reaches its target once at most.
  if (tunnel.talkers->talkers().size() > flows.size()) return "a target was called twice";
  // Outages in a row may keep a new connection waiting for too long.
  may_reset = may_reset || tunnel.client->stats().flows_unserved > 0;
  for (const auto& talker : tunnel.callers) {
    if (auto why = judge(*talker, may_reset); !why.empty()) return why;
  }
  for (const auto& talker : tunnel.talkers->talkers()) {
    if (auto why = judge(*talker, may_reset); !why.empty()) return why;
  }
  tunnel.world.run_for(seconds(240));
  return leftovers(tunnel);
}

}  // namespace culvert::sim
