// TLS over links that are slow, cut, reset or half-open; certificates that are and are not to be
// believed.
#include "http/client.h"
#include "http/test_certificate.h"
#include "http/tls_stream.h"
#include "sim/sim_host.h"
#include "sim/tcp_end.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace culvert::sim {
namespace {

using http::Certificate;
using http::TlsCredentials;
using http::TlsStream;
using std::chrono::milliseconds;
using std::chrono::seconds;

const IpAddress kTlsServerIp = *IpAddress::parse("192.0.2.2");
const SocketAddress kTlsServer{kTlsServerIp, 443};

// Generated once: all tests have the same.
struct Certificates {
  Certificate authority{"test authority", nullptr};
  Certificate stranger{"another authority", nullptr};
  Certificate server{"relay.example", &authority};
};
const Certificates& certificates() {
  static const Certificates all;
  return all;
}

// A program at either end: reads all that comes, and writes what it is to write as it can.
struct Talk final : StreamHandler {
  void on_stream_connected(Instant now) override {
    connected_at = now;
    stream->want_readable();
    pump();
  }
  void on_stream_failed(Instant, const Error& error) override { failure = error; }
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 700> block;
    const std::array into{ByteSpan(block).first(500), ByteSpan(block).subspan(500)};
    for (;;) {
      const IoResult result = stream->try_read(into);
      text += as_text(ByteView(block).first(result.bytes));
      last = result.status;
      if (result.status == IoStatus::would_block) return stream->want_readable();
      if (result.status != IoStatus::ok) return;
    }
  }
  void on_stream_writable(Instant) override { pump(); }
  void pump() {
    while (!output.empty()) {
      const std::array from{as_bytes(output)};
      const IoResult result = stream->try_write(from);
      output.erase(0, result.bytes);
      if (result.status == IoStatus::would_block) return stream->want_writable();
      if (result.status == IoStatus::failed) return;
    }
    if (ends_afterwards) stream->shutdown_write();
  }
  void say(std::string_view words, bool is_last = false) {
    output += words;
    ends_afterwards = is_last;
    pump();
  }

  std::unique_ptr<TlsStream> stream;
  std::string text;
  std::string output;
  bool ends_afterwards = false;
  IoStatus last = IoStatus::would_block;
  std::optional<Instant> connected_at;
  std::optional<Error> failure;
};

struct TlsTest : testing::Test, ListenerHandler {
  TlsTest() { start({}); }
  void start(HostKnobs knobs) {
    listener.reset();
    client_host = std::make_unique<SimHost>(client, knobs);
    server_host = std::make_unique<SimHost>(server, knobs);
    listener = *server_host->listen_stream(kTlsServer, Purpose::process, *this);
  }
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
    accepted = dynamic_cast<TcpEnd*>(stream.get());
    if (accepts_by_hand) {
      by_hand = std::move(stream);
      return;
    }
    there.stream = TlsStream::accept(*server_host, std::move(stream), shown, seconds(10), there);
  }
  void connect(std::string name = "relay.example") {
    // Its handler is set by the TLS stream before anything happens.
    auto below = *client_host->connect_stream(kTlsServer, Purpose::process, here);
    here.stream = TlsStream::connect(*client_host, std::move(below), trusted, std::move(name),
                                     seconds(10), here);
  }
  void establish() {
    connect();
    world.run_for(seconds(1));
    ASSERT_TRUE(here.connected_at) << (here.failure ? here.failure->text() : "nothing");
    ASSERT_TRUE(there.connected_at);
  }
  void set_down(bool is_down) { client.uplink().is_down = client.downlink().is_down = is_down; }
  static std::unique_ptr<TlsCredentials> trust_in(const Certificate& authority) {
    const std::string pem = authority.pem();
    return TlsCredentials::of_client({.has_system_roots = false, .authorities_pem = pem}).value();
  }

  World world{1};
  Network network{world};
  Machine& client = network.add_machine("client", {*IpAddress::parse("192.0.2.1")},
                                        {.delay = milliseconds(10)}, {.delay = milliseconds(10)});
  Machine& server = network.add_machine("server", {kTlsServerIp}, {.delay = milliseconds(10)},
                                        {.delay = milliseconds(10)});
  std::shared_ptr<TlsCredentials> trusted = trust_in(certificates().authority);
  std::shared_ptr<TlsCredentials> shown =
      TlsCredentials::of_server(certificates().server.pem(), certificates().server.key_pem())
          .value();
  std::unique_ptr<SimHost> client_host;
  std::unique_ptr<SimHost> server_host;
  TcpEnd* accepted = nullptr;  // below the server's stream
  bool accepts_by_hand = false;
  std::unique_ptr<StreamPort> by_hand;
  Talk here;
  Talk there;
  std::unique_ptr<ListenerPort> listener;
};

