// What clients without a credential may do to a server, and to those who have one.
#include "tests/sim/stranger.h"

#include "session/flow_open.h"
#include "session/message.h"
#include "session/mf4_json.h"
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr LinkConfig kWire{.delay = milliseconds(10)};

struct Siege {
  explicit Siege(TunnelWorldConfig config = {}, std::uint64_t seed = 1)
      : tunnel(seed, std::move(config)) {}

  Stranger& stranger(std::vector<IpAddress> addresses) {
    strangers.push_back(std::make_unique<Stranger>(tunnel.network, null_logger(),
                                                   "stranger " + std::to_string(strangers.size()),
                                                   std::move(addresses), kWire, kWire));
    return *strangers.back();
  }
  Visit& visit(Stranger& from, const std::string& alpn = "culvert/1", std::size_t address = 0) {
    return from.visit(TunnelWorld::server_address(), tunnel.server_key.public_key(), alpn, address);
  }
  [[nodiscard]] std::uint64_t connections() const {
    return tunnel.servers[0]->stats().connections_active;
  }
  bool run_until(const std::function<bool()>& is_done, Duration within) {
    return tunnel.world.run_until(is_done, tunnel.world.now() + within);
  }

  TunnelWorld tunnel;
  std::vector<std::unique_ptr<Stranger>> strangers;
};

Bytes hello_message() {
  Bytes hello;
  const std::array<std::uint8_t, 1> versions{1};
  session::MessageBuilder(session::MessageType::hello).bytes(1, versions).append_to(hello);
  return hello;
}

const IpAddress kStrangerIp = IpAddress::v4(0xCB007101);  // 203.0.113.1

// The place of the stream on which the proof was refused comes back to the client when both
// ends of it are over, before the connection closes.
TEST(SimStranger, who_was_refused_opens_no_flow) {
  Siege siege;
  Stranger& stranger = siege.stranger({kStrangerIp});
  Visit& visit = siege.visit(stranger, "mf/4");
  ASSERT_TRUE(siege.run_until([&] { return visit.is_established; }, seconds(2)));
  Bytes guess;
  session::mf4::append_auth_token("i0000000000000000000000000000000000000000000000000000", guess);
  ASSERT_NE(visit.open(guess, true), nullptr);
  Bytes open;
  session::encode_flow_open(session::Dialect::mf_4_token, {.source = "tcp://127.0.0.1:9000"}, open);
  bool has_opened = false;
  for (int i = 0; i < 300 && !visit.is_closed(); ++i) {
    siege.tunnel.world.run_for(milliseconds(10));
    has_opened = has_opened || visit.open(open) != nullptr;
  }
  EXPECT_TRUE(has_opened);
  EXPECT_EQ(siege.tunnel.servers[0]->stats().sessions_refused, 1U);
  EXPECT_EQ(siege.tunnel.servers[0]->stats().flows_opened, 0U);
  EXPECT_TRUE(siege.tunnel.talkers->talkers().empty());
  EXPECT_TRUE(visit.is_closed());
}

// The time belongs to the connection, whatever its client does with it.
TEST(SimStranger, has_ten_seconds_from_its_first_packet_on) {
  enum class Doing : std::uint8_t { nothing, dripping, half_a_proof };
  for (const Doing doing : {Doing::nothing, Doing::dripping, Doing::half_a_proof}) {
    Siege siege;
    Stranger& stranger = siege.stranger({kStrangerIp});
    Visit& visit = siege.visit(stranger);
    const Instant begun = siege.tunnel.world.now();
    ASSERT_TRUE(siege.run_until([&] { return visit.is_established; }, seconds(2)));
    const Bytes hello = hello_message();
    quic::Stream* stream = nullptr;
    if (doing == Doing::half_a_proof) {
      siege.tunnel.world.run_for(seconds(8));
      ASSERT_NE(stream = visit.open(hello), nullptr);
    }
    std::size_t sent = 0;
    while (!visit.is_closed() && siege.tunnel.world.now() < begun + seconds(30)) {
      siege.tunnel.world.run_for(milliseconds(900));
      if (doing != Doing::dripping || visit.is_closed() || sent == hello.size()) continue;
      const ByteView next = ByteView(hello).subspan(sent++, 1);
      if (stream == nullptr) {
        stream = visit.open(next);
      } else {
        visit.send(*stream, next);
      }
    }
    EXPECT_LE(siege.tunnel.world.now(), begun + limits::kHandshakeTimeout + seconds(1));
    ASSERT_TRUE(visit.end);
    EXPECT_EQ(visit.end->application_code,
              static_cast<std::uint64_t>(session::CloseCode::auth_timeout));
    EXPECT_EQ(visit.end->reason, "no authentication within 10 s");
    EXPECT_TRUE(siege.run_until([&] { return siege.connections() == 0; }, seconds(5)));
    EXPECT_EQ(siege.tunnel.servers[0]->stats().sessions_refused, 1U);
  }
}

// Strangers at a thousand addresses, each with a connection that it begins anew as soon as it
// has lost it. Half of them open a stream and send a byte now and then.
class Besiegers {
 public:
  Besiegers(Siege& siege, const std::vector<IpAddress>& addresses)
      : siege_(siege), rng_(siege.tunnel.world.rng_for("besiegers")) {
    Stranger& all = siege.stranger(addresses);
    all.on_established = [](Instant, Visit& visit) {
      if (visit.number % 2 == 0) static_cast<void>(visit.open(Bytes{1}));
    };
    all.on_ended = [this, &all](Instant, Visit& visit) {
      begin_later(all, where_.at(visit.number), kPause);
    };
    for (std::size_t i = 0; i < addresses.size(); ++i) begin_later(all, i, kFirst);
  }

 private:
  static constexpr Duration kFirst = seconds(1);
  static constexpr Duration kPause = milliseconds(800);

  void begin_later(Stranger& all, std::size_t address, Duration within) {
    const auto pause =
        Duration(static_cast<Duration::rep>(rng_.unit() * static_cast<double>(within.count())));
    siege_.tunnel.world.at(siege_.tunnel.world.now() + pause, [this, &all, address](Instant) {
      where_.push_back(address);
      static_cast<void>(siege_.visit(all, "culvert/1", address));
    });
  }

  Siege& siege_;
  SeededRng rng_;
  std::vector<std::size_t> where_;  // by number of the visit
};

std::vector<IpAddress> thousand(std::uint32_t step) {
  std::vector<IpAddress> addresses;
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    addresses.push_back(IpAddress::v4(0xCB000000U + i * step + i / 200));
  }
  return addresses;
}

TEST(SimStrangerFigures, thousand_besiegers_keep_nobody_out_for_two_seconds) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    TunnelWorldConfig config;
    config.client_up.delay = config.client_down.delay = milliseconds(5 * seed * seed);
    config.server_workers = seed % 2 == 0 ? 2 : 1;
    Siege siege(config, seed);
    // In five networks of 200, or each in one of its own.
    const Besiegers besiegers(siege, thousand(seed < 3 ? 1 : 256));
    siege.tunnel.world.run_for(milliseconds(1'500 * (seed - 1)));
    EXPECT_TRUE(siege.tunnel.connect(seconds(2))) << "seed " << seed << siege.tunnel.report();
    std::uint64_t displaced = 0;
    for (const auto& server : siege.tunnel.servers) displaced += server->stats().endpoint.displaced;
    if (seed > 1) {
      EXPECT_GT(displaced, 0U) << "nobody was in the way";
    }
  }
}

}  // namespace
}  // namespace culvert::sim
