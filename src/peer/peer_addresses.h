// Where the server may be reached, as far as is known now. Private to drive/.
#pragma once

#include "base/log.h"
#include "peer/finder_hub.h"
#include "peer/given_addresses.h"
#include "peer/name_finder.h"
#include "peer/peer_finder.h"
#include "ports/ports.h"

#include <memory>
#include <vector>

namespace culvert::peer {

class PeerAddressesOwner {
 public:
  // Others are known, or a search has ended, which may have been all there was to wait for.
  virtual void on_addresses(Instant now) = 0;

 protected:
  ~PeerAddressesOwner() = default;
};

// Owned by the client role, on its loop.
class PeerAddresses final : private FinderSink {
 public:
  // `finder`, which outlives it, looks names up, and whatever else it can; null: names are looked
  // up here.
  PeerAddresses(Host& host, Logger& log, PeerFinder* finder, const PeerQuery& query,
                PeerAddressesOwner& owner);

  // Looks anew; what is found is told.
  void search(Instant now) { subscription_->search(now); }
  [[nodiscard]] bool is_searching() const { return subscription_->is_searching(); }
  // In the order in which they became known, without doubles.
  [[nodiscard]] const std::vector<path::Candidate>& candidates() const { return candidates_; }
  [[nodiscard]] std::vector<Error> failures() const { return subscription_->failures(); }

 private:
  void on_candidate(Instant now, const path::Candidate& candidate) override;
  void on_candidate_gone(Instant now, const SocketAddress& remote) override;
  void on_searched(Instant now) override { owner_.on_addresses(now); }

  PeerAddressesOwner& owner_;
  GivenAddresses given_;
  NameFinder names_;
  FinderHub finders_;
  std::vector<path::Candidate> candidates_;
  std::unique_ptr<PeerSubscription> subscription_;  // null while it begins
};

}  // namespace culvert::peer
