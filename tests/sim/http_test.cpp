// HTTP over links that are slow, cut, reset or half-open: the server of the control interface with
// its routes on one machine, clients on another.
#include "admin/api.h"
#include "admin/http_config.h"
#include "http/client.h"
#include "http/server.h"
#include "sim/sim_host.h"
#include "sim/tcp_end.h"
#include "tests/sim/seeds.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const IpAddress kServerIp = *IpAddress::parse("192.0.2.2");
const SocketAddress kServer{kServerIp, 80};
constexpr http::MessageBounds kReply{.head_bytes = 16 << 10, .body_bytes = 1 << 20};

class Role final : public admin::ControlTarget {
 public:
  void collect(Instant now, OnSnapshot done) override {
    done(now, {.role = "server", .version = "1", .state = "serving", .pid = 42});
  }
  void kick(Instant now, std::uint64_t, std::string, OnDone done) override {
    done(now, fail(ErrorKind::not_found, "there is no such session", "7"));
  }
  void change_tunnel(Instant now, admin::TunnelChange, OnDone done) override { done(now, {}); }
  Logger& log() override { return null_logger(); }
};

// A server and a client 20 ms apart.
struct HttpWorld {
  explicit HttpWorld(std::uint64_t seed, HostKnobs knobs = {})
      : world(seed), client_host(client, knobs), server_host(server, knobs) {
    EXPECT_TRUE(http.listen(kServer));
  }
  void set_down(bool is_down) { client.uplink().is_down = client.downlink().is_down = is_down; }
  std::unique_ptr<http::Client> connect(http::MessageBounds bounds = kReply) {
    auto asks = std::make_unique<http::Client>(client_host,
                                               http::ClientConfig{.host = "box", .reply = bounds});
    EXPECT_TRUE(asks->connect(kServer));
    return asks;
  }

  World world;
  Network network{world};
  Machine& client = network.add_machine("client", {*IpAddress::parse("192.0.2.1")},
                                        {.delay = milliseconds(10)}, {.delay = milliseconds(10)});
  Machine& server = network.add_machine("server", {kServerIp}, {.delay = milliseconds(10)},
                                        {.delay = milliseconds(10)});
  SimHost client_host;
  SimHost server_host;
  Role role;
  admin::Api api{role, [] { return admin::ControlCounters{}; }};
  // Requests to /slow are answered when a test does it.
  std::vector<http::Server::Answer> slow;
  http::Server http{server_host, admin::http_config(),
                    [this](Instant now, const http::Request& request, http::Server::Answer answer) {
                      if (request.path == "/slow") return slow.push_back(std::move(answer));
                      api.handle(now, request, std::move(answer));
                    }};
};

// What became of a call.
struct Outcome {
  std::optional<Result<http::Reply>> result;
  Instant at{};
  int count = 0;
  http::Client::Done done() {
    return [this](Instant now, Result<http::Reply> reply) {
      result = std::move(reply);
      at = now;
      ++count;
    };
  }
  [[nodiscard]] std::string error() const {
    return result && !*result ? (*result).error().text() : "no error";
  }
};

TEST(SimHttp, asks_the_control_interface_several_things_over_one_connection) {
  HttpWorld test(1);
  const auto client = test.connect();
  const Instant start = test.world.now();
  Outcome status;
  client->call({.target = "/v1/status"}, seconds(5), status.done());
  EXPECT_TRUE(client->is_busy());
  test.world.run_for(seconds(1));
  ASSERT_TRUE(status.result && *status.result) << status.error();
  EXPECT_EQ((*status.result)->status, 200);
  EXPECT_NE((*status.result)->body.find("\"pid\":42"), std::string::npos);
  EXPECT_EQ(status.at - start, milliseconds(80)) << "one round trip each: TCP, HTTP";

  Outcome kick;
  client->call({.method = "DELETE", .target = "/v1/sessions/7"}, seconds(5), kick.done());
  test.world.run_for(seconds(1));
  ASSERT_TRUE(kick.result && *kick.result) << kick.error();
  EXPECT_EQ((*kick.result)->status, 404);
  EXPECT_TRUE(client->is_open());
  EXPECT_EQ(test.http.dropped_connections(), 0U);
}

