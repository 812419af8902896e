// A network address translator for UDP by the vocabulary of RFC 4787: mapping and
// filtering behaviour chosen separately, ports preserved, sequential or random.
// Sans-I/O: time and randomness are parameters.
#pragma once

#include "base/address.h"
#include "base/rng.h"
#include "base/time.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>

namespace culvert::sim {

enum class NatBehaviour : std::uint8_t {  // RFC 4787 4.1 and 5
  endpoint_independent,
  address_dependent,
  address_and_port_dependent,
};
enum class PortAllocation : std::uint8_t { preserving, sequential, random };

struct NatConfig {
  IpAddress public_ip;
  NatBehaviour mapping = NatBehaviour::endpoint_independent;
  NatBehaviour filtering = NatBehaviour::address_and_port_dependent;
  PortAllocation ports = PortAllocation::preserving;
  Duration mapping_timeout = std::chrono::minutes(2);  // RFC 4787 REQ-5, refreshed outbound
};

class Nat {
 public:
  explicit Nat(NatConfig config) : config_(config) {}

  [[nodiscard]] const NatConfig& config() const { return config_; }
  // The public source of a packet from inside; creates or refreshes its mapping.
  [[nodiscard]] SocketAddress translate_outbound(Instant now, Rng& rng, const SocketAddress& from,
                                                 const SocketAddress& to);
  // The inside address of a packet to a public one; nothing when no mapping lets it in.
  [[nodiscard]] std::optional<SocketAddress> translate_inbound(Instant now,
                                                               const SocketAddress& from,
                                                               const SocketAddress& to);
  // Forgets every mapping, as a rebooted router does: NAT rebinding for flows in progress.
  // Ports handed out afterwards differ from those before.
  void forget_mappings();

 private:
  struct Key {
    SocketAddress inside;
    SocketAddress peer;  // fields that the mapping behaviour ignores are zero
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Mapping {
    Key key;
    Instant last_used;
    std::set<SocketAddress> peers;  // sent to from inside, for filtering
  };

  [[nodiscard]] Key key_for(const SocketAddress& inside, const SocketAddress& peer) const;
  [[nodiscard]] std::uint16_t allocate_port(Instant now, Rng& rng, std::uint16_t inside_port);
  [[nodiscard]] bool is_live(Instant now, std::uint16_t port) const;

  NatConfig config_;
  std::map<Key, std::uint16_t> port_by_key_;
  std::map<std::uint16_t, Mapping> mapping_by_port_;
  std::uint16_t next_port_ = 20'000;
  bool has_forgotten_ = false;
};

}  // namespace culvert::sim
