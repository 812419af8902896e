// A server of HTTP over TLS whose connections change to WebSocket, as a relay's do, over links.
#include "http/client.h"
#include "http/server.h"
#include "http/test_certificate.h"
#include "http/websocket.h"
#include "sim/sim_host.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using http::Certificate;
using http::TlsCredentials;
using http::TlsStream;
using http::WebSocketEnd;
using http::WebSocketKind;
using std::chrono::milliseconds;
using std::chrono::seconds;

const SocketAddress kRelay{*IpAddress::parse("192.0.2.2"), 443};
constexpr std::size_t kMessageBytes = 1 << 16;

// One end of a WebSocket; a server's answers each message with the same.
struct Socket final : StreamHandler {
  Socket(WebSocketEnd which, SimHost& its_host) : end(which), host(its_host) {}
  void take(std::unique_ptr<StreamPort> its_stream, std::string_view rest) {
    stream = std::move(its_stream);
    stream->set_handler(*this);
    reader.add(as_bytes(rest));
    read_messages();
    stream->want_readable();
  }
  void send(std::string_view text) {
    Bytes frame;
    http::append_message(frame, end, host.rng(), WebSocketKind::text, as_bytes(text));
    const std::array from{ByteView(frame)};
    EXPECT_EQ(stream->try_write(from).bytes, frame.size());
  }
  void read_messages() {
    while (auto message = reader.next()) {
      got.emplace_back(as_text(message->payload));
      if (end == WebSocketEnd::server) send(got.back());
    }
  }
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant, const Error&) override { has_ended = true; }
  void on_stream_writable(Instant) override {}
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 4096> block;
    for (;;) {
      const std::array into{ByteSpan(block)};
      const IoResult result = stream->try_read(into);
      reader.add(ByteView(block).first(result.bytes));
      read_messages();
      if (result.status == IoStatus::would_block) return stream->want_readable();
      if (result.status != IoStatus::ok) {
        has_ended = true;
        return;
      }
    }
  }

  WebSocketEnd end;
  SimHost& host;
  http::WebSocketReader reader{end, kMessageBytes};
  std::unique_ptr<StreamPort> stream;
  std::vector<std::string> got;
  bool has_ended = false;
};

std::shared_ptr<const TlsCredentials> shown_by(const Certificate& certificate) {
  return TlsCredentials::of_server(certificate.pem(), certificate.key_pem()).value();
}

struct UpgradeTest : testing::Test {
  UpgradeTest() { EXPECT_TRUE(relay.listen(kRelay)); }

  static http::ServerConfig config() {
    return {.times = {.idle = seconds(10),
                      .request = seconds(5),
                      .answer = seconds(5),
                      .heartbeat = seconds(20)},
            .request = {.head_bytes = 4096, .body_bytes = 4096},
            .max_connections = 2,
            .max_subscribers = 1,
            .event_bytes = 4096,
            .error_page =
                [](int status, std::string_view what, std::string_view, std::string_view) {
                  return http::Response{.status = status, .body = std::string(what)};
                },
            .tls = shown_by(certificate())};
  }
  // Made once: a key takes time.
  static const Certificate& authority() {
    static const Certificate made("an authority", nullptr);
    return made;
  }
  static const Certificate& certificate() {
    static const Certificate made("relay.example", &authority());
    return made;
  }
  void on_request(Instant now, const http::Request& request, http::Server::Answer answer) {
    if (request.path != "/relay") return answer(now, {.body = "{}"});
    queries.push_back(request.query);
    auto offer = http::websocket_offer(request);
    if (!offer) return answer(now, std::move(offer.error()));
    answer(now,
           http::websocket_response(
               *offer, offer->protocols.empty() ? "" : "relay-v2",
               [this](Instant, std::unique_ptr<StreamPort> stream, const std::string& rest) {
                 sockets.push_back(std::make_unique<Socket>(WebSocketEnd::server, server_host));
                 sockets.back()->take(std::move(stream), rest);
               }));
  }
  struct Asks final : StreamHandler {
    void on_stream_connected(Instant) override {}
    void on_stream_failed(Instant, const Error&) override {}
    void on_stream_readable(Instant) override {}
    void on_stream_writable(Instant) override {}
  };
  std::unique_ptr<http::Client> connect() {
    auto client = std::make_unique<http::Client>(
        client_host, http::ClientConfig{.host = "relay.example",
                                        .reply = {.head_bytes = 4096, .body_bytes = 4096}});
    client->attach(TlsStream::connect(client_host,
                                      *client_host.connect_stream(kRelay, Purpose::process, unused),
                                      trusted, "relay.example", seconds(5), unused));
    return client;
  }
  Result<http::Reply> ask(http::Client& client, const http::Call& call) {
    std::optional<Result<http::Reply>> got;
    client.call(call, seconds(5),
                [&](Instant, Result<http::Reply> reply) { got = std::move(reply); });
    world.run_for(seconds(6));
    EXPECT_TRUE(got);
    return got ? std::move(*got) : fail(ErrorKind::internal, "no end");
  }
  // A client's end of a WebSocket.
  std::unique_ptr<Socket> open() {
    const auto client = connect();
    const auto reply = ask(*client, http::websocket_call("/relay?a=1", kKey, {"relay-v2"}));
    if (!reply) {
      ADD_FAILURE() << reply.error().text();
      return nullptr;
    }
    EXPECT_EQ(http::websocket_protocol(*reply, kKey, {"relay-v2"}).value_or("?"), "relay-v2");
    auto upgraded = client->take_stream();
    if (!upgraded) return nullptr;
    auto socket = std::make_unique<Socket>(WebSocketEnd::client, client_host);
    socket->take(std::move(upgraded->stream), upgraded->rest);
    return socket;
  }