TEST(SimHttp, says_when_a_server_does_not_answer_and_when_it_is_not_reached) {
  HttpWorld test(1);
  auto client = test.connect();
  Outcome slow;
  client->call({.target = "/slow"}, seconds(5), slow.done());
  test.world.run_for(seconds(6));
  EXPECT_EQ(slow.error(), "box: it does not answer");
  EXPECT_FALSE(client->is_open());

  test.set_down(true);
  client = test.connect();
  Outcome away;
  client->call({.target = "/healthz"}, seconds(5), away.done());
  test.world.run_for(seconds(6));
  EXPECT_EQ(away.error(), "box: no connection within the time that there is for an answer");
  EXPECT_EQ((*away.result).error().kind, ErrorKind::unreachable);

  Outcome ended;
  client->call({.target = "/healthz"}, seconds(5), ended.done());
  EXPECT_FALSE(ended.result) << "never from inside call()";
  test.world.run_for(seconds(1));
  EXPECT_EQ(ended.error(), "box: the connection has ended");
}

TEST(SimHttp, says_when_nobody_listens) {
  HttpWorld test(1);
  http::Client client(test.client_host, {.host = "box", .reply = kReply});
  ASSERT_TRUE(client.connect(SocketAddress{kServerIp, 81}));
  Outcome refused;
  client.call({}, seconds(5), refused.done());
  test.world.run_for(seconds(1));
  EXPECT_EQ(refused.error(), "box: connection refused");
}

TEST(SimHttp, waits_out_a_link_that_comes_back_in_time) {
  HttpWorld test(1);
  const auto client = test.connect();
  test.world.run_for(milliseconds(50));
  test.set_down(true);
  Outcome late;
  client->call({.target = "/healthz"}, seconds(20), late.done());
  test.world.run_for(seconds(5));
  EXPECT_EQ(late.count, 0);
  test.set_down(false);
  test.world.run_for(seconds(20));
  ASSERT_TRUE(late.result && *late.result) << late.error();
  EXPECT_EQ((*late.result)->body, "ok\n");
}

TEST(SimHttp, refuses_a_reply_beyond_its_bounds) {
  HttpWorld test(1);
  const auto client = test.connect({.head_bytes = 1 << 10, .body_bytes = 10});
  Outcome large;
  client->call({.target = "/v1/openapi.json"}, seconds(5), large.done());
  test.world.run_for(seconds(1));
  EXPECT_NE(large.error().find("box: its answer is no HTTP: body limit"), std::string::npos)
      << large.error();
  EXPECT_EQ((*large.result).error().kind, ErrorKind::protocol);
}

TEST(SimHttp, makes_no_request_out_of_what_is_none) {
  HttpWorld test(1);
  const auto client = test.connect();
  Outcome split;
  client->call({.target = "/ HTTP/1.1\r\nX: y\r\n\r\nGET /slow"}, seconds(5), split.done());
  test.world.run_for(seconds(1));
  ASSERT_TRUE(split.result && !*split.result);
  EXPECT_EQ((*split.result).error().kind, ErrorKind::configuration);
  EXPECT_TRUE(test.slow.empty());
  Outcome next;  // the connection is as good as before
  client->call({.target = "/healthz"}, seconds(5), next.done());
  test.world.run_for(seconds(1));
  EXPECT_TRUE(next.result && *next.result) << next.error();
}

// The other end of a client's stream, by hand: what a server says that is none of ours.
struct HandServer final : ListenerHandler, StreamHandler {
  explicit HandServer(SimHost& host)
      : listener(*host.listen_stream(SocketAddress{kServerIp, 8080}, Purpose::process, *this)) {}
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
    port = std::move(stream);
    port->set_handler(*this);
    port->want_readable();
  }
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant, const Error&) override { port.reset(); }
  void on_stream_writable(Instant) override {}
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 4096> block;
    const std::array into{ByteSpan(block)};
    const IoResult result = port->try_read(into);
    request += as_text(ByteView(block).first(result.bytes));
    if (result.status == IoStatus::ok || result.status == IoStatus::would_block) {
      port->want_readable();
    }
  }
  void say(std::string_view text) const {
    const std::array from{as_bytes(text)};
    EXPECT_EQ(port->try_write(from).bytes, text.size());
  }
  std::unique_ptr<ListenerPort> listener;
  std::unique_ptr<StreamPort> port;
  std::string request;
};

struct HandTest : testing::Test {
  HandTest() {
    EXPECT_TRUE(client->connect(SocketAddress{kServerIp, 8080}));
    test.world.run_for(milliseconds(50));
  }
  void ask(Outcome& outcome) {
    client->call({.target = "/x"}, seconds(5), outcome.done());
    test.world.run_for(milliseconds(50));
  }
  HttpWorld test{1};
  HandServer server{test.server_host};
  std::unique_ptr<http::Client> client = std::make_unique<http::Client>(
      test.client_host, http::ClientConfig{.host = "box", .reply = kReply});
};

