// TCP, Unix and stdio streams against the real kernel.
#include "net/socket_address.h"
#include "net/stdio_stream.h"
#include "net/test_support.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <tuple>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace culvert::net {
namespace {

// Writes `outgoing`, then FIN when asked; reads everything. Counts what it was told.
class Talker : public StreamHandler {
 public:
  void attach(std::unique_ptr<StreamPort> stream) {
    port = std::move(stream);
    port->set_handler(*this);
    go();
  }
  void go() {
    port->want_readable();
    port->want_writable();
  }
  void on_stream_connected(Instant) override {
    ++connected;
    go();
  }
  void on_stream_failed(Instant, const Error& error) override {
    failure = error;
    finish();
  }
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 60'000> block;
    for (;;) {
      const std::array into{ByteSpan(block).first(100), ByteSpan(block).subspan(100)};
      const auto result = port->try_read(into);
      incoming.append(as_text(ByteView(block).first(result.bytes)));
      if (result.status == IoStatus::ok) continue;
      if (result.status == IoStatus::would_block) return port->want_readable();
      has_ended = result.status == IoStatus::end;
      has_failed = result.status == IoStatus::failed;
      return finish();
    }
  }
  void on_stream_writable(Instant) override {
    while (sent < outgoing.size()) {
      const ByteView rest = as_bytes(outgoing).subspan(sent);
      const std::array from{rest.first(rest.size() / 2), rest.subspan(rest.size() / 2)};
      const auto result = port->try_write(from);
      sent += result.bytes;
      if (result.status == IoStatus::would_block) {
        ++blocked;
        return port->want_writable();
      }
      if (result.status == IoStatus::failed) {
        has_failed = true;
        return finish();
      }
    }
    if (closes_after_writing) port->shutdown_write();
    if (on_written) on_written();
  }
  void finish() {
    if (on_finished) on_finished();
  }

  std::unique_ptr<StreamPort> port;
  std::string outgoing;
  std::string incoming;
  std::size_t sent = 0;
  int connected = 0;
  int blocked = 0;
  bool closes_after_writing = true;
  bool has_ended = false;
  bool has_failed = false;
  std::optional<Error> failure;
  std::function<void()> on_finished;
  std::function<void()> on_written;
};

class Acceptor : public ListenerHandler {
 public:
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
    accepted.push_back(std::move(stream));
    if (on_more) on_more();
  }
  std::vector<std::unique_ptr<StreamPort>> accepted;
  std::function<void()> on_more;
};

std::string noise(std::size_t size) {
  SeededRng rng(size);
  Bytes bytes(size);
  rng.fill(bytes);
  return std::string(as_text(bytes));
}

