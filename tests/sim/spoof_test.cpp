// An attacker who sees what a client sends, and sends it from an address of its own, but cannot
// stop the client's packets (RFC 9000 9.3.3, 21.5): the flow neither goes there nor stops.
#include "tests/sim/survival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class Attack : std::uint8_t {
  garbage,     // the right connection id, nothing else
  damaged,     // a real packet with one bit changed
  replayed,    // packets that have arrived already
  raced_some,  // every hundredth packet, before the client's own
  raced_all,   // every packet of two seconds, before the client's own
};

std::string to_text(Attack attack) {
  constexpr const char* kNames[] = {"garbage", "damaged", "replayed", "raced_some", "raced_all"};
  return kNames[static_cast<std::size_t>(attack)];
}

class Attacker final : public PacketSink {
 public:
  void on_refused(Instant, const UdpRefusal&) override {}
  Attacker(TunnelWorld& tunnel, Attack attack)
      : tunnel_(tunnel),
        attack_(attack),
        machine_(tunnel.network.add_machine("attacker", {IpAddress::v4(kAddress)})) {
    EXPECT_TRUE(machine_.bind_udp({IpAddress::v4(kAddress), kPort}, false, *this));
    tunnel_.network.tap = [this](Instant now, Packet& packet) {
      on_packet(now, packet);
      return true;
    };
  }
  ~Attacker() override { tunnel_.network.tap = nullptr; }

  void start(Duration length) { end_ = tunnel_.world.now() + length; }
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  [[nodiscard]] std::uint64_t bytes_received() const { return bytes_received_; }
  [[nodiscard]] std::uint64_t packets_sent() const { return packets_sent_; }

 private:
  static constexpr std::uint32_t kAddress = 0xcb007142;  // 203.0.113.66
  static constexpr std::uint16_t kPort = 6666;

  void deliver(Instant, Packet packet) override { bytes_received_ += packet.payload.size(); }

  void on_packet(Instant now, const Packet& packet) {
    if (is_busy_ || now >= end_ || packet.to.port != TunnelWorld::kServerPort) return;
    ++seen_;
    Packet copy = packet;
    copy.from = {IpAddress::v4(kAddress), kPort};
    switch (attack_) {
      case Attack::garbage:
        std::fill(copy.payload.begin() + 12, copy.payload.end(), std::uint8_t{0x5a});
        break;
      case Attack::damaged:
        copy.payload.back() ^= 1;
        break;
      case Attack::replayed:
        std::swap(copy, before_);
        if (copy.payload.empty()) return;
        break;
      case Attack::raced_some:
        if (seen_ % 100 != 0) return;
        break;
      case Attack::raced_all:
        break;
    }
    bytes_sent_ += copy.payload.size();
    ++packets_sent_;
    is_busy_ = true;
    tunnel_.network.inject(std::move(copy));
    is_busy_ = false;
  }

  TunnelWorld& tunnel_;
  Attack attack_;
  Machine& machine_;
  Packet before_;
  Instant end_{};
  std::uint64_t seen_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t packets_sent_ = 0;
  bool is_busy_ = false;
};

constexpr std::uint32_t kBytes = 8'000'000;
constexpr Duration kAttack = seconds(2);

// What is no valid packet, or an old one, changes nothing. A valid one that comes from elsewhere
// first is how a real move looks, but for the client's own, which comes soon after.
constexpr Duration kLongestSilence = milliseconds(250);

TEST(SimSpoof, off_path_attacker_neither_takes_nor_stops_a_flow) {
  for (const Attack attack : {Attack::garbage, Attack::damaged, Attack::replayed,
                              Attack::raced_some, Attack::raced_all}) {
    SCOPED_TRACE(to_text(attack));
    TunnelWorldConfig config;
    for (LinkConfig* link : {&config.client_up, &config.client_down}) {
      link->bits_per_second = 20'000'000;
      link->delay = milliseconds(10);
      link->queue_bytes = 128 * 1024;
      link->mtu = 1'500;
    }
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    Attacker attacker(tunnel, attack);
    const Talker& talker =
        tunnel.call({.seed = 1, .upload_bytes = kBytes, .download_bytes = kBytes});
    tunnel.world.run_for(seconds(1));
    attacker.start(kAttack);
    const Instant over = tunnel.world.now() + kAttack;
    const std::uint64_t before_attack = talker.received();
    std::uint64_t during_attack = 0;
    Duration longest{};
    Instant last = tunnel.world.now();
    const Instant end = last + seconds(30);
    while (talker.state() == Talker::State::running && tunnel.world.now() < end) {
      const std::uint64_t before = talker.received();
      tunnel.world.run_until(
          [&] { return talker.received() != before || talker.state() != Talker::State::running; },
          end);
      longest = std::max(longest, tunnel.world.now() - last);
      last = tunnel.world.now();
      if (last <= over) during_attack = talker.received() - before_attack;
    }
    EXPECT_GT(attacker.packets_sent(), 5U);
    EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
    EXPECT_FALSE(talker.has_wrong_bytes());
    EXPECT_EQ(talker.received(), kBytes);
    // An address that has proven nothing gets three times what it sent (RFC 9000 8.1).
    EXPECT_LE(attacker.bytes_received(), 3 * attacker.bytes_sent());
    EXPECT_LE(longest, kLongestSilence);
    // 20 Mbit/s, headers and a first second of getting up to speed aside.
    EXPECT_GE(during_attack, kAttack / seconds(1) * 2'250'000);
    const bool is_unnoticed = attack != Attack::raced_some && attack != Attack::raced_all;
    if (is_unnoticed) {
      EXPECT_EQ(attacker.bytes_received(), 0U);
    }
  }
}

}  // namespace
}  // namespace culvert::sim
