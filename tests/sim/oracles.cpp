#include "tests/sim/oracles.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace culvert::sim {
namespace {

constexpr std::uint32_t kVersion1 = 1;
constexpr std::uint32_t kVersion2 = 0x6b3343cf;
constexpr std::size_t kRetryTagBytes = 16;

enum class Seen : std::uint8_t { initial, zero_rtt, handshake, retry, short_header, other };

// Reads what is not encrypted of a datagram's packets, one after the other (RFC 9000 12.2, 17.2).
class PacketReader {
 public:
  explicit PacketReader(ByteView datagram) : rest_(datagram) {}

  struct Packet {
    Seen kind = Seen::other;
    ByteView token{};
  };
  std::optional<Packet> next() {
    if (rest_.empty()) return std::nullopt;
    const std::uint8_t first = rest_[0];
    if ((first & 0x80) == 0) {
      rest_ = {};
      return Packet{(first & 0x40) != 0 ? Seen::short_header : Seen::other};
    }
    const auto version = number(1, 4);
    if (!version || (*version != kVersion1 && *version != kVersion2)) return give_up();
    std::size_t at = 5;
    for (int id = 0; id < 2; ++id) {
      const auto length = number(at, 1);
      if (!length) return give_up();
      at += 1 + static_cast<std::size_t>(*length);
    }
    // Version 2 counts its types from one (RFC 9369 3.2).
    const unsigned type = ((first >> 4) + (*version == kVersion2 ? 3U : 0U)) & 3U;
    Packet packet{static_cast<Seen>(type)};
    if (packet.kind == Seen::retry) {
      if (rest_.size() > at + kRetryTagBytes) {
        packet.token = rest_.subspan(at, rest_.size() - at - kRetryTagBytes);
      }
      rest_ = {};
      return packet;
    }
    if (packet.kind == Seen::initial) {
      const auto length = varint(at);
      if (!length || rest_.size() - std::min(at, rest_.size()) < *length) return give_up();
      packet.token = rest_.subspan(at, static_cast<std::size_t>(*length));
      at += packet.token.size();
    }
    const auto length = varint(at);
    if (!length || rest_.size() - std::min(at, rest_.size()) < *length) return give_up();
    rest_ = rest_.subspan(at + static_cast<std::size_t>(*length));
    return packet;
  }

 private:
  std::optional<Packet> give_up() {
    rest_ = {};
    return Packet{Seen::other};
  }
  [[nodiscard]] std::optional<std::uint64_t> number(std::size_t at, std::size_t bytes) const {
    if (at > rest_.size() || rest_.size() - at < bytes) return std::nullopt;
    std::uint64_t value = 0;
    for (const std::uint8_t byte : rest_.subspan(at, bytes)) value = value << 8 | byte;
    return value;
  }
  // RFC 9000 16; `at` moves behind it.
  [[nodiscard]] std::optional<std::uint64_t> varint(std::size_t& at) const {
    const auto first = number(at, 1);
    if (!first) return std::nullopt;
    const std::size_t bytes = std::size_t{1} << (*first >> 6);
    const auto value = number(at, bytes);
    if (!value) return std::nullopt;
    at += bytes;
    return *value & ((std::uint64_t{1} << (8 * bytes - 2)) - 1);
  }

  ByteView rest_;
};

}  // namespace

void report_violation(const World& world, const std::string& what) {
  ADD_FAILURE() << fmt::format("CULVERT_SIM_SEED={} at {:.6f} s: {}", world.seed(),
                               in_seconds(world.now().time_since_epoch()), what);
}

void AmplificationWatch::on_received(const SocketAddress& from, ByteView datagram,
                                     Instant sent_at) {
  Peer& peer = peers_[from];
  peer.received += datagram.size();
  if (peer.is_validated) return;
  PacketReader reader(datagram);
  while (const auto packet = reader.next()) {
    const bool has_heard = sent_at > peer.first_sent;
    const bool proves =
        (has_heard && (packet->kind == Seen::handshake || packet->kind == Seen::short_header)) ||
        (!packet->token.empty() && packet->kind == Seen::initial &&
         (proven_.contains(from.ip) ||
          peer.retry_tokens.contains(Bytes(packet->token.begin(), packet->token.end()))));
    if (!proves) continue;
    peer.is_validated = true;
    proven_.insert(from.ip);
  }
}

std::string AmplificationWatch::on_sent(Instant now, const SocketAddress& to, ByteView datagram) {
  Peer& peer = peers_[to];
  peer.sent += datagram.size();
  peer.first_sent = std::min(peer.first_sent, now);
  if (peer.is_validated) return "";
  PacketReader reader(datagram);
  while (const auto packet = reader.next()) {
    if (packet->kind == Seen::retry) {
      peer.retry_tokens.emplace(packet->token.begin(), packet->token.end());
    }
  }
  if (peer.sent <= kMostTimes * peer.received) return "";
  return fmt::format(
      "amplification: {} has not shown that it gets anything, sent {} bytes and got {}", to.text(),
      peer.received, peer.sent);
}

bool AmplificationWatch::is_validated(const SocketAddress& peer) const {
  const auto found = peers_.find(peer);
  return found != peers_.end() && found->second.is_validated;
}

void watch_amplification(const World& world, Machine& machine, std::uint16_t port,
                         AmplificationWatch& watch) {
  machine.set_watch([&world, &watch, port](Instant now, const Packet& packet, bool is_sent) {
    if (is_sent && packet.from.port == port) {
      if (const auto wrong = watch.on_sent(now, packet.to, packet.payload); !wrong.empty()) {
        report_violation(world, wrong);
      }
    } else if (!is_sent && packet.to.port == port) {
      watch.on_received(packet.from, packet.payload, packet.sent_at);
    }
  });
}

std::string QuietWatch::on_sample(Instant now, const Sample& sample) {
  if (!sample.is_quiet || sample.state != last_.state || sample.connections != last_.connections) {
    changed_at_ = now;
    begun_at_.reset();
  }
  last_ = sample;
  if (keep_alive_ <= Duration::zero() || sample.connections == 0) return "";
  if (!begun_at_) {
    if (!sample.is_quiet || now - changed_at_ < kSettled) return "";
    begun_at_ = now;
    bytes_at_begin_ = sample.bytes;
    return "";
  }
  const Duration length = now - *begun_at_;
  if (length < kWindow) return "";
  const std::uint64_t bytes = sample.bytes - bytes_at_begin_;
  const double most =
      static_cast<double>((sample.has_moved ? kMostBytesMoved : kMostBytes) * sample.connections) *
      (in_seconds(length) / in_seconds(keep_alive_) + 1);
  begun_at_ = now;
  bytes_at_begin_ = sample.bytes;
  highest_share_ = std::max(highest_share_, static_cast<double>(bytes) / most);
  if (static_cast<double>(bytes) <= most) return "";
  return fmt::format(
      "a quiet world is not quiet: {} bytes in {:.0f} s on {} connections, where {:.0f} are enough",
      bytes, in_seconds(length), sample.connections, most);
}

std::string beyond_its_limit(std::span<const Bounded> counters) {
  for (const Bounded& counter : counters) {
    if (counter.value <= counter.most) continue;
    return fmt::format("beyond its limit: {} {}, of {}", counter.name, counter.value, counter.most);
  }
  return "";
}

}  // namespace culvert::sim
