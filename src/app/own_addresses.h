// Where others can reach this process, and who is told. Private to app/.
#pragma once

#include "app/ticket.h"
#include "base/log.h"
#include "path/candidate.h"
#include "peer/peer_finder.h"
#include "ports/ports.h"

#include <span>
#include <string>
#include <vector>

namespace culvert::app {

// Where clients can dial a server, best first: the addresses that its user says it has outside,
// and that of its socket. A wildcard stands for the addresses of every interface that is not of a
// VPN or a bridge of containers, unless there is no other. Loopback is worth telling only when
// there is nothing else.
[[nodiscard]] std::vector<path::Candidate> own_candidates(
    const std::vector<SocketAddress>& external, const SocketAddress& listening,
    const std::vector<LocalAddress>& interfaces);

// Makes the ticket: the word that people copy from the server to its clients.
class TicketPublisher final : public peer::PeerPublisher {
 public:
  TicketPublisher(const crypto::EndpointId& id, Logger& log) : log_(log), ticket_{.id = id} {}
  void publish(std::span<const path::Candidate> own) override;
  [[nodiscard]] const Ticket& ticket() const { return ticket_; }

 private:
  Logger& log_;
  Ticket ticket_;
  bool has_published_ = false;
};

}  // namespace culvert::app
