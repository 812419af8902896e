// The UDP flows of one tunnel at the client: which local sender (seen by which of our
// sockets) belongs to which flow id. Finds in O(1), expires in O(expired), allocates only
// when a flow is new.
#pragma once

#include "base/address.h"
#include "base/limits.h"
#include "base/time.h"

#include <cstdint>
#include <functional>
#include <list>
#include <unordered_map>

namespace culvert::tunnel {

struct UdpFlow {
  std::uint64_t id = 0;
  SocketAddress sender;      // replies go here
  std::uint16_t socket = 0;  // ... from this one of the tunnel's sockets
  IpAddress local{};         // ... and this address of ours, where it was asked; 0.0.0.0: any
  Instant last_active{};
  void* context = nullptr;  // the driver's own
};

class UdpFlowTable {
 public:
  UdpFlowTable(Duration idle, std::size_t max_flows) : idle_(idle), max_flows_(max_flows) {}

  // nullptr when unknown. Does not count as activity.
  [[nodiscard]] UdpFlow* find(const SocketAddress& sender, std::uint16_t socket);
  [[nodiscard]] UdpFlow* find(std::uint64_t id);
  // A new flow. Precondition: neither sender nor id is known, and !is_full().
  UdpFlow& add(Instant now, std::uint64_t id, const SocketAddress& sender, std::uint16_t socket);
  void touch(Instant now, UdpFlow& flow);
  void remove(UdpFlow& flow);

  [[nodiscard]] bool is_full() const { return flows_.size() >= max_flows_; }
  // The flow longest without activity; nullptr when there is none.
  [[nodiscard]] UdpFlow* idlest() { return flows_.empty() ? nullptr : &flows_.front(); }
  // The idlest flow if it has been idle too long; remove() it and ask again.
  [[nodiscard]] UdpFlow* poll_expired(Instant now);
  [[nodiscard]] Instant next_timeout() const;
  [[nodiscard]] std::size_t size() const { return flows_.size(); }

 private:
  struct Key {
    SocketAddress sender;
    std::uint16_t socket;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<SocketAddress>{}(key.sender) * 31 + key.socket;
    }
  };
  using Flows = std::list<UdpFlow>;  // least recently active first; nodes stay put

  Duration idle_;
  std::size_t max_flows_;
  Flows flows_;
  std::unordered_map<Key, Flows::iterator, KeyHash> by_sender_;
  std::unordered_map<std::uint64_t, Flows::iterator> by_id_;
};

}  // namespace culvert::tunnel
