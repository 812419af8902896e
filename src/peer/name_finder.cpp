#include "peer/name_finder.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace culvert::peer {

// One that somebody has for a peer.
struct NameFinder::Name {
  Subscription* owner;
  HostPort name;
  std::vector<IpAddress> found{};  // when last looked up with success
  std::optional<Error> failure{};  // of the last lookup
  bool is_looked_up = false;       // at present
};

// Under way, and for whom.
struct NameFinder::Lookup final : ResolveHandler {
  Lookup(NameFinder& its_finder, std::string its_host)
      : finder(its_finder), host(std::move(its_host)) {}
  void on_resolved(Instant now, Result<std::vector<IpAddress>> answer) override {
    finder.on_answer(now, *this, answer);
  }

  NameFinder& finder;
  std::string host;
  std::vector<Name*> waiting;
  std::unique_ptr<ResolvePort> port;  // null: it is being answered
};

class NameFinder::Subscription final : public PeerSubscription {
 public:
  Subscription(NameFinder& finder, const std::vector<HostPort>& names, FinderSink& sink)
      : finder_(finder), sink_(sink) {
    names_.reserve(names.size());  // lookups refer to them
    for (const HostPort& name : names) names_.push_back({.owner = this, .name = name});
  }
  ~Subscription() override {
    for (Name& name : names_) finder_.forget(name);
  }
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  void search(Instant) override {
    for (Name& name : names_) {
      if (!name.is_looked_up) finder_.look_up(name);
    }
  }
  [[nodiscard]] bool is_searching() const override {
    return std::ranges::any_of(names_, &Name::is_looked_up);
  }
  [[nodiscard]] std::vector<Error> failures() const override {
    std::vector<Error> all;
    for (const Name& name : names_) {
      if (name.failure) all.push_back(*name.failure);
    }
    return all;
  }
  void on_answer(Instant now, Name& name, const Result<std::vector<IpAddress>>& answer);

 private:
  void tell(Instant now, Name& name, const std::vector<IpAddress>& found);
  [[nodiscard]] bool stands_for(const SocketAddress& address) const;

  NameFinder& finder_;
  FinderSink& sink_;
  std::vector<Name> names_;
};

// A name that cannot be looked up now may still stand for what it stood for.
void NameFinder::Subscription::on_answer(Instant now, Name& name,
                                         const Result<std::vector<IpAddress>>& answer) {
  name.is_looked_up = false;
  name.failure.reset();
  if (answer) {
    tell(now, name, *answer);
  } else {
    name.failure = answer.error();
  }
  if (!is_searching()) sink_.on_searched(now);
}

void NameFinder::Subscription::tell(Instant now, Name& name, const std::vector<IpAddress>& found) {
  const std::vector<IpAddress> before = std::exchange(name.found, found);
  for (const IpAddress& ip : found) {
    // Name servers give the same ones in another order each time.
    if (std::ranges::find(before, ip) != before.end()) continue;
    if (!before.empty()) {
      finder_.log_.info("session", "{} now has the address {}", name.name.host, ip.text());
    }
    sink_.on_candidate(now, {.remote = {ip, name.name.port}, .origin = path::Origin::name});
  }
  for (const IpAddress& ip : before) {
    const SocketAddress address{ip, name.name.port};
    if (!stands_for(address)) sink_.on_candidate_gone(now, address);
  }
}

bool NameFinder::Subscription::stands_for(const SocketAddress& address) const {
  return std::ranges::any_of(names_, [&](const Name& name) {
    return name.name.port == address.port &&
           std::ranges::find(name.found, address.ip) != name.found.end();
  });
}

NameFinder::NameFinder(Host& host, Logger& log) : host_(host), log_(log) {}

NameFinder::~NameFinder() = default;

std::unique_ptr<PeerSubscription> NameFinder::subscribe(Instant, const PeerQuery& query,
                                                        FinderSink& sink) {
  return std::make_unique<Subscription>(*this, query.names, sink);
}

void NameFinder::look_up(Name& name) {
  name.is_looked_up = true;
  for (Lookup& lookup : lookups_) {
    if (lookup.host != name.name.host || !lookup.port) continue;
    lookup.waiting.push_back(&name);
    return;
  }
  Lookup& lookup = lookups_.emplace_back(*this, name.name.host);
  lookup.waiting.push_back(&name);
  lookup.port = host_.resolve(lookup.host, Purpose::process, lookup);
}

// Nobody is told any more; what nobody waits for is not looked up on.
void NameFinder::forget(Name& name) {
  for (Lookup& lookup : lookups_) std::erase(lookup.waiting, &name);
  std::erase_if(lookups_,
                [](const Lookup& lookup) { return lookup.waiting.empty() && lookup.port; });
}

// Who is told may look up again at once, or end another's subscription.
void NameFinder::on_answer(Instant now, Lookup& lookup,
                           const Result<std::vector<IpAddress>>& answer) {
  lookup.port.reset();
  while (!lookup.waiting.empty()) {
    Name& name = *lookup.waiting.front();
    lookup.waiting.erase(lookup.waiting.begin());
    name.owner->on_answer(now, name, answer);
  }
  std::erase_if(lookups_, [&](const Lookup& other) { return &other == &lookup; });
}

}  // namespace culvert::peer
