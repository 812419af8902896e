// A network address translator for UDP by the vocabulary of RFC 4787: mapping (4.1), pooling and
// ports (4.1, 4.2), timeouts (4.3), filtering (5) and hairpinning (6), chosen separately; blocks of
// ports as carriers give them out (RFC 6888, RFC 7422). Of TCP it keeps which connection has which
// address outside, and no more. Sans-I/O: time and randomness are parameters.
#pragma once

#include "base/address.h"
#include "base/rng.h"
#include "base/time.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace culvert::sim {

enum class NatBehaviour : std::uint8_t {  // RFC 4787 4.1 and 5
  endpoint_independent,
  address_dependent,
  address_and_port_dependent,
};
// `block`: each inside address has ports of its own, taken at random.
enum class PortAllocation : std::uint8_t { preserving, sequential, random, block };
// RFC 4787 6: what an inside host sees as the source of another one that sends to an outside
// address. REQ-9 wants external_source; with internal_source answers go past the NAT, and are
// not taken for answers.
enum class Hairpinning : std::uint8_t { none, external_source, internal_source };

struct NatConfig {
  IpAddress public_ip;
  std::vector<IpAddress> pool{};  // further ones
  // RFC 4787 4.1, REQ-2: an inside address always gets the same outside one; otherwise each mapping
  // gets any.
  bool has_paired_pool = true;
  NatBehaviour mapping = NatBehaviour::endpoint_independent;
  NatBehaviour filtering = NatBehaviour::address_and_port_dependent;
  PortAllocation ports = PortAllocation::preserving;
  std::uint16_t block_ports = 512;                     // of each inside address
  Duration mapping_timeout = std::chrono::minutes(2);  // RFC 4787 4.3, REQ-5
  bool is_refreshed_inbound =
      false;  // REQ-6: always by what leaves; this: by what comes in as well
  Hairpinning hairpinning = Hairpinning::none;
  // The router itself answers strangers. Whoever sends to one of its ports first has it: what is
  // sent to him from inside gets another port than all else (nf_conntrack with an INPUT chain that
  // accepts), and a NAT that preserves ports is symmetric towards exactly him.
  bool is_taken_by_strangers = false;
  Duration stranger_timeout = std::chrono::seconds(30);  // nf_conntrack_udp_timeout
};

class Nat {
 public:
  explicit Nat(NatConfig config);

  [[nodiscard]] const NatConfig& config() const { return config_; }
  // May be changed at any moment: how long mappings live, and what hairpins.
  [[nodiscard]] NatConfig& config() { return config_; }
  [[nodiscard]] const std::vector<IpAddress>& public_ips() const { return public_ips_; }
  [[nodiscard]] bool owns(const IpAddress& ip) const;

  // The public source of a packet from inside; creates or refreshes its mapping. Nothing: all ports
  // that it might have are taken.
  [[nodiscard]] std::optional<SocketAddress> translate_outbound(Instant now, Rng& rng,
                                                                const SocketAddress& from,
                                                                const SocketAddress& to);
  // The inside address of a packet to a public one; nothing when no mapping lets it in.
  [[nodiscard]] std::optional<SocketAddress> translate_inbound(Instant now,
                                                               const SocketAddress& from,
                                                               const SocketAddress& to);
  // Both for a packet between two inside hosts (RFC 4787 6).
  struct Hairpinned {
    SocketAddress from;
    SocketAddress to;
  };
  [[nodiscard]] std::optional<Hairpinned> hairpin(Instant now, Rng& rng, const SocketAddress& from,
                                                  const SocketAddress& to);
  // Who has a public address now, whoever asks: errors about its packets go there (RFC 4787 9).
  [[nodiscard]] std::optional<SocketAddress> inside_of(Instant now, const SocketAddress& to) const;

  // A TCP connection from inside keeps its outside address until it is forgotten.
  [[nodiscard]] SocketAddress open_stream(const SocketAddress& from);
  [[nodiscard]] std::optional<SocketAddress> stream_outside(const SocketAddress& from) const;
  [[nodiscard]] std::optional<SocketAddress> stream_inside(const SocketAddress& to) const;

  // Forgets every mapping, as a rebooted router does: NAT rebinding for flows in progress.
  // Ports handed out afterwards differ from those before.
  void forget_mappings();
  [[nodiscard]] std::size_t mapping_count(Instant now) const;

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
  struct Stranger {  // and the port he has
    SocketAddress outside;
    SocketAddress peer;
    friend auto operator<=>(const Stranger&, const Stranger&) = default;
  };

  [[nodiscard]] Key key_for(Instant now, const SocketAddress& inside,
                            const SocketAddress& peer) const;
  [[nodiscard]] IpAddress address_for(Rng& rng, const IpAddress& inside);
  [[nodiscard]] std::optional<SocketAddress> allocate(Instant now, Rng& rng,
                                                      const SocketAddress& inside, bool preserves);
  [[nodiscard]] std::uint16_t block_of(const IpAddress& inside);
  [[nodiscard]] bool is_live(Instant now, const SocketAddress& outside) const;
  [[nodiscard]] bool is_admitted(const Mapping& mapping, const SocketAddress& from) const;
  [[nodiscard]] bool is_taken(Instant now, const SocketAddress& outside,
                              const SocketAddress& peer) const;

  NatConfig config_;
  std::vector<IpAddress> public_ips_;
  std::map<Key, SocketAddress> outside_by_key_;
  std::map<SocketAddress, Mapping> mapping_by_outside_;
  std::map<IpAddress, IpAddress> paired_;
  std::map<IpAddress, std::uint16_t> blocks_;  // the first port
  std::map<Stranger, Instant> strangers_;      // ... and when they were last heard
  std::map<SocketAddress, SocketAddress> stream_outside_;
  std::map<SocketAddress, SocketAddress> stream_inside_;
  std::uint16_t next_port_ = 20'000;
  std::uint16_t next_stream_port_ = 50'000;
  bool has_forgotten_ = false;
};

}  // namespace culvert::sim
