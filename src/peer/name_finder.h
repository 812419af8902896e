// What the names stand for by which users know their peers. Looked up anew for every try to reach
// one, so that a client follows a server that moves (DynDNS); for all who want to know at the same
// time once.
#pragma once

#include "base/log.h"
#include "peer/peer_finder.h"
#include "ports/ports.h"

#include <list>
#include <memory>
#include <string>
#include <vector>

namespace culvert::peer {

// On the host's loop, which outlives it.
class NameFinder final : public PeerFinder {
 public:
  NameFinder(Host& host, Logger& log);
  ~NameFinder() override;
  [[nodiscard]] std::unique_ptr<PeerSubscription> subscribe(Instant now, const PeerQuery& query,
                                                            FinderSink& sink) override;
  [[nodiscard]] std::size_t lookups_under_way() const { return lookups_.size(); }

 private:
  class Subscription;
  struct Name;
  struct Lookup;

  void look_up(Name& name);
  void forget(Name& name);
  void on_answer(Instant now, Lookup& lookup, const Result<std::vector<IpAddress>>& answer);

  Host& host_;
  Logger& log_;
  std::list<Lookup> lookups_;
};

}  // namespace culvert::peer
