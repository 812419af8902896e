// What a process has once, whatever roles it plays and however many: its key, its loops, who knows
// where peers are, and who is told where it is itself. A server's workers run on its loops; each
// server that a client uses has a loop of its own, and asks from there (link_finder.h). Private to
// app/.
#pragma once

#include "base/log.h"
#include "crypto/keys.h"
#include "net/features.h"
#include "net/interfaces.h"
#include "net/kernel_host.h"
#include "peer/name_finder.h"
#include "peer/peer_finder.h"

#include <utility>
#include <vector>

namespace culvert::app {

// How its loops meet the system.
struct NodeOptions {
  net::UdpFeatures udp{};
  net::InterfaceRules interfaces{};  // which addresses are told and used
};

// Owned by the app, before everything that uses it.
class Node {
 public:
  Node(crypto::SecretKey identity, const NodeOptions& options, unsigned loops, Logger& log)
      : identity_(std::move(identity)),
        options_(options),
        group_(log, options.udp, loops, options.interfaces),
        names_(group_.host(0), log) {}

  [[nodiscard]] const crypto::SecretKey& identity() const { return identity_; }
  // For loops that it does not have itself.
  [[nodiscard]] const NodeOptions& options() const { return options_; }
  [[nodiscard]] net::HostGroup& group() { return group_; }
  // Whose thread has everything that there is once.
  [[nodiscard]] net::KernelHost& main() { return group_.host(0); }
  // On the main loop.
  [[nodiscard]] peer::PeerFinder& finder() { return names_; }
  // Is told of all that is published, and lives as long. Before anything is.
  void add_publisher(peer::PeerPublisher& publisher) { publishers_.push_back(&publisher); }
  // Where others can reach us now. On the main loop; what has not changed is not told again.
  void publish(std::vector<path::Candidate> own) {
    if (own == published_) return;
    published_ = std::move(own);
    for (peer::PeerPublisher* publisher : publishers_) publisher->publish(published_);
  }

 private:
  const crypto::SecretKey identity_;
  const NodeOptions options_;
  net::HostGroup group_;
  peer::NameFinder names_;
  std::vector<peer::PeerPublisher*> publishers_;
  std::vector<path::Candidate> published_;
};

}  // namespace culvert::app
