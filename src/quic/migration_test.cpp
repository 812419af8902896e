// A client goes from one path to another: any address of its own, any of the server's.
#include "quic/loopback_pair.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kFlowBytes = 3 << 20;

const SocketAddress kSecondOfServer{IpAddress::v4(0x0A000009), 4433};
const SocketAddress kSixthOfServer{IpAddress::parse("fd00::9").value(), 4433};
const SocketAddress kNobody{IpAddress::v4(0x0A0000FF), 4433};

// A client, a server with several addresses, and a flow in both directions that lasts.
class MovingPair {
 public:
  explicit MovingPair(std::size_t size = kFlowBytes) : sent_(size) {
    SeededRng(5).fill(sent_);
    pair.server.on_readable = pair.server.on_writable = [](Connection& c, Stream& s) {
      while (s.input.size() > 0 && s.output.space() > 0) {
        std::array<ByteView, 8> views;
        if (s.input.views(views) == 0) break;
        const ByteView view = views[0].first(std::min(views[0].size(), s.output.space()));
        s.output.append(view);
        c.consume(s, view.size());
      }
      s.wants_space = s.input.size() > 0;
      c.submit(s);
      if (s.is_input_finished() && !s.is_fin_queued) c.finish(s);
    };
    pair.client.on_writable = [this](Connection& c, Stream& s) { pump(c, s); };
    pair.client.on_readable = [this](Connection& c, Stream& s) {
      while (s.input.size() > 0) {
        std::array<ByteView, 8> views;
        if (s.input.views(views) == 0) break;
        received_.insert(received_.end(), views[0].begin(), views[0].end());
        c.consume(s, views[0].size());
      }
    };
    // Nobody is there, whatever is sent to it.
    pair.filter = [this](LoopbackPair::Packet& packet) {
      const SocketAddress& of_server = packet.to_server ? packet.path.local : packet.path.remote;
      return std::ranges::find(gone, of_server) == gone.end();
    };
    connection = &pair.connect();
  }
  void begin() {
    ASSERT_TRUE(pair.establish());
    pair.run_for(1s);  // the handshake is confirmed, and there are spare connection ids
    pump(*connection, *connection->open_stream());
  }
  [[nodiscard]] Status migrate(const PathId& path, Migration migration) {
    return connection->migrate(pair.now, path, migration);
  }
  [[nodiscard]] bool run_until_received(std::size_t bytes, Duration within = 20s) {
    return pair.run_until([&] { return received_.size() >= bytes; }, within);
  }
  // Both ends agree on it.
  [[nodiscard]] bool run_until_on(const PathId& path) {
    return pair.run_until(
        [&] {
          return !pair.client.path_changes.empty() && pair.client.path_changes.back() == path &&
                 connection->path() == path && server().path().local == path.remote &&
                 server().path().remote == path.local;
        },
        2s);
  }
  // Whether a request is answered.
  [[nodiscard]] bool answers() {
    const std::size_t before = received_.size();
    Stream* stream = connection->open_stream();
    stream->output.append(ByteView(sent_).first(100));
    connection->submit(*stream);
    connection->finish(*stream);
    return pair.run_until([&] { return received_.size() == before + 100; }, 1s);
  }
  void expect_all() {
    EXPECT_TRUE(run_until_received(sent_.size(), 60s));
    EXPECT_TRUE(received_ == sent_) << received_.size() << " of " << sent_.size();
    EXPECT_TRUE(pair.client.closed.empty());
  }
  [[nodiscard]] Connection& server() { return *pair.server.connections.at(0); }

  LoopbackPair pair;
  Connection* connection = nullptr;
  std::vector<SocketAddress> gone;

 private:
  void pump(Connection& c, Stream& s) {
    const std::size_t count = std::min(s.output.space(), sent_.size() - at_);
    s.output.append(ByteView(sent_).subspan(at_, count));
    at_ += count;
    s.wants_space = at_ < sent_.size();
    c.submit(s);
    if (at_ == sent_.size() && !s.is_fin_queued) c.finish(s);
  }

  Bytes sent_;
  std::size_t at_ = 0;
  Bytes received_;
};

PathId to_second() {
  return {.local = LoopbackPair::client_address(), .remote = kSecondOfServer};
}

struct Way {
  std::string name;
  PathId path;
  Migration migration;
};

class MigrationWays : public testing::TestWithParam<Way> {};

