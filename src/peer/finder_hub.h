// Several finders as one: all are asked at the same time, the first to know something is told on at
// once, and what several know is told once. What one of them says takes none of the room of
// another.
#pragma once

#include "base/log.h"
#include "peer/peer_finder.h"

#include <memory>
#include <vector>

namespace culvert::peer {

class FinderHub final : public PeerFinder {
 public:
  // All outlive it.
  FinderHub(Logger& log, std::vector<PeerFinder*> finders)
      : log_(log), finders_(std::move(finders)) {}
  [[nodiscard]] std::unique_ptr<PeerSubscription> subscribe(Instant now, const PeerQuery& query,
                                                            FinderSink& sink) override;

 private:
  class Subscription;

  Logger& log_;
  std::vector<PeerFinder*> finders_;
};

}  // namespace culvert::peer
