// What holds in every simulated world, whatever its scenario is about. Each watch is told what is
// to be seen from outside and answers with what is wrong, or nothing; TunnelWorld asks them all,
// always.
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "sim/network.h"
#include "sim/world.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace culvert::sim {

// Fails the test that runs, in one line with the seed and the time: how to see it again.
void report_violation(const World& world, const std::string& what);

// RFC 9000 8.1, 9.3: who has not shown that he gets what is sent to his address gets three times
// what came from there, at most. From outside, that is shown by the first packet that left there
// after the server had sent something there, and which only a reader of that could have made: a
// Handshake packet, one with a short header, or an Initial with the token of a Retry to that
// address. (Tokens for another time are seen by nobody: they count from an IP address that has
// shown it before.)
class AmplificationWatch {
 public:
  static constexpr std::uint64_t kMostTimes = 3;

  void on_received(const SocketAddress& from, ByteView datagram, Instant sent_at);
  [[nodiscard]] std::string on_sent(Instant now, const SocketAddress& to, ByteView datagram);
  [[nodiscard]] bool is_validated(const SocketAddress& peer) const;

 private:
  struct Peer {
    std::uint64_t received = 0;  // bytes of datagrams
    std::uint64_t sent = 0;
    Instant first_sent = kNever;
    bool is_validated = false;
    std::set<Bytes> retry_tokens;
  };
  std::map<SocketAddress, Peer> peers_;
  std::set<IpAddress> proven_;
};

// Watches what `machine` sends from that port and gets there. The watch outlives the machine.
void watch_amplification(const World& world, Machine& machine, std::uint16_t port,
                         AmplificationWatch& watch);

// When no flow moves and nothing changes, what a connection costs is known.
class QuietWatch {
 public:
  // Per connection and keep-alive interval, both directions together: a PING and its answer from
  // either end, with what they may carry along.
  static constexpr std::uint64_t kMostBytes = 250;
  // One that has moved may be given other connection ids again and again: where a challenge came by
  // a path on which a server may send nothing yet, ngtcp2 1.11 sets an id aside for the answer,
  // retires it after three probe timeouts, and begins anew.
  static constexpr std::uint64_t kMostBytesMoved = 1'000;
  // After a change the path MTU is looked for, and acknowledgements end what was.
  static constexpr Duration kSettled = std::chrono::seconds(10);
  static constexpr Duration kWindow = std::chrono::seconds(30);

  explicit QuietWatch(Duration keep_alive) : keep_alive_(keep_alive) {}

  struct Sample {
    bool is_quiet = false;    // connected, no flow open
    std::uint64_t state = 0;  // differs when something has happened
    bool has_moved = false;
    std::uint64_t connections = 0;
    std::uint64_t bytes = 0;  // of datagrams, so far
  };
  [[nodiscard]] std::string on_sample(Instant now, const Sample& sample);
  // The most that was seen, of what is allowed.
  [[nodiscard]] double highest_share() const { return highest_share_; }

 private:
  Duration keep_alive_;
  Sample last_;
  Instant changed_at_{};
  std::optional<Instant> begun_at_;
  std::uint64_t bytes_at_begin_ = 0;
  double highest_share_ = 0;
};

// A counter beside its limit.
struct Bounded {
  const char* name;
  std::int64_t value;
  std::int64_t most;
};
// The first that is beyond.
[[nodiscard]] std::string beyond_its_limit(std::span<const Bounded> counters);

}  // namespace culvert::sim