TEST_F(TlsTest, carries_bytes_both_ways_and_each_end) {
  const Instant start = world.now();
  establish();
  EXPECT_EQ(*here.connected_at - start, milliseconds(80)) << "a round trip each: TCP, TLS 1.3";
  here.say("hello", true);
  world.run_for(seconds(1));
  EXPECT_EQ(there.text, "hello");
  EXPECT_EQ(there.last, IoStatus::end);
  EXPECT_EQ(here.last, IoStatus::would_block);
  there.say("you", true);
  world.run_for(seconds(1));
  EXPECT_EQ(here.text, "you");
  EXPECT_EQ(here.last, IoStatus::end);
}

TEST_F(TlsTest, carries_much_through_small_buffers_and_system_calls) {
  std::string much;
  SeededRng rng(3);
  while (much.size() < 300'000) much += static_cast<char>(rng.below(256));
  for (const std::size_t step : {0, 1, 7, 4'000}) {
    start({.stream_buffer_bytes = 3'000, .stream_delay = {}, .max_io_bytes = step});
    client.uplink().delay = client.downlink().delay = {};
    server.uplink().delay = server.downlink().delay = milliseconds(1);
    here.stream.reset();
    there.stream.reset();
    here.text.clear();
    there.text.clear();
    here.connected_at.reset();
    there.connected_at.reset();
    establish();
    here.say(much, true);
    there.say(much, true);
    world.run_for(seconds(60));
    EXPECT_EQ(there.text, much) << step;
    EXPECT_EQ(here.text, much) << step;
    EXPECT_EQ(there.last, IoStatus::end);
    EXPECT_EQ(here.last, IoStatus::end);
    here.ends_afterwards = there.ends_afterwards = false;
  }
}

TEST_F(TlsTest, believes_its_authority_alone_and_the_name_that_was_asked_for) {
  const auto error_of = [&](const Certificate& authority, const std::string& name) {
    trusted = trust_in(authority);
    here.failure.reset();
    here.connected_at.reset();
    connect(name);
    world.run_for(seconds(1));
    EXPECT_EQ(here.connected_at.has_value(), !here.failure);
    if (!here.failure) return std::string();
    EXPECT_EQ(here.failure->kind, ErrorKind::authentication);
    EXPECT_EQ(here.failure->offender, name);
    return here.failure->what;
  };
  EXPECT_EQ(error_of(certificates().authority, "relay.example"), "");
  EXPECT_EQ(error_of(certificates().authority, "relay.example."), "") << "as names of relays are";
  EXPECT_EQ(error_of(certificates().authority, "192.0.2.2"), "");
  EXPECT_NE(error_of(certificates().stranger, "relay.example").find("issuer is unknown"),
            std::string::npos);
  EXPECT_NE(error_of(certificates().authority, "evil.example").find("does not match"),
            std::string::npos);
  EXPECT_NE(error_of(certificates().authority, "192.0.2.3").find("does not match"),
            std::string::npos);
}

TEST_F(TlsTest, gives_both_ends_the_same_secret_of_their_own) {
  constexpr std::string_view kLabel = "iroh-relay handshake v1";
  connect();
  std::array<std::uint8_t, 32> early{};
  EXPECT_FALSE(here.stream->export_keying_material(kLabel, early, early));
  world.run_for(seconds(1));
  ASSERT_TRUE(here.connected_at);
  const Bytes context(32, 7);
  std::array<std::uint8_t, 32> ours{};
  std::array<std::uint8_t, 32> theirs{};
  std::array<std::uint8_t, 32> other{};
  EXPECT_TRUE(here.stream->export_keying_material(kLabel, context, ours));
  EXPECT_TRUE(there.stream->export_keying_material(kLabel, context, theirs));
  EXPECT_EQ(ours, theirs);
  EXPECT_TRUE(here.stream->export_keying_material(kLabel, Bytes(32, 8), other));
  EXPECT_NE(ours, other);
  EXPECT_TRUE(here.stream->export_keying_material("another", context, other));
  EXPECT_NE(ours, other);
}

TEST_F(TlsTest, believes_no_authority_of_its_own_making_with_the_systems_roots) {
  auto roots = TlsCredentials::of_client({});
  if (!roots) {  // a machine without ca-certificates
    EXPECT_EQ(roots.error().kind, ErrorKind::configuration);
    return;
  }
  trusted = std::move(*roots);
  connect();
  world.run_for(seconds(1));
  ASSERT_TRUE(here.failure);
  EXPECT_EQ(here.failure->kind, ErrorKind::authentication);
}

// Whoever cuts the connection on the way must not look like an end.
TEST_F(TlsTest, takes_an_end_that_the_other_did_not_say_for_a_failure) {
  establish();
  there.say("some");
  world.run_for(seconds(1));
  EXPECT_EQ(here.text, "some");
  accepted->shutdown_write();  // TCP's FIN, and no close_notify
  world.run_for(seconds(1));
  EXPECT_EQ(here.last, IoStatus::failed);
}

TEST_F(TlsTest, says_its_end_when_it_is_destroyed) {
  establish();
  there.say("bye");
  there.stream.reset();
  world.run_for(seconds(1));
  EXPECT_EQ(here.text, "bye");
  EXPECT_EQ(here.last, IoStatus::end);
}

TEST_F(TlsTest, says_why_there_is_no_handshake) {
  accepts_by_hand = true;
  const auto error_of = [&](auto act) {
    here.failure.reset();
    connect();
    world.run_for(milliseconds(50));
    EXPECT_TRUE(by_hand);
    act();
    world.run_for(seconds(11));
    EXPECT_FALSE(here.connected_at);
    return here.failure ? here.failure->text() : "nothing";
  };
  const auto say = [&](std::string_view words) {
    const std::array from{as_bytes(words)};
    EXPECT_EQ(by_hand->try_write(from).bytes, words.size());
  };
  EXPECT_EQ(error_of([&] { by_hand->reset(); }),
            "relay.example: the connection ended within the TLS handshake");
  EXPECT_EQ(here.failure->kind, ErrorKind::unreachable);
  EXPECT_EQ(error_of([&] { by_hand->shutdown_write(); }),
            "relay.example: the connection ended within the TLS handshake");
  EXPECT_EQ(error_of([] {}), "relay.example: no end of the TLS handshake in time");
  EXPECT_NE(error_of([&] { say("HTTP/1.1 400 Bad Request\r\n\r\n"); }).find("no TLS handshake"),
            std::string::npos);
  EXPECT_EQ(here.failure->kind, ErrorKind::protocol);
  EXPECT_NE(error_of([&] { say({"\x15\x03\x03\x00\x02\x02\x28", 7}); }).find("refuses the TLS"),
            std::string::npos);
  set_down(true);
  here.failure.reset();
  connect();
  world.run_for(seconds(11));
  ASSERT_TRUE(here.failure);
  EXPECT_EQ(here.failure->text(), "relay.example: no connection in time");
}

TEST_F(TlsTest, a_server_waits_for_no_handshake_for_ever_and_takes_no_rubbish) {
  for (const std::string_view words : {"", "GET / HTTP/1.1\r\n\r\n"}) {
    struct Silent final : StreamHandler {
      void on_stream_connected(Instant) override {
        if (words.empty()) return;
        const std::array from{as_bytes(words)};
        EXPECT_EQ(port->try_write(from).bytes, words.size());
      }
      void on_stream_failed(Instant, const Error&) override {}
      void on_stream_readable(Instant) override {}
      void on_stream_writable(Instant) override {}
      std::string_view words;
      std::unique_ptr<StreamPort> port;
    } silent;
    silent.words = words;
    there.failure.reset();
    silent.port = *client_host->connect_stream(kTlsServer, Purpose::process, silent);
    world.run_for(seconds(11));
    ASSERT_TRUE(there.failure) << words;
    EXPECT_EQ(there.failure->kind, words.empty() ? ErrorKind::unreachable : ErrorKind::protocol);
  }
}

TEST_F(TlsTest, outlives_a_link_that_comes_back_and_notices_a_forgotten_connection) {
  establish();
  set_down(true);
  here.say("are you there?");
  world.run_for(seconds(30));
  EXPECT_EQ(there.text, "");
  set_down(false);
  world.run_for(seconds(30));
  EXPECT_EQ(there.text, "are you there?");

  accepted->vanish();
  world.run_for(std::chrono::minutes(60));
  EXPECT_EQ(here.last, IoStatus::would_block);
  here.say("now?");
  world.run_for(seconds(1));
  EXPECT_EQ(here.last, IoStatus::failed);
}

// Between both ends: passes bytes on, and changes one of one direction.
struct Meddler final : ListenerHandler {
  struct Side final : StreamHandler {
    void on_stream_connected(Instant) override {
      port->want_readable();
      pass();
    }
    void on_stream_failed(Instant, const Error&) override { other->port.reset(); }
    void on_stream_readable(Instant) override {
      std::array<std::uint8_t, 1'000> block;
      const std::array into{ByteSpan(block)};
      const IoResult result = port->try_read(into);
      if (result.status == IoStatus::end || result.status == IoStatus::failed) {
        other->port.reset();
        return;
      }
      if (changes_at >= seen && changes_at < seen + result.bytes)
        block.at(changes_at - seen) ^= flip;
      seen += result.bytes;
      waiting.append(as_text(ByteView(block).first(result.bytes)));
      other->pass();
      port->want_readable();
    }
    void on_stream_writable(Instant) override { pass(); }
    void pass() {  // what the other has read
      if (!port || other->waiting.empty()) return;
      const std::array from{as_bytes(other->waiting)};
      other->waiting.erase(0, port->try_write(from).bytes);
      if (!other->waiting.empty()) port->want_writable();
    }
    std::unique_ptr<StreamPort> port;
    Side* other = nullptr;
    std::string waiting;
    std::size_t seen = 0;
    std::size_t changes_at = std::string::npos;
    std::uint8_t flip = 0;
  };
  Meddler(SimHost& its_host, std::uint16_t port)
      : host(its_host),
        listener(*host.listen_stream(SocketAddress{kTlsServerIp, port}, Purpose::process, *this)) {
    from_client.other = &from_server;
    from_server.other = &from_client;
  }
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
    from_client.port = std::move(stream);
    from_client.port->set_handler(from_client);
    from_client.port->want_readable();
    from_server.port = *host.connect_stream(kTlsServer, Purpose::process, from_server);
  }
  SimHost& host;
  std::unique_ptr<ListenerPort> listener;
  Side from_client;
  Side from_server;
};

// Wherever a byte is changed on the way: an error, or nothing that counts; never other data.
TEST_F(TlsTest, lets_nobody_change_a_byte) {
  constexpr std::size_t kChanges = 160;
  std::size_t refused = 0;
  for (std::size_t i = 0; i <= kChanges; ++i) {  // the last time none
    const bool is_of_server = i % 2 == 0;
    Meddler meddler(*server_host, static_cast<std::uint16_t>(1'000 + i));
    Meddler::Side& side = is_of_server ? meddler.from_server : meddler.from_client;
    if (i < kChanges) side.changes_at = 5 * (i / 2);
    side.flip = static_cast<std::uint8_t>(1U << (i % 8));
    here.text.clear();
    there.text.clear();
    here.output.clear();
    there.output.clear();
    here.failure.reset();
    there.failure.reset();
    here.connected_at.reset();
    there.connected_at.reset();
    here.last = there.last = IoStatus::would_block;
    auto below = *client_host->connect_stream(
        SocketAddress{kTlsServerIp, static_cast<std::uint16_t>(1'000 + i)}, Purpose::process, here);
    here.stream = TlsStream::connect(*client_host, std::move(below), trusted, "relay.example",
                                     seconds(3), here);
    world.run_for(seconds(1));
    if (here.connected_at) here.say("from here");
    if (there.connected_at) there.say("from there");
    world.run_for(seconds(11));
    EXPECT_TRUE(there.text.empty() || there.text == "from here") << i;
    EXPECT_TRUE(here.text.empty() || here.text == "from there") << i;
    if (here.failure || there.failure || here.last == IoStatus::failed ||
        there.last == IoStatus::failed) {
      ++refused;
    } else {
      EXPECT_EQ(there.text + here.text, "from herefrom there") << i;
      EXPECT_EQ(side.changes_at == std::string::npos || side.seen <= side.changes_at,
                i == kChanges);
    }
    here.stream.reset();
    there.stream.reset();
  }
  EXPECT_LE(refused, kChanges);
}

TEST_F(TlsTest, carries_calls_of_http) {
  http::Client asks(*client_host,
                    {.host = "relay.example", .reply = {.head_bytes = 1'000, .body_bytes = 1'000}});
  auto below = *client_host->connect_stream(kTlsServer, Purpose::process, here);
  asks.attach(TlsStream::connect(*client_host, std::move(below), trusted, "relay.example",
                                 seconds(10), here));
  std::optional<Result<http::Reply>> got;
  asks.call({.target = "/ping"}, seconds(5),
            [&](Instant, Result<http::Reply> reply) { got = std::move(reply); });
  world.run_for(seconds(1));
  EXPECT_EQ(there.text, "GET /ping HTTP/1.1\r\nHost: relay.example\r\n\r\n");
  there.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  world.run_for(seconds(1));
  ASSERT_TRUE(got && *got) << (got ? got->error().text() : "nothing");
  EXPECT_EQ((*got)->body, "ok");
}

TEST(TlsCredentials, refuse_what_is_no_certificate) {
  const auto none = TlsCredentials::of_client({.has_system_roots = false, .authorities_pem = "x"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::configuration);
  EXPECT_FALSE(TlsCredentials::of_server("x", Secret(std::string("y"))));
  EXPECT_FALSE(
      TlsCredentials::of_server(certificates().server.pem(), certificates().authority.key_pem()))
      << "a key of another certificate";
}

}  // namespace
}  // namespace culvert::sim