std::string temporary_directory() {
  std::string path = (std::filesystem::temp_directory_path() / "culvert-net-XXXXXX").string();
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

class StreamTest : public LoopTest {
 protected:
  // A connected pair through a listener on `address`.
  void connect_pair(const StreamAddress& address) {
    auto listener = host().listen_stream(address, Purpose::listener, acceptor_);
    ASSERT_TRUE(listener) << listener.error().text();
    listener_ = std::move(*listener);
    acceptor_.on_more = [this] { server_.attach(std::move(acceptor_.accepted.back())); };
    auto client = host().connect_stream(listener_->local_address(), Purpose::flow, client_);
    ASSERT_TRUE(client) << client.error().text();
    client_.port = std::move(*client);
    const auto finish_when_both = [this] {
      if (++finished_ == 2) done();
    };
    client_.on_finished = server_.on_finished = finish_when_both;
  }
  void expect_echo_free_exchange() {
    client_.outgoing = noise(3'000'000);
    server_.outgoing = noise(5'000'001);
    run();
    EXPECT_EQ(client_.connected, 1);
    EXPECT_EQ(client_.incoming, server_.outgoing);
    EXPECT_EQ(server_.incoming, client_.outgoing);
    EXPECT_TRUE(client_.has_ended && server_.has_ended);
    EXPECT_GT(client_.blocked + server_.blocked, 0);  // the test was large enough
  }

  Acceptor acceptor_;
  Talker client_;
  Talker server_;
  std::unique_ptr<ListenerPort> listener_;
  int finished_ = 0;
};

TEST_F(StreamTest, tcp_carries_both_directions_to_their_ends) {
  connect_pair(loopback_v4());
  expect_echo_free_exchange();
}

TEST(BindError, says_which_right_a_low_port_needs) {
  const IpAddress any = IpAddress::any(Family::v4);
  for (const auto& [error, port, is_about_rights] :
       {std::tuple{EACCES, 443, true}, std::tuple{EACCES, 1023, true},
        std::tuple{EACCES, 1024, false}, std::tuple{EACCES, 0, false},
        std::tuple{EADDRINUSE, 443, false}}) {
    const Error text =
        listen_error(error, "cannot listen", {any, static_cast<std::uint16_t>(port)});
    EXPECT_EQ(text.what.find("CAP_NET_BIND_SERVICE") != std::string::npos, is_about_rights)
        << text.text();
  }
}

TEST_F(StreamTest, tcp_works_over_ipv6) {
  connect_pair(loopback_v6());
  expect_echo_free_exchange();
}

TEST_F(StreamTest, tcp_stream_knows_its_two_ends) {
  auto listener = host().listen_stream(SocketAddress{IpAddress::any(Family::v4), 0},
                                       Purpose::listener, acceptor_);
  ASSERT_TRUE(listener);
  const auto bound = std::get<SocketAddress>((*listener)->local_address());
  const SocketAddress reached{IpAddress::parse("127.0.0.7").value(), bound.port};
  auto client = host().connect_stream(reached, Purpose::flow, client_);
  ASSERT_TRUE(client);
  client_.port = std::move(*client);
  acceptor_.on_more = [this] { done(); };
  run();
  const auto ours = acceptor_.accepted.at(0)->ends();
  const auto theirs = client_.port->ends();
  ASSERT_TRUE(ours && theirs);
  EXPECT_EQ(ours->local, reached);  // not the wildcard that the listener has
  EXPECT_EQ(ours->remote, theirs->local);
  EXPECT_EQ(theirs->remote, reached);
}

TEST_F(StreamTest, unix_socket_is_private_and_removed_at_the_end) {
  const std::string path = temporary_directory() + "/socket";
  connect_pair(UnixPath{path});
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  expect_echo_free_exchange();
  listener_.reset();
  EXPECT_NE(::stat(path.c_str(), &info), 0);
  std::filesystem::remove_all(std::filesystem::path(path).parent_path());
}

TEST_F(StreamTest, unix_listener_replaces_a_stale_socket_but_not_a_live_one) {
  const std::string path = temporary_directory() + "/socket";
  const UnixPath address{path};
  auto live = host().listen_stream(address, Purpose::listener, acceptor_);
  ASSERT_TRUE(live);
  EXPECT_FALSE(host().listen_stream(address, Purpose::listener, acceptor_));
  // A crash leaves the file and nobody behind it: keep a copy while the owner removes it.
  const std::string stale = path + ".stale";
  ASSERT_EQ(::link(path.c_str(), stale.c_str()), 0);
  live->reset();
  EXPECT_TRUE(host().listen_stream(UnixPath{stale}, Purpose::listener, acceptor_));
  std::filesystem::remove_all(std::filesystem::path(path).parent_path());
}

// A program that may write below an allowed directory must not reach a socket elsewhere.
TEST_F(StreamTest, links_lead_to_unix_sockets_below_their_directory_only) {
  namespace fs = std::filesystem;
  const fs::path root = temporary_directory();
  fs::create_directories(root / "real/deep");
  fs::create_directory(root / "elsewhere");
  fs::create_directory_symlink(root / "real", root / "allowed");  // as /var/run is one of /run
  const auto listen = [&](const char* name) {
    auto listener =
        host().listen_stream(UnixPath{(root / name).string()}, Purpose::listener, acceptor_);
    EXPECT_TRUE(listener) << listener.error().text();
    return std::move(*listener);
  };
  const auto inside = listen("real/deep/inside");
  const auto outside = listen("elsewhere/outside");
  const auto neighbour = listen("real-neighbour");
  fs::create_symlink("deep/inside", root / "real/link-inside");
  fs::create_symlink("../elsewhere/outside", root / "real/link-outside");
  fs::create_directory_symlink(root / "elsewhere", root / "real/way-out");
  fs::create_symlink(root / "real-neighbour", root / "real/link-neighbour");
  struct Case {
    const char* path;
    bool is_reached;
  };
  for (const Case& c :
       {Case{"deep/inside", true}, Case{"link-inside", true}, Case{"link-outside", false},
        Case{"way-out/outside", false}, Case{"link-neighbour", false}, Case{"missing", false}}) {
    const std::string directory = (root / "allowed/").string();
    const UnixPath path{.path = directory + c.path, .beneath = directory};
    Talker caller;
    auto port = host().connect_stream(path, Purpose::flow, caller);
    EXPECT_EQ(port.has_value(), c.is_reached) << c.path;
    if (!port) continue;
    caller.port = std::move(*port);
    caller.on_written = caller.on_finished = [this] { done(); };
    run();
    EXPECT_EQ(caller.connected, 1) << c.path;
  }
  // Who names a link means what it leads to.
  const UnixPath named{(root / "real/link-outside").string()};
  auto port = host().connect_stream(named, Purpose::flow, client_);
  ASSERT_TRUE(port);
  client_.port = std::move(*port);
  client_.on_written = client_.on_finished = [this] { done(); };
  run();
  EXPECT_EQ(client_.connected, 1);
  fs::remove_all(root);
}

TEST_F(StreamTest, half_closed_stream_still_receives) {
  connect_pair(loopback_v4());
  server_.outgoing.clear();
  server_.closes_after_writing = false;
  client_.outgoing = "question";
  server_.on_finished = [this] {  // the client's FIN has come: answer now
    EXPECT_TRUE(server_.has_ended);
    server_.outgoing = "answer";
    server_.closes_after_writing = true;
    server_.port->want_writable();
  };
  client_.on_finished = [this] { done(); };
  run();
  EXPECT_EQ(server_.incoming, "question");
  EXPECT_EQ(client_.incoming, "answer");
  EXPECT_TRUE(client_.has_ended);
}

TEST_F(StreamTest, reset_is_seen_as_failure_not_as_end) {
  connect_pair(loopback_v4());
  client_.closes_after_writing = server_.closes_after_writing = false;
  client_.outgoing = "x";
  client_.on_written = [this] { client_.port->reset(); };
  server_.on_finished = [this] { done(); };
  run();
  EXPECT_FALSE(server_.has_ended);
  EXPECT_TRUE(server_.has_failed);
}

TEST_F(StreamTest, reset_reaches_a_stream_that_waits_for_nothing) {
  connect_pair(loopback_v4());
  client_.closes_after_writing = false;
  acceptor_.on_more = [this] {
    server_.port = std::move(acceptor_.accepted.back());
    server_.port->set_handler(server_);  // asks for nothing
    client_.port->reset();
  };
  server_.on_finished = [this] { done(); };
  run();
  ASSERT_TRUE(server_.failure);
  EXPECT_EQ(server_.failure->kind, ErrorKind::lost);
}

TEST_F(StreamTest, failed_dial_is_reported_by_the_handler) {
  SocketAddress nobody;
  {
    auto listener = host().listen_stream(loopback_v4(), Purpose::listener, acceptor_);
    ASSERT_TRUE(listener);
    nobody = std::get<SocketAddress>((*listener)->local_address());
  }
  auto client = host().connect_stream(nobody, Purpose::flow, client_);
  ASSERT_TRUE(client);
  client_.on_finished = [this] { done(); };
  run();
  ASSERT_TRUE(client_.failure);
  EXPECT_EQ(client_.failure->kind, ErrorKind::unreachable);
  EXPECT_EQ(client_.failure->offender, nobody.text());
  EXPECT_EQ(client_.connected, 0);

  client_.failure.reset();
  auto local = host().connect_stream(UnixPath{"/nonexistent/socket"}, Purpose::flow, client_);
  ASSERT_TRUE(local);
  EXPECT_FALSE(client_.failure);  // never from inside the call
  run();
  EXPECT_TRUE(client_.failure);
}

TEST_F(StreamTest, paused_listener_accepts_nothing_until_resumed) {
  auto listener = host().listen_stream(loopback_v4(), Purpose::listener, acceptor_);
  ASSERT_TRUE(listener);
  (*listener)->pause();
  Talker clients[3];
  for (Talker& client : clients) {
    auto port = host().connect_stream((*listener)->local_address(), Purpose::flow, client);
    ASSERT_TRUE(port);
    client.port = std::move(*port);
  }
  // The kernel completes connections of a full backlog by itself: the third one being
  // writable means all have reached the listener.
  clients[2].on_written = [&] {
    EXPECT_TRUE(acceptor_.accepted.empty());
    (*listener)->resume();
  };
  acceptor_.on_more = [&] {
    if (acceptor_.accepted.size() == 3) done();
  };
  run();
  EXPECT_EQ(acceptor_.accepted.size(), 3U);
}

TEST_F(StreamTest, listener_may_be_destroyed_while_accepting) {
  auto listener = host().listen_stream(loopback_v4(), Purpose::listener, acceptor_);
  ASSERT_TRUE(listener);
  Talker clients[2];
  for (Talker& client : clients) {
    auto port = host().connect_stream((*listener)->local_address(), Purpose::flow, client);
    ASSERT_TRUE(port);
    client.port = std::move(*port);
  }
  acceptor_.on_more = [&] {
    listener->reset();
    done();
  };
  run();
  EXPECT_EQ(acceptor_.accepted.size(), 1U);
}

TEST_F(StreamTest, over_long_unix_path_is_a_configuration_error) {
  const auto result =
      host().listen_stream(UnixPath{std::string(200, 'x')}, Purpose::listener, acceptor_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::configuration);
}

}  // namespace
}  // namespace culvert::net
