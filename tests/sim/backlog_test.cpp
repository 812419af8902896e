// One flow's backlog holds no other flow's credit: whatever number of readers has stopped or is
// slow, in either direction, on any network and over the loss of connections, who reads is served
// as without them (docs/decisions/0014).
//
// One seed alone: CULVERT_SIM_SEED=8 build/release/tests/sim/sim_backlog_test
#include "sim/world.h"
#include "tests/sim/survival.h"
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const IpAddress kLoopback = IpAddress::loopback(Family::v4);

constexpr std::uint32_t kEndless = 400'000'000;
constexpr std::uint32_t kAsGoodAsNever = 3'000'000'000;  // microseconds
constexpr std::uint16_t kUdpTarget = 9053;
constexpr std::uint16_t kUdpLocal = 5353;
// No packet holds it: it goes by its flow's stream.
constexpr std::size_t kLargeDatagram = 8'000;

// What happens to the network once all readers have what they take.
enum class Weather : std::uint8_t {
  calm,
  lossy,   // all the time: packets are lost, and overtake each other
  outage,  // longer than a connection lives: the session is resumed
  roaming,
};

struct Drawn {
  TunnelWorldConfig config;
  Duration round_trip{};
  std::vector<FlowPlan> readers;  // that have stopped or are slow
  int times = 1;                  // that the weather comes
};

