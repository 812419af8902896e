#include "peer/peer_addresses.h"

#include <algorithm>

namespace culvert::peer {

PeerAddresses::PeerAddresses(Host& host, Logger& log, PeerFinder* finder, const PeerQuery& query,
                             PeerAddressesOwner& owner)
    : owner_(owner),
      names_(host, log),
      finders_(log, {&given_, finder == nullptr ? &names_ : finder}) {
  // Not as an initializer: what is known already is told meanwhile.
  subscription_ = finders_.subscribe(host.now(), query, *this);
}

void PeerAddresses::on_candidate(Instant now, const path::Candidate& candidate) {
  const auto known = std::ranges::find(candidates_, candidate.remote, &path::Candidate::remote);
  if (known != candidates_.end()) {
    *known = candidate;
    return;
  }
  candidates_.push_back(candidate);
  if (subscription_) owner_.on_addresses(now);
}

void PeerAddresses::on_candidate_gone(Instant, const SocketAddress& remote) {
  std::erase_if(candidates_,
                [&](const path::Candidate& candidate) { return candidate.remote == remote; });
}

}  // namespace culvert::peer