  static constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";

  World world{1};
  Network network{world};
  Machine& client = network.add_machine("client", {*IpAddress::parse("192.0.2.1")},
                                        {.delay = milliseconds(10)}, {.delay = milliseconds(10)});
  Machine& server = network.add_machine("server", {kRelay.ip}, {.delay = milliseconds(10)},
                                        {.delay = milliseconds(10)});
  SimHost client_host{client, {}};
  SimHost server_host{server, {}};
  std::vector<std::unique_ptr<Socket>> sockets;
  std::vector<std::string> queries;
  Asks unused;
  std::shared_ptr<const TlsCredentials> trusted =
      TlsCredentials::of_client({.has_system_roots = false, .authorities_pem = authority().pem()})
          .value();
  http::Server relay{
      server_host, config(),
      [this](Instant now, const http::Request& request, http::Server::Answer answer) {
        on_request(now, request, std::move(answer));
      }};
};

TEST_F(UpgradeTest, a_connection_becomes_a_websocket_and_takes_no_place_of_the_server) {
  std::vector<std::unique_ptr<Socket>> open_ones;
  for (int i = 0; i < 5; ++i) {  // two connections at a time are all that the server has
    open_ones.push_back(open());
    ASSERT_TRUE(open_ones.back());
  }
  world.run_for(seconds(60));  // longer than a connection of HTTP may be idle
  for (const auto& socket : open_ones) socket->send("hello");
  world.run_for(seconds(1));
  for (const auto& socket : open_ones) {
    EXPECT_EQ(socket->got, std::vector<std::string>{"hello"});
    EXPECT_FALSE(socket->has_ended);
  }
  EXPECT_EQ(queries, std::vector<std::string>(5, "a=1"));
  EXPECT_EQ(relay.dropped_connections(), 0U);
  const auto plain = connect();
  const auto reply = ask(*plain, {.target = "/healthz"});
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(reply->body, "{}");
  open_ones[0].reset();
  world.run_for(seconds(1));
  EXPECT_TRUE(sockets[0]->has_ended);
}

TEST_F(UpgradeTest, what_comes_with_the_request_is_the_other_protocols) {
  http::Call call = http::websocket_call("/relay", kKey, {});
  Bytes frame;
  http::append_message(frame, WebSocketEnd::client, client_host.rng(), WebSocketKind::text,
                       as_bytes(std::string_view("early")));
  call.body = std::string(as_text(frame));
  auto wire = *http::to_wire(call, "relay.example", true);
  const std::size_t length = wire.find("Content-Length");
  wire.erase(length, wire.find("\r\n", length) + 2 - length);
  struct Raw final : StreamHandler {
    void on_stream_connected(Instant) override {
      const std::array from{as_bytes(text)};
      EXPECT_EQ(stream->try_write(from).bytes, text.size());
    }
    void on_stream_failed(Instant, const Error&) override {}
    void on_stream_readable(Instant) override {}
    void on_stream_writable(Instant) override {}
    std::string text;
    std::unique_ptr<TlsStream> stream;
  } raw;
  raw.text = wire;
  raw.stream =
      TlsStream::connect(client_host, *client_host.connect_stream(kRelay, Purpose::process, raw),
                         trusted, "relay.example", seconds(5), raw);
  world.run_for(seconds(1));
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(sockets[0]->got, std::vector<std::string>{"early"});
}

TEST_F(UpgradeTest, who_does_not_ask_for_it_rightly_is_told_and_may_ask_again) {
  const auto client = connect();
  const auto plain = ask(*client, {.target = "/relay"});
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_EQ(plain->status, 426);
  EXPECT_EQ(http::find(plain->headers, "Sec-WebSocket-Version"), "13");
  const auto other = ask(*client, {.target = "/healthz"});
  EXPECT_TRUE(other && other->status == 200);
  EXPECT_TRUE(sockets.empty());
}

// Who says nothing, or no TLS, has the time of a request and not a place for ever.
TEST_F(UpgradeTest, who_does_not_finish_tls_keeps_nobody_out) {
  std::vector<std::unique_ptr<StreamPort>> silent;
  for (int i = 0; i < 6; ++i) {
    silent.push_back(*client_host.connect_stream(kRelay, Purpose::process, unused));
    world.run_for(milliseconds(100));
    if (i % 2 == 0) {
      const std::string_view text = "GET / HTTP/1.1\r\n\r\n";
      const std::array from{as_bytes(text)};
      EXPECT_EQ(silent.back()->try_write(from).bytes, text.size());
    }
  }
  const auto client = connect();
  const auto reply = ask(*client, {.target = "/healthz"});
  EXPECT_TRUE(reply) << reply.error().text();
}

TEST_F(UpgradeTest, a_renewed_certificate_is_shown_to_those_who_come_and_changes_nothing_else) {
  const auto before = open();
  ASSERT_TRUE(before);
  const Certificate stranger("another authority", nullptr);
  const Certificate renewed("relay.example", &stranger);
  relay.set_tls(shown_by(renewed));
  const auto client = connect();
  const auto refused = ask(*client, {.target = "/healthz"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::authentication);
  before->send("still here");
  world.run_for(seconds(1));
  EXPECT_EQ(before->got, std::vector<std::string>{"still here"});
}

}  // namespace
}  // namespace culvert::sim
