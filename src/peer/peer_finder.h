// Who knows where a peer may be reached: its user, name servers; later directories, relays, the
// local network. What is found is pushed as it is found. Several are asked at the same time
// (finder_hub.h), and none waits for another.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "path/candidate.h"

#include <memory>
#include <span>
#include <vector>

namespace culvert::peer {

// Whom somebody looks for, and what its user knows of it.
struct PeerQuery {
  crypto::EndpointId peer;
  std::vector<SocketAddress> addresses{};
  std::vector<HostPort> names{};
};

// Is told what is found, on the loop of the subscription.
class FinderSink : public path::CandidateSink {
 public:
  // A search is over: all that it has found was told before.
  virtual void on_searched(Instant now) = 0;

 protected:
  ~FinderSink() = default;
};

// As long as it lives the sink is told. Not destroyed from inside a call to the sink.
class PeerSubscription {
 public:
  virtual ~PeerSubscription() = default;
  // Looks anew, for a try to reach the peer that begins. on_searched() follows where is_searching()
  // then, but never from inside this call. Does nothing while it is looking.
  virtual void search(Instant now) = 0;
  [[nodiscard]] virtual bool is_searching() const = 0;
  // Why the last search may have found less than there is.
  [[nodiscard]] virtual std::vector<Error> failures() const = 0;
};

// One thread's. Outlives its subscriptions.
class PeerFinder {
 public:
  virtual ~PeerFinder() = default;
  // `sink`, which outlives the subscription, is told what is known already before this returns.
  [[nodiscard]] virtual std::unique_ptr<PeerSubscription> subscribe(Instant now,
                                                                    const PeerQuery& query,
                                                                    FinderSink& sink) = 0;
};

// The other way: tells others where we can be reached.
class PeerPublisher {
 public:
  virtual ~PeerPublisher() = default;
  // There, best first, and nowhere else any more.
  virtual void publish(std::span<const path::Candidate> own) = 0;
};

}  // namespace culvert::peer
