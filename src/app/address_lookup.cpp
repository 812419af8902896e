#include "app/address_lookup.h"

#include <algorithm>
#include <utility>

namespace culvert::app {

struct AddressLookup::Entry final : drive::ResolveHandler {
  Entry(AddressLookup& lookup, const HostPort& name) : owner(lookup), port(name.port) {}

  void on_resolved(Instant now, Result<std::vector<IpAddress>> addresses) override {
    answer = std::move(addresses);
    owner.finish_if_complete(now);  // may destroy us
  }

  AddressLookup& owner;
  std::uint16_t port;
  std::optional<Result<std::vector<IpAddress>>> answer;
  std::unique_ptr<drive::ResolvePort> lookup;
};

AddressLookup::AddressLookup(drive::Host& host, const std::vector<HostPort>& names, Done done)
    : done_(std::move(done)) {
  for (const HostPort& name : names) {
    entries_.push_back(std::make_unique<Entry>(*this, name));
    entries_.back()->lookup = host.resolve(name.host, *entries_.back());
  }
}

AddressLookup::~AddressLookup() = default;

void AddressLookup::finish_if_complete(Instant now) {
  if (!std::ranges::all_of(entries_, [](const auto& entry) { return entry->answer.has_value(); })) {
    return;
  }
  std::vector<SocketAddress> found;
  for (const auto& entry : entries_) {
    if (!*entry->answer) continue;
    for (const IpAddress& ip : **entry->answer) {
      const SocketAddress address{ip, entry->port};
      if (std::ranges::find(found, address) == found.end()) found.push_back(address);
    }
  }
  const Done done = std::exchange(done_, nullptr);
  if (found.empty()) {
    done(now, std::unexpected(entries_.front()->answer->error()));
  } else {
    done(now, std::move(found));
  }
}

}  // namespace culvert::app