FlowPlan draw_reader(Rng& rng, std::uint64_t seed, bool has_stopped) {
  FlowPlan plan{.seed = seed};
  (rng.below(2) == 0 ? plan.upload_bytes : plan.download_bytes) = kEndless;
  if (has_stopped) {
    plan.read_chunk_bytes = 1 + static_cast<std::uint32_t>(rng.below(2'000));
    plan.read_pause_us = kAsGoodAsNever;
    if (rng.below(3) == 0) plan.read_before_pause = static_cast<std::uint32_t>(rng.below(200'000));
  } else {  // 200 kB/s
    plan.read_chunk_bytes = 4'000;
    plan.read_pause_us = 20'000;
  }
  return plan;
}

Drawn draw(std::uint64_t seed, Weather weather) {
  SeededRng rng = SeededRng(seed).split(static_cast<std::uint64_t>(weather));
  Drawn drawn;
  const Duration one_way = milliseconds(1 + rng.below(50));
  drawn.round_trip = 2 * one_way;
  const std::uint64_t rate = 50'000'000 + rng.below(150'000'000);
  for (LinkConfig* link : {&drawn.config.client_up, &drawn.config.client_down}) {
    link->bits_per_second = rate;
    link->delay = one_way;
    link->mtu = 1'500;
    if (weather != Weather::lossy) continue;
    link->loss = 0.02 * rng.unit();
    link->reorder = 0.02 * rng.unit();
    link->reorder_delay = one_way / 2;
  }
  drawn.config.tunnels.push_back("udp://127.0.0.1:9053>127.0.0.1:5353");
  drawn.config.udp_flow_idle = seconds(600);
  if (seed % 3 == 0) {  // few seeds are run: each weather has its striped flows
    drawn.config.multipath = Multipath::aggregate;
    drawn.config.second_client_interface =
        SecondInterface{.up = drawn.config.client_up, .down = drawn.config.client_down};
  }
  if (weather == Weather::outage) drawn.times = 1 + static_cast<int>(rng.below(3));
  const std::size_t stalled = rng.below(4) == 0 ? 200 + rng.below(400) : 1 + rng.below(60);
  const std::size_t slow = rng.below(4);
  for (std::size_t i = 0; i < stalled + slow; ++i) {
    drawn.readers.push_back(draw_reader(rng, seed * 1'000 + i, i < stalled));
  }
  return drawn;
}

// A program that answers each large datagram, or sends them and waits for the answers.
class LargeUdp final : public UdpHandler {
 public:
  LargeUdp(SimHost& host, std::uint16_t at_port, bool answers)
      : answers_(answers), port_(*host.open_udp({.bind = {kLoopback, at_port}}, *this)) {}
  void send(const SocketAddress& to) { send(to, Bytes(kLargeDatagram, 'x')); }
  [[nodiscard]] std::size_t received() const { return received_; }

  void on_udp_readable(Instant) override {
    std::array<RxDatagram, 1> batch;
    while (port_->recv_batch(batch) == 1) {
      ++received_;
      EXPECT_EQ(batch[0].bytes.size(), kLargeDatagram);
      if (answers_) send(batch[0].path.remote, batch[0].bytes);
    }
  }
  void on_udp_writable(Instant) override {}

 private:
  void send(const SocketAddress& to, ByteView bytes) {
    const TxBatch batch{.path = {.local = {}, .remote = to},
                        .segment_size = static_cast<std::uint16_t>(bytes.size()),
                        .bytes = bytes};
    static_cast<void>(port_->send_batch({&batch, 1}));
  }

  bool answers_;
  std::unique_ptr<UdpPort> port_;
  std::size_t received_ = 0;
};

// How long quick flows take, sorted.
struct Delays {
  std::vector<Duration> tcp;  // 64 bytes and an answer of as many, each on a new connection
  std::vector<Duration> udp;  // large datagrams and their answers, of one flow
};

void measure_tcp(TunnelWorld& tunnel, std::vector<Duration>& delays) {
  const Instant start = tunnel.world.now();
  const Talker& quick = tunnel.call({.seed = 1, .upload_bytes = 64, .download_bytes = 64});
  EXPECT_TRUE(tunnel.world.run_until([&] { return quick.state() != Talker::State::running; },
                                     start + seconds(20)))
      << quick.describe();
  EXPECT_EQ(quick.state(), Talker::State::finished);
  delays.push_back(tunnel.world.now() - start);
}

void measure_udp(TunnelWorld& tunnel, LargeUdp& sender, std::vector<Duration>& delays) {
  const Instant start = tunnel.world.now();
  const std::size_t before = sender.received();
  sender.send({kLoopback, kUdpLocal});
  EXPECT_TRUE(
      tunnel.world.run_until([&] { return sender.received() > before; }, start + seconds(20)));
  delays.push_back(tunnel.world.now() - start);
}

void set_all_down(TunnelWorld& tunnel, bool is_down) {
  set_link_down(tunnel, is_down);
  if (tunnel.second_interface == nullptr) return;
  tunnel.second_interface->up.config().is_down = is_down;
  tunnel.second_interface->down.config().is_down = is_down;
}

void strike(TunnelWorld& tunnel, Weather weather) {
  Machine& client = *tunnel.client_machine;
  if (weather == Weather::roaming) {
    std::vector<IpAddress> addresses = client.addresses();
    addresses[0] = IpAddress::v4(0xcb007109);
    client.set_addresses(std::move(addresses));
  } else if (weather == Weather::outage) {
    const std::uint64_t resumed = tunnel.client->stats().sessions_resumed;
    set_all_down(tunnel, true);
    tunnel.world.run_for(seconds(40));
    set_all_down(tunnel, false);
    client.set_addresses(client.addresses());  // as the kernel says when an interface is up
    EXPECT_TRUE(
        tunnel.world.run_until([&] { return tunnel.client->stats().sessions_resumed > resumed; },
                               tunnel.world.now() + seconds(20)));
  }
  if (weather == Weather::outage || weather == Weather::roaming) {
    // A new connection lets everybody have a little more: beside so many the link is full for as
    // long as that takes, and whoever comes now has his part of it.
    std::vector<Duration> first;
    measure_tcp(tunnel, first);
    EXPECT_LE(first[0], seconds(2));
    tunnel.world.run_for(seconds(20));
  }
}

Delays delays_beside(std::uint64_t seed, const Drawn& drawn, Weather weather, bool with_readers) {
  TunnelWorld tunnel(seed, drawn.config);
  EXPECT_TRUE(tunnel.connect());
  LargeUdp target(*tunnel.server_hosts[0], kUdpTarget, true);
  LargeUdp sender(*tunnel.client_host, 0, false);
  Delays delays;
  measure_udp(tunnel, sender, delays.udp);  // its flow begins before theirs
  if (with_readers) {
    for (const FlowPlan& plan : drawn.readers) tunnel.call(plan);
  }
  tunnel.world.run_for(seconds(30));  // they have what they take
  delays.udp.clear();
  for (int time = 0; time < drawn.times; ++time) {
    strike(tunnel, weather);
    for (int i = 0; i < 20; ++i) {
      measure_tcp(tunnel, delays.tcp);
      measure_udp(tunnel, sender, delays.udp);
      tunnel.world.run_for(milliseconds(100));
    }
  }
  EXPECT_EQ(tunnel.client->stats().flows_active, 1 + (with_readers ? drawn.readers.size() : 0));
  std::ranges::sort(delays.tcp);
  std::ranges::sort(delays.udp);
  return delays;
}

void expect_undisturbed(std::uint64_t seed, Weather weather) {
  const Drawn drawn = draw(seed, weather);
  const Delays alone = delays_beside(seed, drawn, weather, false);
  const Delays beside = delays_beside(seed, drawn, weather, true);
  const auto compare = [&](const char* what, std::vector<Duration> Delays::* of) {
    // Of three packets of a request one is lost in 6 % of them: the upper quartile has none.
    const std::size_t judged =
        weather == Weather::lossy ? (alone.*of).size() * 3 / 4 : (alone.*of).size() - 1;
    EXPECT_LE((beside.*of)[judged], (alone.*of)[judged] + drawn.round_trip + milliseconds(20))
        << "CULVERT_SIM_SEED=" << seed << " " << what << ": " << drawn.readers.size()
        << " readers, round trip " << drawn.round_trip / milliseconds(1) << " ms, alone "
        << (alone.*of)[judged] / milliseconds(1) << " ms, beside them "
        << (beside.*of)[judged] / milliseconds(1) << " ms";
  };
  compare("TCP", &Delays::tcp);
  compare("large datagrams", &Delays::udp);
}

// Each world carries some hundred flows: fewer seeds than in other scenarios.
void expect_undisturbed(Weather weather) {
  if (std::getenv("CULVERT_SIM_SEED") != nullptr) {
    expect_undisturbed(number_from_environment("CULVERT_SIM_SEED", 0), weather);
    return;
  }
  const std::uint64_t seeds = number_from_environment("CULVERT_SIM_SEEDS", 150) / 50;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) expect_undisturbed(seed, weather);
}

TEST(SimBacklogFigures, of_readers_that_stop_or_are_slow_disturbs_no_other_flow) {
  expect_undisturbed(Weather::calm);
}

TEST(SimBacklogFigures, disturbs_nobody_where_packets_are_lost_and_overtake) {
  expect_undisturbed(Weather::lossy);
}

TEST(SimBacklogFigures, disturbs_nobody_once_the_session_is_resumed) {
  expect_undisturbed(Weather::outage);
}

TEST(SimBacklogFigures, disturbs_nobody_when_the_client_roams) {
  expect_undisturbed(Weather::roaming);
}

// --- bulk ----------------------------------------------------------------------------------------

TunnelWorldConfig ordinary(std::uint64_t bits_per_second, Duration one_way) {
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = bits_per_second;
    link->delay = one_way;
  }
  return config;
}

// How long a flow of this plan takes.
Duration duration_of(TunnelWorld& tunnel, const FlowPlan& plan) {
  const Instant start = tunnel.world.now();
  const Talker& talker = tunnel.call(plan);
  EXPECT_TRUE(tunnel.world.run_until([&] { return talker.state() == Talker::State::finished; },
                                     start + seconds(60)))
      << talker.describe();
  return tunnel.world.now() - start;
}

// A flow that is read has half of its speed at least beside a thousand that have stopped, wherever
// that was.
TEST(SimBacklogFigures, of_a_thousand_stalled_readers_leaves_bulk_its_speed) {
  const std::vector<std::vector<std::uint32_t>> stops{
      {0, 150'000}, {0, 10'000, 400'000}, {100'000, 800'000}};
  for (const auto& after : stops) {
    for (const bool is_upload : {false, true}) {
      TunnelWorldConfig config = ordinary(100'000'000, milliseconds(10));
      config.client_knobs.stream_buffer_bytes = config.server_knobs.stream_buffer_bytes = 64'000;
      TunnelWorld tunnel(1, config);
      ASSERT_TRUE(tunnel.connect());
      FlowPlan bulk{.seed = 5'000};
      (is_upload ? bulk.upload_bytes : bulk.download_bytes) = 40'000'000;
      const Duration alone = duration_of(tunnel, bulk);
      for (std::uint64_t i = 0; i < 1'000; ++i) {
        FlowPlan plan{.seed = i,
                      .read_chunk_bytes = 4'000,
                      .read_pause_us = kAsGoodAsNever,
                      .read_before_pause = after[i % after.size()]};
        (is_upload ? plan.upload_bytes : plan.download_bytes) = kEndless;
        tunnel.call(plan);
        if (i % 50 == 49) tunnel.world.run_for(milliseconds(500));
      }
      tunnel.world.run_for(seconds(60));
      const Duration beside = duration_of(tunnel, bulk);
      EXPECT_LE(beside, 2 * alone)
          << (is_upload ? "upload" : "download") << " alone " << alone / milliseconds(1)
          << " ms, beside " << beside / milliseconds(1) << " that read " << after.back();
    }
  }
}

// Of more flows than may wait the later ones are refused: those that there are get on.
TEST(SimBacklogFigures, of_five_thousand_refuses_others_and_holds_up_none) {
  for (const bool is_upload : {false, true}) {
    TunnelWorldConfig config = ordinary(100'000'000, milliseconds(10));
    config.client_knobs.stream_buffer_bytes = config.server_knobs.stream_buffer_bytes = 4'096;
    config.tunnels.push_back("udp://127.0.0.1:9053>127.0.0.1:5353");
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    LargeUdp target(*tunnel.server_hosts[0], kUdpTarget, true);
    LargeUdp sender(*tunnel.client_host, 0, false);
    // 1 MB/s each.
    const FlowPlan slow{.seed = 1, .read_chunk_bytes = 4'000, .read_pause_us = 4'000};
    FlowPlan plan = slow;
    plan.download_bytes = kEndless;
    const Talker& download = tunnel.call(plan);
    plan = slow;
    plan.upload_bytes = kEndless;
    tunnel.call(plan);
    tunnel.world.run_for(seconds(5));
    const Talker& upload = *tunnel.talkers->talkers().back();
    struct Observed {
      Duration longest{};  // of a large datagram and its answer
      std::uint64_t down, up;
    };
    const auto observe = [&] {
      const std::uint64_t down = download.received();
      const std::uint64_t up = upload.received();
      std::vector<Duration> delays;
      const Instant end = tunnel.world.now() + seconds(5);
      while (tunnel.world.now() < end) {
        measure_udp(tunnel, sender, delays);
        tunnel.world.run_for(milliseconds(100));
      }
      return Observed{.longest = std::ranges::max(delays),
                      .down = download.received() - down,
                      .up = upload.received() - up};
    };
    const Observed alone = observe();
    const std::size_t first = tunnel.callers.size();
    for (std::uint64_t i = 0; i < 5'000; ++i) {
      FlowPlan stopped{.seed = i, .read_chunk_bytes = 1, .read_pause_us = kAsGoodAsNever};
      (is_upload ? stopped.upload_bytes : stopped.download_bytes) = kEndless;
      tunnel.call(stopped);
      if (i % 50 == 49) tunnel.world.run_for(milliseconds(200));
    }
    tunnel.world.run_for(seconds(10));
    std::size_t refused = 0;
    for (std::size_t i = first; i < tunnel.callers.size(); ++i) {
      if (tunnel.callers[i]->state() == Talker::State::reset) ++refused;
    }
    EXPECT_GE(refused, 1'000U);
    EXPECT_LE(refused, 3'500U);
    const auto beside = observe();
    EXPECT_LE(beside.longest, alone.longest + milliseconds(40));
    // They may have a first window a round trip at least.
    EXPECT_GE(beside.down, alone.down / 2);
    EXPECT_GE(beside.up, alone.up / 2);
    if (is_upload) continue;  // their targets are still there
    // Once they are gone there is room again.
    tunnel.callers.resize(first);
    tunnel.world.run_for(seconds(10));
    duration_of(tunnel, {.seed = 2, .upload_bytes = 64, .download_bytes = 64});
  }
}

// --- bounds --------------------------------------------------------------------------------------

// Each time a session comes back a little more may wait of who does not read. What that comes to
// is bounded, and costs the largest of them their flows, nobody else.
TEST(SimBacklog, that_grows_with_every_outage_costs_the_largest_flows) {
  for (const bool is_upload : {false, true}) {
    TunnelWorldConfig config = ordinary(100'000'000, milliseconds(5));
    config.transport.session_buffer_bytes = 2 << 20;
    config.client_knobs.stream_buffer_bytes = config.server_knobs.stream_buffer_bytes = 4'096;
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    constexpr std::uint64_t kFlows = 20;
    for (std::uint64_t i = 0; i < kFlows; ++i) {
      FlowPlan plan{.seed = i, .read_chunk_bytes = 1, .read_pause_us = kAsGoodAsNever};
      (is_upload ? plan.upload_bytes : plan.download_bytes) = kEndless;
      tunnel.call(plan);
    }
    const auto dropped = [&] {
      return tunnel.servers[0]->stats().flows_dropped + tunnel.client->stats().flows_dropped;
    };
    int outages = 0;
    for (; outages < 20 && dropped() == 0; ++outages) {
      tunnel.world.run_for(seconds(20));
      EXPECT_LE(duration_of(tunnel, {.seed = 1'000, .upload_bytes = 64, .download_bytes = 64}),
                milliseconds(200))
          << outages;
      set_link_down(tunnel, true);
      tunnel.world.run_for(seconds(35));
      set_link_down(tunnel, false);
      tunnel.world.run_for(seconds(25));
    }
    EXPECT_GT(outages, 1) << "it bears one";
    EXPECT_GE(dropped(), 1U);
    EXPECT_LE(dropped(), kFlows / 2);
    EXPECT_EQ(tunnel.client->stats().flows_active, kFlows - dropped());
    EXPECT_EQ(tunnel.servers[0]->stats().flows_active, kFlows - dropped());
    EXPECT_LE(duration_of(tunnel, {.seed = 1'000, .upload_bytes = 64, .download_bytes = 64}),
              milliseconds(200));
  }
}

TEST(SimBacklog, of_sessions_without_a_connection_counts_for_the_process) {
  constexpr std::int64_t kProcess = 64 << 20;
  TunnelWorldConfig config = ordinary(100'000'000, milliseconds(5));
  const auto process = std::make_shared<buffers::ProcessBudget>(kProcess);
  config.transport.process_buffers = process;
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  for (std::uint64_t i = 0; i < 300; ++i) {
    FlowPlan plan{.seed = i, .read_chunk_bytes = 1, .read_pause_us = kAsGoodAsNever};
    (i % 2 == 0 ? plan.upload_bytes : plan.download_bytes) = kEndless;
    tunnel.call(plan);
  }
  tunnel.world.run_for(seconds(20));
  set_link_down(tunnel, true);
  tunnel.world.run_for(seconds(40));
  // 300 first windows at least, but for the share of each session that is its own.
  EXPECT_LE(process->free_bytes(), kProcess - 300 * 16'384 + 2 * 256 * 1'024);
  tunnel.world.run_for(seconds(120));  // beyond the grace
  EXPECT_GE(process->free_bytes(), kProcess - 256 * 1'024) << "given back in such steps";
}

TEST(SimBacklog, that_is_gone_leaves_no_memory_behind) {
  TunnelWorld tunnel(1, ordinary(1'000'000'000, milliseconds(5)));
  ASSERT_TRUE(tunnel.connect());
  for (std::uint64_t i = 0; i < 400; ++i) {
    tunnel.call({.seed = i,
                 .download_bytes = kEndless,
                 .read_pause_us = kAsGoodAsNever,
                 .read_before_pause = 50'000});
  }
  tunnel.world.run_for(seconds(20));
  EXPECT_EQ(tunnel.client_host->memory_returns(), 0U);
  tunnel.callers.clear();
  tunnel.world.run_for(seconds(10));
  EXPECT_EQ(tunnel.client_host->memory_returns(), 1U);
}

}  // namespace
}  // namespace culvert::sim