TEST_F(HandTest, a_reply_that_is_cut_short_is_no_reply) {
  Outcome cut;
  ask(cut);
  EXPECT_EQ(server.request, "GET /x HTTP/1.1\r\nHost: box\r\n\r\n");
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
  server.port->shutdown_write();
  test.world.run_for(seconds(1));
  ASSERT_TRUE(cut.result && !*cut.result);
  EXPECT_FALSE(client->is_open());
}

TEST_F(HandTest, a_reply_without_a_length_ends_with_the_connection) {
  Outcome whole;
  ask(whole);
  server.say("HTTP/1.0 200 OK\r\n\r\nall of it");
  test.world.run_for(seconds(1));
  EXPECT_EQ(whole.count, 0);
  server.port.reset();
  test.world.run_for(seconds(1));
  ASSERT_TRUE(whole.result && *whole.result) << whole.error();
  EXPECT_EQ((*whole.result)->body, "all of it");
  EXPECT_FALSE(client->is_open());
}

TEST_F(HandTest, a_reset_within_a_reply_is_a_loss) {
  Outcome cut;
  ask(cut);
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
  server.port->reset();
  test.world.run_for(seconds(1));
  EXPECT_EQ(cut.error(), "box: the connection ended before its answer did");
  EXPECT_EQ((*cut.result).error().kind, ErrorKind::lost);
}

// A server that was restarted while nobody asked: known by the next request, not by silence.
TEST_F(HandTest, a_forgotten_connection_is_lost_at_the_next_request) {
  dynamic_cast<TcpEnd&>(*server.port).vanish();
  test.world.run_for(minutes(60));
  EXPECT_TRUE(client->is_open());
  Outcome next;
  const Instant start = test.world.now();
  client->call({.target = "/x"}, seconds(5), next.done());
  test.world.run_for(seconds(10));
  ASSERT_TRUE(next.result && !*next.result);
  EXPECT_EQ((*next.result).error().kind, ErrorKind::lost);
  EXPECT_EQ(next.at - start, milliseconds(40));
}

TEST_F(HandTest, what_comes_unasked_ends_the_connection) {
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  test.world.run_for(seconds(1));
  EXPECT_FALSE(client->is_open());
}

TEST_F(HandTest, a_server_that_drips_has_no_more_time_than_any_other) {
  Outcome slow;
  const Instant start = test.world.now();
  ask(slow);
  server.say("HTTP/1.1 200 OK\r\nX: ");
  for (int i = 0; i < 100 && server.port; ++i) {
    server.say("x");
    test.world.run_for(milliseconds(100));
  }
  EXPECT_EQ(slow.error(), "box: its answer takes too long");
  EXPECT_EQ(slow.at - start, seconds(5));
}

TEST_F(HandTest, an_upgrade_hands_the_stream_over_with_what_came_behind_it) {
  Outcome upgrade;
  ask(upgrade);
  server.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello");
  test.world.run_for(seconds(1));
  ASSERT_TRUE(upgrade.result && *upgrade.result) << upgrade.error();
  auto upgraded = client->take_stream();
  ASSERT_TRUE(upgraded);
  EXPECT_EQ(upgraded->rest, "hello");
  EXPECT_FALSE(client->take_stream());
  client.reset();
  const std::array from{as_bytes(std::string_view("more"))};
  EXPECT_EQ(upgraded->stream->try_write(from).bytes, 4U);
  test.world.run_for(seconds(1));
  EXPECT_TRUE(server.request.ends_with("more"));
}

TEST_F(HandTest, a_client_may_end_in_its_own_answer) {
  client->call({.target = "/x"}, seconds(5), [&](Instant, const Result<http::Reply>& reply) {
    EXPECT_TRUE(reply);
    client.reset();
  });
  test.world.run_for(milliseconds(50));
  server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  test.world.run_for(seconds(1));
  EXPECT_FALSE(client);
}

