// What the process's finders know, for a client on a loop of its own: its wishes go to the main
// loop, and what is found comes back, as tasks. Private to app/.
#pragma once

#include "net/kernel_host.h"
#include "peer/peer_finder.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace culvert::app {

// Made and destroyed on the main loop's thread, destroyed once nothing runs on the own loop any
// more: then all that was asked for by it is over, whatever is still on its way.
class LinkFinder final : public peer::PeerFinder {
 public:
  // All outlive it; `finder` is the main loop's.
  LinkFinder(net::KernelHost& main, peer::PeerFinder& finder, net::KernelHost& own);
  ~LinkFinder() override;

  // On the own loop.
  [[nodiscard]] std::unique_ptr<peer::PeerSubscription> subscribe(Instant now,
                                                                  const peer::PeerQuery& query,
                                                                  peer::FinderSink& sink) override;

 private:
  class Asker;   // a subscription, on the own loop
  class Errand;  // ... and what is done about it on the main loop
  struct Desk;   // the errands
  using Task = std::function<void(Instant now, Desk& desk)>;

  // False: too much waits for the main loop.
  [[nodiscard]] bool send(Task task);
  [[nodiscard]] Asker* find(std::uint64_t id) const;

  net::KernelHost& main_;
  net::KernelHost& own_;
  std::uint64_t next_id_ = 1;               // the own loop's
  std::map<std::uint64_t, Asker*> asking_;  // likewise
  // The main loop's alone. Tasks on their way there watch it, since they may come too late.
  std::shared_ptr<Desk> desk_;
};

}  // namespace culvert::app