INSTANTIATE_TEST_SUITE_P(
    All, MigrationWays, testing::ValuesIn([] {
      const SocketAddress other = LoopbackPair::client_address(50'000, 3);
      const SocketAddress sixth{IpAddress::parse("fd00::2").value(), 50'000};
      std::vector<Way> ways;
      for (const auto& [word, migration] :
           {std::pair{std::string("validated"), Migration::validate_first},
            std::pair{std::string("at_once"), Migration::at_once}}) {
        ways.push_back(
            {"from_another_address_" + word, LoopbackPair::client_path(50'000, 3), migration});
        ways.push_back({"to_another_address_" + word, to_second(), migration});
        ways.push_back({"both_" + word, {.local = other, .remote = kSecondOfServer}, migration});
        ways.push_back({"to_another_port_" + word,
                        {.local = LoopbackPair::client_address(),
                         .remote = {LoopbackPair::server_address().ip, 4434}},
                        migration});
        ways.push_back(
            {"to_version_six_" + word, {.local = sixth, .remote = kSixthOfServer}, migration});
      }
      return ways;
    }()),
    [](const auto& info) { return info.param.name; });

TEST_P(MigrationWays, lose_no_byte_and_lead_back) {
  const auto& [name, path, migration] = GetParam();
  MovingPair moving;
  moving.begin();
  ASSERT_TRUE(moving.run_until_received(kFlowBytes / 4));
  ASSERT_TRUE(moving.migrate(path, migration));
  ASSERT_TRUE(moving.run_until_on(path));
  ASSERT_FALSE(moving.pair.client.path_changes.empty());
  EXPECT_EQ(moving.pair.client.path_changes.back(), path) << "as it is, not as ngtcp2 knows it";
  ASSERT_TRUE(moving.migrate(LoopbackPair::client_path(), migration));
  ASSERT_TRUE(moving.run_until_on(LoopbackPair::client_path()));
  moving.expect_all();
  ASSERT_TRUE(moving.migrate(path, migration));
  ASSERT_TRUE(moving.run_until_on(path));
  EXPECT_TRUE(moving.answers());
}

// Every packet says where it goes by its real addresses.
TEST(Migration, sends_from_the_real_address) {
  MovingPair moving;
  moving.begin();
  std::set<SocketAddress> seen;
  const auto deliver = std::exchange(moving.pair.filter, {});
  moving.pair.filter = [&](LoopbackPair::Packet& packet) {
    if (packet.to_server) seen.insert(packet.path.remote);
    return deliver(packet);
  };
  ASSERT_TRUE(moving.migrate(to_second(), Migration::validate_first));
  moving.expect_all();
  EXPECT_EQ(seen, std::set{LoopbackPair::client_address()});
}

TEST(Migration, is_refused_before_the_handshake_is_confirmed_and_to_the_path_in_use) {
  MovingPair moving;
  for (const Migration migration : {Migration::validate_first, Migration::at_once}) {
    const Status early = moving.migrate(to_second(), migration);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().kind, ErrorKind::refused);
  }
  moving.begin();
  EXPECT_FALSE(moving.migrate(LoopbackPair::client_path(), Migration::validate_first));
  EXPECT_FALSE(moving.server().migrate(moving.pair.now, to_second(), Migration::validate_first));
  ASSERT_TRUE(moving.migrate(to_second(), Migration::at_once));
  moving.pair.run_for(100ms);
  EXPECT_FALSE(moving.migrate(to_second(), Migration::validate_first));
  moving.expect_all();
}

// It is not left before another path has proven to work, however often that is tried.
TEST(Migration, stays_where_it_is_when_nobody_answers_elsewhere) {
  MovingPair moving;
  moving.gone = {kNobody};
  moving.begin();
  moving.expect_all();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(moving.migrate({.local = LoopbackPair::client_address(), .remote = kNobody},
                               Migration::validate_first))
        << i;
    EXPECT_TRUE(moving.answers());
    moving.pair.run_for(3s);
    EXPECT_EQ(moving.connection->path(), LoopbackPair::client_path());
  }
  EXPECT_TRUE(moving.pair.client.path_changes.empty());
  ASSERT_TRUE(moving.migrate(to_second(), Migration::validate_first)) << "it can still move";
  moving.pair.run_for(1s);
  EXPECT_EQ(moving.connection->path(), to_second());
}

TEST(Migration, comes_back_from_where_nobody_is) {
  MovingPair moving;
  moving.gone = {kNobody};
  moving.begin();
  ASSERT_TRUE(moving.run_until_received(100'000));
  ASSERT_TRUE(moving.migrate({.local = LoopbackPair::client_address(), .remote = kNobody},
                             Migration::at_once));
  moving.pair.run_for(2s);
  ASSERT_TRUE(moving.migrate(LoopbackPair::client_path(), Migration::at_once));
  moving.expect_all();
}

// Without validation: the server's window is full of packets that nobody gets (decision 0007).
TEST(Migration, goes_to_another_address_when_the_first_dies) {
  MovingPair moving;
  moving.begin();
  ASSERT_TRUE(moving.run_until_received(100'000));
  moving.gone = {LoopbackPair::server_address()};
  moving.pair.run_for(500ms);
  ASSERT_TRUE(moving.migrate(to_second(), Migration::at_once));
  moving.expect_all();
  ASSERT_TRUE(moving.pair.client.closed.empty());
  EXPECT_EQ(moving.connection->path(), to_second());
}

TEST(Migration, happens_any_number_of_times) {
  MovingPair moving(100'000'000);
  moving.begin();
  const std::vector<PathId> paths{
      to_second(),
      LoopbackPair::client_path(50'000, 3),
      {.local = LoopbackPair::client_address(50'000, 3), .remote = kSecondOfServer},
      LoopbackPair::client_path()};
  for (std::size_t i = 0; i < 60; ++i) {
    const PathId& next = paths[i % paths.size()];
    ASSERT_TRUE(moving.migrate(next, i % 3 == 0 ? Migration::at_once : Migration::validate_first))
        << i;
    moving.pair.run_for(500ms);
    ASSERT_EQ(moving.connection->path(), next) << i;
  }
  EXPECT_TRUE(moving.pair.client.closed.empty());
  EXPECT_TRUE(moving.pair.server.closed.empty());
}

// --- against others ------------------------------------------------------------------------------

// Somebody has what the server sent and gives it out as coming from elsewhere. Only the client says
// where the server is.
TEST(Migration, is_not_up_to_who_sends_packets_of_the_server_from_elsewhere) {
  MovingPair moving;
  moving.begin();
  std::vector<LoopbackPair::Packet> copies;
  const auto deliver = std::exchange(moving.pair.filter, {});
  moving.pair.filter = [&](LoopbackPair::Packet& packet) {
    if (!packet.to_server && copies.size() < 200) copies.push_back(packet);
    return deliver(packet);
  };
  for (int i = 0; i < 20; ++i) {
    moving.pair.run_for(20ms);
    for (LoopbackPair::Packet& copy : std::exchange(copies, {})) {
      for (const SocketAddress& from : {kSecondOfServer, kNobody}) {
        copy.path.remote = from;
        moving.pair.deliver(copy);
      }
    }
  }
  EXPECT_EQ(moving.connection->path(), LoopbackPair::client_path());
  EXPECT_TRUE(moving.pair.client.path_changes.empty());
  moving.expect_all();
}

// Who sees a client's packets sends copies of them to another address of the server, in its name,
// and faster than they come.
TEST(Migration, is_not_up_to_who_sends_packets_of_the_client_to_another_address) {
  MovingPair moving;
  moving.begin();
  moving.pair.filter = [&](LoopbackPair::Packet& packet) {
    if (packet.to_server) {
      LoopbackPair::Packet copy = packet;
      copy.path.local = kSecondOfServer;
      moving.pair.wire.emplace(moving.pair.now + moving.pair.delay / 2, std::move(copy));
    }
    return true;
  };
  const Instant begun = moving.pair.now;
  ASSERT_TRUE(moving.run_until_received(kFlowBytes / 2));
  EXPECT_EQ(moving.server().path().local, LoopbackPair::server_address());
  moving.expect_all();
  EXPECT_LT(moving.pair.now - begun, 5s);
}

// RFC 9000 8.1, 9.3: until the client has shown that it gets what is sent there it gets three times
// what it sent there, whatever the server has for it.
TEST(Migration, gets_three_times_as_much_as_it_sends_until_it_has_shown_that_it_gets_it) {
  for (const Migration migration : {Migration::validate_first, Migration::at_once}) {
    MovingPair moving(50'000'000);
    moving.begin();
    ASSERT_TRUE(moving.run_until_received(1'000'000));
    std::size_t to_there = 0;
    std::size_t from_there = 0;
    const PathId elsewhere{.local = LoopbackPair::client_address(50'000, 77),
                           .remote = kSecondOfServer};
    moving.pair.filter = [&](LoopbackPair::Packet& packet) {
      const bool is_there =
          packet.path.local == elsewhere.local || packet.path.remote == elsewhere.local;
      if (is_there) (packet.to_server ? to_there : from_there) += packet.bytes.size();
      return packet.to_server || !is_there;  // another one's address
    };
    ASSERT_TRUE(moving.migrate(elsewhere, migration));
    moving.pair.run_for(3s);
    EXPECT_GT(to_there, 0U);
    EXPECT_GT(from_there, 0U);
    EXPECT_LE(from_there, 3 * to_there);
  }
}

}  // namespace
}  // namespace culvert::quic
