// A one-way link with rate, delay and faults; sans-I/O, so that simulation and the
// lab's real forwarder behave alike.
#pragma once

#include "base/datagram.h"
#include "base/rng.h"
#include "base/time.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace culvert::sim {

inline constexpr std::uint8_t kFirstTtl = 64;  // what Linux sends with

// What a router says of a packet that it did not pass on (RFC 792, 4443), to where that came from.
struct IcmpError {
  enum class Kind : std::uint8_t { time_exceeded, too_big };
  Kind kind{};
  SocketAddress about;  // where the packet was to go
  std::size_t mtu = 0;  // too_big: what the next link takes
  friend bool operator==(const IcmpError&, const IcmpError&) = default;
};

struct Packet {
  SocketAddress from;
  SocketAddress to;
  Ecn ecn = Ecn::not_ect;
  Bytes payload;
  std::uint8_t ttl = kFirstTtl;     // routers it may still pass, and one more
  Instant sent_at{};                // when it left its machine: for who watches
  std::optional<IcmpError> icmp{};  // an error, and no datagram
};

// IP and UDP headers, counted against `mtu` and rate (IPv4; IPv6 is close enough here).
inline constexpr std::size_t kHeaderBytes = 28;

// What a queue holds that takes `full` to leave at `bits_per_second`.
[[nodiscard]] constexpr std::size_t queue_bytes_for(std::uint64_t bits_per_second, Duration full) {
  return static_cast<std::size_t>(static_cast<double>(bits_per_second) / 8 * in_seconds(full));
}

struct LinkConfig {
  std::uint64_t bits_per_second = 0;  // 0 = unlimited
  Duration delay{};
  Duration jitter{};        // uniform extra in [0, jitter]; on its own does not reorder
  double loss = 0;          // independent, in the good state
  double burst_start = 0;   // Gilbert-Elliott: chance per packet to enter the bad state
  double burst_end = 0.25;  // ... and to leave it
  double burst_loss = 0.8;  // loss in the bad state
  double duplicate = 0;
  double reorder = 0;        // chance that a packet overtakes or is overtaken: delayed by
  Duration reorder_delay{};  // up to this much, without holding back its successors
  Duration hold_least{};     // wireless: what arrives is held, and leaves together at moments that
  Duration hold_most{};      // are so far apart (zero: at once)
  std::size_t queue_bytes = 256 * 1024;     // beyond: tail drop (only with a rate)
  std::size_t mtu = 65'535;                 // larger packets vanish (no ICMP: a black hole)
  std::size_t header_bytes = kHeaderBytes;  // of each packet, beside its payload
  double mark_ce = 0;                       // chance to set CE on ECN-capable packets
  bool is_down = false;
};

struct LinkStats {
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;  // by chance
  std::uint64_t queue_drops = 0;
  std::uint64_t mtu_drops = 0;
};

class Link {
 public:
  explicit Link(LinkConfig config) : config_(config) {}

  // Changeable at any moment; packets under way keep what they were given.
  [[nodiscard]] LinkConfig& config() { return config_; }
  [[nodiscard]] const LinkConfig& config() const { return config_; }
  void handle_packet(Instant now, Rng& rng, Packet packet);
  // The same for bytes that somebody else keeps (a stream's): when they arrive; none: they are
  // lost.
  [[nodiscard]] std::optional<Instant> carry(Instant now, Rng& rng, std::size_t wire_bytes);
  [[nodiscard]] Instant next_delivery() const;
  [[nodiscard]] std::optional<Packet> poll(Instant now);
  [[nodiscard]] const LinkStats& stats() const { return stats_; }

 private:
  struct InFlight {
    Instant due;
    std::uint64_t sequence;
    Packet packet;
  };
  static bool is_later(const InFlight& a, const InFlight& b);
  [[nodiscard]] bool is_lost(Rng& rng);
  // When the last of the bytes has left; none: the queue is full.
  [[nodiscard]] std::optional<Instant> serialise(Instant now, std::size_t wire_bytes);
  [[nodiscard]] Instant released(Rng& rng, Instant due);
  void schedule(Instant due, Packet packet);

  LinkConfig config_;
  std::vector<InFlight> heap_;
  std::uint64_t next_sequence_ = 0;
  Instant busy_until_{};     // the transmitter is serialising until then
  Instant last_in_order_{};  // jitter alone keeps order
  Instant next_release_{};   // of what is held
  bool is_in_burst_ = false;
  LinkStats stats_;
};

}  // namespace culvert::sim
