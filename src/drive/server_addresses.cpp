#include "drive/server_addresses.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace culvert::drive {

struct ServerAddresses::Name final : ResolveHandler {
  Name(ServerAddresses& its_owner, HostPort its_name)
      : owner(its_owner), name(std::move(its_name)) {}

  void on_resolved(Instant now, Result<std::vector<IpAddress>> answer) override {
    owner.on_answer(now, *this, std::move(answer));
  }

  ServerAddresses& owner;
  HostPort name;
  std::unique_ptr<ResolvePort> lookup;  // while it is under way
  std::vector<IpAddress> found;
  std::optional<Error> failure;
};

ServerAddresses::ServerAddresses(Host& host, Logger& log, std::vector<SocketAddress> known,
                                 const std::vector<HostPort>& names, ServerAddressesOwner& owner)
    : host_(host), log_(log), known_(std::move(known)), owner_(owner) {
  for (const HostPort& name : names) names_.push_back(std::make_unique<Name>(*this, name));
  collect();
}

ServerAddresses::~ServerAddresses() = default;

void ServerAddresses::look_up() {
  for (const auto& name : names_) {
    if (!name->lookup) name->lookup = host_.resolve(name->name.host, Purpose::process, *name);
  }
}

bool ServerAddresses::is_looking_up() const {
  return std::ranges::any_of(names_, [](const auto& name) { return name->lookup != nullptr; });
}

std::vector<Error> ServerAddresses::failures() const {
  std::vector<Error> all;
  for (const auto& name : names_) {
    if (name->failure) all.push_back(*name->failure);
  }
  return all;
}

// A name that cannot be looked up now may still stand for what it stood for.
void ServerAddresses::on_answer(Instant now, Name& name, Result<std::vector<IpAddress>> answer) {
  name.lookup.reset();
  name.failure.reset();
  if (!answer) {
    name.failure = std::move(answer).error();
  } else if (*answer != name.found) {
    const std::vector<IpAddress> before = std::exchange(name.found, std::move(*answer));
    collect();
    for (const IpAddress& ip : name.found) {
      // Name servers give the same ones in another order each time.
      const bool is_new = std::ranges::find(before, ip) == before.end();
      if (!before.empty() && is_new) {
        log_.info("session", "{} now has the address {}", name.name.host, ip.text());
      }
    }
  }
  owner_.on_looked_up(now);
}

void ServerAddresses::collect() {
  addresses_.clear();
  const auto add = [this](const SocketAddress& address) {
    if (std::ranges::find(addresses_, address) == addresses_.end()) addresses_.push_back(address);
  };
  for (const SocketAddress& address : known_) add(address);
  for (const auto& name : names_) {
    for (const IpAddress& ip : name->found) add({ip, name->name.port});
  }
}

}  // namespace culvert::drive