// A slow line that loses a packet in thirty, and that datagrams share: what is asked comes whole,
// later than it could by the rate alone, and never in disorder.
TEST(SimHttp, answers_come_whole_over_a_slow_link_that_loses_some) {
  static const std::string much = admin::openapi_json();
  constexpr std::uint64_t kRate = 256'000;
  std::uint64_t lost = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    HttpWorld test(seed);
    for (LinkConfig* link : {&test.client.uplink(), &test.client.downlink()}) {
      link->bits_per_second = kRate;
      link->loss = 0.03;
      link->queue_bytes = 16'000;
    }
    const auto client = test.connect();
    const Instant start = test.world.now();
    Outcome outcome;
    client->call({.target = "/v1/openapi.json"}, minutes(2), outcome.done());
    while (!outcome.result && test.world.now() < start + minutes(2)) {
      test.server.send(
          {.from = {{}, 9}, .to = {test.client.addresses().front(), 9}, .payload = Bytes(1'000)});
      test.world.run_for(milliseconds(100));
    }
    ASSERT_TRUE(outcome.result && *outcome.result) << outcome.error();
    EXPECT_EQ((*outcome.result)->body, much) << seed;
    lost += test.client.downlink_stats().lost;
    const double least = static_cast<double>(much.size()) * 8 / kRate;
    EXPECT_GT(in_seconds(outcome.at - start), 1.3 * least) << "a third is others'";
    EXPECT_LT(in_seconds(outcome.at - start), 10 * least);
  }
  EXPECT_GE(lost, 3U);
}

// ... and where nothing comes through for longer than the caller waits, he is told in his time.
TEST(SimHttp, says_in_time_that_a_link_loses_all) {
  HttpWorld test(1);
  test.client.uplink().loss = 0.01;
  const auto client = test.connect();
  test.world.run_for(seconds(1));
  test.client.uplink().loss = 1;
  Outcome outcome;
  const Instant start = test.world.now();
  client->call({.target = "/healthz"}, seconds(5), outcome.done());
  test.world.run_for(seconds(10));
  EXPECT_EQ(outcome.error(), "box: it does not answer");
  EXPECT_EQ(outcome.at - start, seconds(5));
}

// A client that asks one thing after the other, over another connection when one has ended, while
// the link goes down and comes back, and whoever asks may go away. Every call has one end,
// within its patience, and a reply is the right one; when the faults are over all is well again.
SeedOutcome ask_through_faults(std::uint64_t seed) {
  constexpr int kCalls = 40;
  const Duration patience = seconds(8);
  SeededRng rng = World(seed).rng_for("scenario");
  HttpWorld test(seed, {.stream_buffer_bytes = 1U << (13 + rng.below(6)),
                        .max_io_bytes = rng.below(3) == 0 ? 1 + rng.below(100) : 0});
  std::unique_ptr<http::Client> client;
  int under_way = -1;
  int ends = 0;
  int replies = 0;
  std::string why;
  for (int i = 0; i < kCalls && why.empty(); ++i) {
    const bool is_last = i == kCalls - 1;
    if (is_last) {
      test.set_down(false);
      client.reset();
      test.world.run_for(minutes(10));
    }
    if (!client || !client->is_open()) client = test.connect();
    const bool asks_much = rng.below(2) == 0;
    const Instant start = test.world.now();
    bool has_ended = false;
    under_way = i;
    client->call({.target = asks_much ? "/v1/openapi.json" : "/healthz"}, patience,
                 [&, i, start, asks_much](Instant now, const Result<http::Reply>& reply) {
                   if (under_way != i || has_ended) why = "a call ends twice";
                   has_ended = true;
                   ++ends;
                   if (now - start > patience) why = "a call has no end in its time";
                   if (!reply) {
                     if (is_last) why = "after the faults: " + reply.error().text();
                     return;
                   }
                   ++replies;
                   static const std::string much = admin::openapi_json();
                   const std::string_view wanted = asks_much ? std::string_view(much) : "ok\n";
                   if (reply->status != 200 || reply->body != wanted) why = "another answer";
                 });
    const std::uint64_t fault = is_last ? 9 : rng.below(5);
    const Duration before = Duration(rng.below(Duration(milliseconds(150)).count()));
    if (fault == 0) {
      test.world.run_for(before);
      test.set_down(true);
      test.world.run_for(Duration(rng.below(Duration(seconds(12)).count())));
      test.set_down(false);
    } else if (fault == 1) {
      test.world.run_for(before);
      client.reset();  // who asked has gone: his call has no end
      has_ended = true;
    }
    test.world.run_until([&] { return has_ended; }, start + patience + seconds(1));
    if (!has_ended) why = "a call has no end";
    if (client && client->is_busy()) why = "busy after its end";
  }
  if (why.empty() && replies == 0) why = "not one reply";
  if (test.world.is_livelocked()) why = "livelock";
  return {.why = why, .trace_hash = test.world.trace_hash()};
}

TEST(SimHttpSeeds, every_call_has_one_end_in_its_time) {
  try_seeds(200, ask_through_faults);
}

}  // namespace
}  // namespace culvert::sim
