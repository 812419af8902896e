// What the user has said: an option, a ticket. Private to drive/.
#pragma once

#include "peer/peer_finder.h"

#include <memory>
#include <vector>

namespace culvert::peer {

class GivenAddresses final : public PeerFinder {
 public:
  [[nodiscard]] std::unique_ptr<PeerSubscription> subscribe(Instant now, const PeerQuery& query,
                                                            FinderSink& sink) override {
    for (const SocketAddress& address : query.addresses) {
      sink.on_candidate(now, {.remote = address, .origin = path::Origin::given});
    }
    return std::make_unique<AllSaid>();
  }

 private:
  struct AllSaid final : PeerSubscription {
    void search(Instant) override {}
    [[nodiscard]] bool is_searching() const override { return false; }
    [[nodiscard]] std::vector<Error> failures() const override { return {}; }
  };
};

}  // namespace culvert::peer
