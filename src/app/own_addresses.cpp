#include "app/own_addresses.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace culvert::app {

std::vector<path::Candidate> own_candidates(const std::vector<SocketAddress>& external,
                                            const SocketAddress& listening,
                                            const std::vector<LocalAddress>& interfaces) {
  std::vector<path::Candidate> own;
  const auto add = [&](const SocketAddress& address, path::Origin origin) {
    if (std::ranges::find(own, address, &path::Candidate::remote) != own.end()) return;
    own.push_back({.remote = address, .origin = origin});
  };
  for (const SocketAddress& address : external) add(address, path::Origin::given);
  if (!listening.ip.is_unspecified()) {
    add(listening, path::Origin::given);
    return own;
  }
  const auto add_all = [&](auto is_wanted) {
    bool is_any = false;
    for (const LocalAddress& local : interfaces) {
      if (listening.ip.is_v4() && local.ip.is_v6()) continue;
      if (!is_wanted(local)) continue;
      add({local.ip, listening.port}, path::Origin::discovered);
      is_any = true;
    }
    return is_any;
  };
  if (add_all([](const auto& a) { return a.use == AddressUse::any && !a.ip.is_loopback(); })) {
    return own;
  }
  if (add_all([](const auto& a) { return a.use == AddressUse::inner; })) return own;
  add_all([](const auto& a) { return a.ip.is_loopback() && a.use != AddressUse::never; });
  return own;
}

void TicketPublisher::publish(std::span<const path::Candidate> own) {
  ticket_.addresses.clear();
  std::vector<std::string> texts;
  for (const path::Candidate& candidate : own) {
    ticket_.addresses.push_back(candidate.remote);
    texts.push_back(candidate.remote.text());
  }
  if (!std::exchange(has_published_, true)) return;
  log_.info("session", "this server is now at {}; its ticket: {}", fmt::join(texts, ", "),
            ticket_.text());
}

}  // namespace culvert::app
