// A real server and a real client in one process, over loopback, with real sockets at both
// ends. Nothing here waits for a fixed time.
#include "admin/instances.h"
#include "app/client_app.h"
#include "app/server_app.h"
#include "app/stop_signals.h"
#include "app/ticket.h"
#include "base/rng.h"
#include "crypto/mac.h"
#include "net/uninterrupted.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <span>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace culvert::app {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);  // only failures take this long

TEST(StopSignals, are_one_wish_when_they_come_twice_at_once) {
  using std::chrono::milliseconds;
  StopSignals signals;
  Instant now{};
  EXPECT_EQ(signals.note(now), StopWish::polite);
  EXPECT_EQ(signals.note(now), StopWish::none);
  EXPECT_EQ(signals.note(now += milliseconds(50)), StopWish::none);
  EXPECT_EQ(signals.note(now += milliseconds(500)), StopWish::at_once);
  EXPECT_EQ(signals.note(now += milliseconds(1)), StopWish::none);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(signals.note(now += milliseconds(500)), StopWish::now);
}

// --- plain sockets: what a user's programs would do ----------------------------------------

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

class Socket {
 public:
  explicit Socket(int type) : fd_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {}
  // The next that comes to a listening one, with its timeouts; none when it was shut down.
  static std::unique_ptr<Socket> accept(const Socket& listener) {
    int fd = -1;
    do {
      fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd < 0 ? nullptr : std::unique_ptr<Socket>(new Socket(Accepted{fd}));
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  void bind() {
    be_patient();
    const sockaddr_in any = loopback(0);
    ASSERT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  }
  [[nodiscard]] bool connect(std::uint16_t port) {
    const sockaddr_in to = loopback(port);
    const int result = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    be_patient();  // not before: with timeouts, connect() is interrupted and cannot be repeated
    return result == 0;
  }
  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }
  [[nodiscard]] bool send_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent =
          net::uninterrupted([&] { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  [[nodiscard]] ssize_t receive(std::span<char> into) const {
    return net::uninterrupted([&] { return ::recv(fd_, into.data(), into.size(), 0); });
  }
  // Until the end; `is_clean` tells FIN from reset or timeout.
  [[nodiscard]] std::string read_all(bool& is_clean) const {
    std::string all;
    std::string block(65'536, 0);
    for (;;) {
      const ssize_t got = receive(block);
      if (got <= 0) {
        is_clean = got == 0;
        return all;
      }
      all.append(block, 0, static_cast<std::size_t>(got));
    }
  }

 private:
  struct Accepted {
    int fd;
  };
  explicit Socket(Accepted accepted) : fd_(accepted.fd) {}
  void be_patient() const {
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }

  int fd_;
};

// Answers every TCP connection with its own bytes, to the end.
class TcpEcho {
 public:
  TcpEcho() : listener_(SOCK_STREAM) {
    listener_.bind();
    ::listen(listener_.fd(), 64);
    thread_ = std::jthread([this] { serve(); });
  }
  ~TcpEcho() {
    ::shutdown(listener_.fd(), SHUT_RDWR);  // wakes accept()
    thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }

 private:
  void serve() {
    std::vector<std::jthread> connections;
    while (auto user = Socket::accept(listener_)) {
      connections.emplace_back([user = std::move(user)] {
        std::string block(65'536, 0);
        for (ssize_t got = 0; (got = user->receive(block)) > 0;) {
          if (!user->send_all({block.data(), static_cast<std::size_t>(got)})) break;
        }
      });
    }
  }
  Socket listener_;
  std::jthread thread_;
};

class UdpEcho {
 public:
  UdpEcho() : socket_(SOCK_DGRAM) {
    socket_.bind();
    thread_ = std::jthread([this] { serve(); });
  }
  ~UdpEcho() {
    is_over_ = true;
    Socket waker(SOCK_DGRAM);
    if (waker.connect(port())) ::send(waker.fd(), "", 0, 0);
    thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return socket_.port(); }

 private:
  void serve() {
    std::string block(65'536, 0);
    while (!is_over_) {
      sockaddr_in from{};
      socklen_t size = sizeof from;
      const ssize_t got = ::recvfrom(socket_.fd(), block.data(), block.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) continue;
      ::sendto(socket_.fd(), block.data(), static_cast<std::size_t>(got), 0,
               reinterpret_cast<const sockaddr*>(&from), size);
    }
  }
  Socket socket_;
  std::atomic<bool> is_over_ = false;
  std::jthread thread_;
};

// --- the apps in threads ------------------------------------------------------------------

crypto::SecretKey key(std::uint64_t seed) {
  SeededRng rng(seed);
  return crypto::SecretKey::generate(rng);
}

session::Token token(std::uint64_t seed) {
  SeededRng rng(seed);
  return session::generate_token(rng);
}

ServerOptions server_options() {
  ServerOptions options{.identity = key(1)};
  EXPECT_TRUE(options.policy.auth.tokens.add(token(1)));
  EXPECT_TRUE(options.policy.sources.tcp.add("127.0.0.0/8"));
  EXPECT_TRUE(options.policy.sources.udp.add("127.0.0.0/8"));
  options.bind = {IpAddress::loopback(Family::v4), 0};
  options.workers = 1;
  options.handles_signals = false;
  options.times.drain_timeout = std::chrono::seconds(1);
  return options;
}

class RunningServer : public ServerReporter {
 public:
  explicit RunningServer(ServerOptions options) {
    auto app = ServerApp::create(std::move(options), *this, null_logger());
    EXPECT_TRUE(app) << (app ? "" : app.error().text());
    app_ = std::move(*app);
    thread_ = std::jthread([this] { status_.set_value(app_->run()); });
    auto ready = ready_.get_future();
    EXPECT_EQ(ready.wait_for(kPatience), std::future_status::ready);
    info = ready.get();
  }
  ~RunningServer() override {
    if (thread_.joinable()) stop();
  }
  void stop() {
    app_->request_stop();
    auto status = status_.get_future();
    if (status.wait_for(kPatience) != std::future_status::ready) {
      ADD_FAILURE() << "the server did not stop politely";
      app_->request_stop();
    }
    thread_.join();
    EXPECT_TRUE(status.get());
  }

  [[nodiscard]] session::AuthMetrics auth_metrics() { return app_->auth_metrics(); }

  void on_ready(const ServerReady& ready) override { ready_.set_value(ready); }
  void on_stopped(const drive::Counters& result) override { stats = result; }

  ServerReady info;
  drive::Counters stats;

 private:
  std::promise<ServerReady> ready_;
  std::promise<Status> status_;
  std::unique_ptr<ServerApp> app_;
  std::jthread thread_;
};

ClientOptions client_options(const RunningServer& server) {
  ClientOptions options{.identity = key(2)};
  ClientServer& only = options.servers.emplace_back();
  only.id = server.info.id;
  for (const SocketAddress& address : server.info.addresses) {
    only.addresses.push_back({address.ip.text(), address.port});
  }
  only.credentials.token = token(1);
  options.handles_signals = false;
  options.policy.drain_timeout = std::chrono::seconds(1);
  return options;
}

void add_tunnel(ClientOptions& options, const std::string& source) {
  const auto parsed = tunnel::Source::parse(source);
  const auto target = tunnel::Target::parse("127.0.0.1:0");
  ASSERT_TRUE(parsed && target);
  auto spec = tunnel::TunnelSpec::make(source, *parsed, *target);
  ASSERT_TRUE(spec) << spec.error().text();
  options.tunnels = *options.tunnels.with(*spec);
}

class RunningClient : public ClientReporter {
 public:
  explicit RunningClient(ClientOptions options) : expected_(options.tunnels.size()) {
    auto app = ClientApp::create(std::move(options), *this, null_logger());
    EXPECT_TRUE(app) << (app ? "" : app.error().text());
    app_ = std::move(*app);
    result_ = status_.get_future();
    thread_ = std::jthread([this] { status_.set_value(app_->run()); });
  }
  ~RunningClient() override {
    if (thread_.joinable()) stop();
  }
  // The status of run(), which must end by itself.
  Status wait_for_end() {
    if (result_.wait_for(kPatience) != std::future_status::ready) {
      ADD_FAILURE() << "the client did not end";
      app_->request_stop();
      app_->request_stop();
    }
    thread_.join();
    return result_.get();
  }
  void stop() {
    app_->request_stop();
    const Status status = wait_for_end();
    EXPECT_TRUE(status) << status.error().text();
  }
  // Waits until every tunnel listens; then the local port of the one leading to `source`.
  [[nodiscard]] std::uint16_t port_of(const std::string& source) {
    std::unique_lock lock(mutex_);
    const bool is_up = changed_.wait_for(
        lock, kPatience, [this] { return is_connected_ && ports_.size() == expected_; });
    EXPECT_TRUE(is_up) << "the client's tunnels did not come up";
    return ports_[source];
  }

  // A tunnel is about to be added.
  void expect_another() {
    const std::lock_guard lock(mutex_);
    ++expected_;
  }

  void on_connected(const std::string&, const SocketAddress&) override {
    const std::lock_guard lock(mutex_);
    is_connected_ = true;
    changed_.notify_all();
  }
  void on_listening(const tunnel::TunnelSpec& tunnel, const std::string& local) override {
    const std::lock_guard lock(mutex_);
    const auto address = SocketAddress::parse(local);
    EXPECT_TRUE(address) << local;
    if (address) ports_[tunnel.source.text()] = address->port;
    changed_.notify_all();
  }
  void on_stopped(const drive::Counters& result) override { stats = result; }

  drive::Counters stats;

 private:
  std::size_t expected_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_connected_ = false;
  std::map<std::string, std::uint16_t> ports_;
  std::promise<Status> status_;
  std::future<Status> result_;
  std::unique_ptr<ClientApp> app_;
  std::jthread thread_;
};

std::string noise(std::size_t size, std::uint64_t seed) {
  SeededRng rng(seed);
  Bytes bytes(size);
  rng.fill(bytes);
  return std::string(as_text(bytes));
}

crypto::Digest digest(std::string_view text) {
  return crypto::sha256(as_bytes(text));
}

void expect_echo(std::uint16_t port, std::size_t size, std::uint64_t seed) {
  const std::string sent = noise(size, seed);
  Socket user(SOCK_STREAM);
  ASSERT_TRUE(user.connect(port));
  std::jthread writer([&] {
    EXPECT_TRUE(user.send_all(sent));
    ::shutdown(user.fd(), SHUT_WR);
  });
  bool is_clean = false;
  const std::string received = user.read_all(is_clean);
  EXPECT_TRUE(is_clean);
  EXPECT_EQ(received.size(), sent.size());
  EXPECT_EQ(digest(received), digest(sent));
}

// --- tests --------------------------------------------------------------------------------

TEST(App, tcp_echo_of_ten_megabytes_comes_back_whole) {
  const TcpEcho echo;
  RunningServer server(server_options());
  const std::string source = "tcp://127.0.0.1:" + std::to_string(echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  expect_echo(client.port_of(source), 10'000'000, 1);
  client.stop();
  server.stop();
  EXPECT_EQ(client.stats.flows_opened, 1U);
  EXPECT_EQ(client.stats.bytes_up, 10'000'000U);
  EXPECT_EQ(server.stats.bytes_down, 10'000'000U);
  EXPECT_EQ(server.stats.sessions_accepted, 1U);
}

TEST(App, works_without_gso_and_gro) {
  const TcpEcho echo;
  ServerOptions plain_server = server_options();
  plain_server.udp = {.gso = false, .gro = false};
  RunningServer server(std::move(plain_server));
  const std::string source = "tcp://127.0.0.1:" + std::to_string(echo.port());
  ClientOptions options = client_options(server);
  options.udp = {.gso = false, .gro = false};
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  expect_echo(client.port_of(source), 3'000'000, 2);
}

TEST(App, udp_replies_reach_their_own_senders) {
  const UdpEcho echo;
  RunningServer server(server_options());
  const std::string source = "udp://127.0.0.1:" + std::to_string(echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  const std::uint16_t port = client.port_of(source);

  constexpr int kSenders = 10;
  std::vector<std::unique_ptr<Socket>> senders;
  for (int i = 0; i < kSenders; ++i) {
    senders.push_back(std::make_unique<Socket>(SOCK_DGRAM));
    ASSERT_TRUE(senders.back()->connect(port));
  }
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < kSenders; ++i) {
      const std::string question = std::to_string(i) + "/" + std::to_string(round);
      ASSERT_TRUE(senders[static_cast<std::size_t>(i)]->send_all(question));
    }
    for (int i = 0; i < kSenders; ++i) {
      std::string answer(100, 0);
      const ssize_t got = senders[static_cast<std::size_t>(i)]->receive(answer);
      ASSERT_GT(got, 0);
      answer.resize(static_cast<std::size_t>(got));
      EXPECT_EQ(answer, std::to_string(i) + "/" + std::to_string(round));
    }
  }
}

// The first of a flow waits for its stream, the others go in DATAGRAM frames.
TEST(App, udp_carries_empty_datagrams_both_ways) {
  const UdpEcho echo;
  RunningServer server(server_options());
  const std::string source = "udp://127.0.0.1:" + std::to_string(echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  Socket sender(SOCK_DGRAM);
  ASSERT_TRUE(sender.connect(client.port_of(source)));
  for (const std::size_t size : {0U, 3U, 0U, 0U}) {
    const std::string question(size, 'x');
    ASSERT_EQ(::send(sender.fd(), question.data(), size, 0), static_cast<ssize_t>(size));
    std::array<char, 100> answer{};
    EXPECT_EQ(sender.receive(answer), static_cast<ssize_t>(size));
  }
}

TEST(App, source_outside_the_allow_list_is_refused_to_the_local_program) {
  const TcpEcho echo;
  ServerOptions strict = server_options();
  strict.policy.sources.tcp = {};
  ASSERT_TRUE(strict.policy.sources.tcp.add("127.0.0.1/32:1"));
  RunningServer server(std::move(strict));
  const std::string source = "tcp://127.0.0.1:" + std::to_string(echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  Socket user(SOCK_STREAM);
  ASSERT_TRUE(user.connect(client.port_of(source)));
  bool is_clean = true;
  EXPECT_EQ(user.read_all(is_clean), "");
  EXPECT_FALSE(is_clean);  // a reset, not an empty answer
  client.stop();
  server.stop();
  EXPECT_EQ(server.stats.flows_refused, 1U);
  EXPECT_EQ(client.stats.flows_refused, 1U);
}

TEST(App, wrong_token_is_an_authentication_error) {
  RunningServer server(server_options());
  ClientOptions options = client_options(server);
  options.servers[0].credentials.token = token(99);
  add_tunnel(options, "tcp://127.0.0.1:9");
  RunningClient client(std::move(options));
  const Status status = client.wait_for_end();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::authentication) << status.error().text();
  server.stop();
  EXPECT_EQ(server.stats.sessions_accepted, 0U);
}

// The limits count over all workers, of both dialects, and let valid credentials through.
TEST(App, wrong_tokens_lock_their_sender_out_for_a_while) {
  const TcpEcho echo;
  ServerOptions limited = server_options();
  limited.workers = 2;
  limited.auth_limits.max_credential_failures = 2;
  RunningServer server(std::move(limited));
  const std::string source = "tcp://127.0.0.1:" + std::to_string(echo.port());
  const auto refusal = [&](session::Dialect dialect) {
    ClientOptions options = client_options(server);
    options.servers[0].credentials.token = token(99);
    options.servers[0].dialect = dialect;
    add_tunnel(options, source);
    RunningClient client(std::move(options));
    const Status status = client.wait_for_end();
    EXPECT_FALSE(status);
    if (status) return std::string();
    EXPECT_EQ(status.error().kind, ErrorKind::authentication);
    return status.error().text();
  };
  for (const auto dialect : {session::Dialect::culvert_1, session::Dialect::mf_4}) {
    EXPECT_THAT(refusal(dialect), testing::HasSubstr("Invalid authentication"));
    EXPECT_THAT(refusal(dialect), testing::HasSubstr("Invalid authentication"));
    EXPECT_THAT(refusal(dialect), testing::HasSubstr("Too many failed attempts"));
  }
  EXPECT_THAT(refusal(session::Dialect::culvert_1), testing::ContainsRegex("again in [0-9]+ s"));

  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  expect_echo(client.port_of(source), 1000, 4);
  client.stop();
  const session::AuthMetrics metrics = server.auth_metrics();
  EXPECT_EQ(metrics.accepted, 1U);
  EXPECT_EQ(metrics.rejected_invalid, 4U);
  EXPECT_EQ(metrics.rejected_rate_limited, 3U);
  EXPECT_EQ(metrics.credential_lockouts, 2U);
}

TEST(App, allowed_endpoint_id_needs_no_token) {
  const TcpEcho echo;
  ServerOptions listed = server_options();
  listed.policy.auth = {};
  listed.policy.auth.endpoint_ids[key(2).public_key()] = "laptop";
  RunningServer server(std::move(listed));
  const std::string source = "tcp://127.0.0.1:" + std::to_string(echo.port());
  ClientOptions options = client_options(server);
  options.servers[0].credentials = {};
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  expect_echo(client.port_of(source), 1000, 3);
}

TEST(App, server_with_another_key_is_not_spoken_to) {
  RunningServer server(server_options());
  ClientOptions options = client_options(server);
  options.servers[0].id = key(77).public_key();
  options.policy.connect_timeout = std::chrono::seconds(2);
  RunningClient client(std::move(options));
  const Status status = client.wait_for_end();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().kind,
              testing::AnyOf(ErrorKind::authentication, ErrorKind::unreachable));
  server.stop();
  EXPECT_EQ(server.stats.sessions_accepted, 0U);
}

TEST(App, mf4_dialect_carries_tcp) {
  const TcpEcho echo;
  RunningServer server(server_options());
  const std::string source = "tcp://127.0.0.1:" + std::to_string(echo.port());
  ClientOptions options = client_options(server);
  options.servers[0].dialect = session::Dialect::mf_4;
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  expect_echo(client.port_of(source), 500'000, 4);
}

TEST(App, dialect_that_is_switched_off_is_not_spoken) {
  ServerOptions only_culvert = server_options();
  only_culvert.dialects = {session::Dialect::culvert_1};
  RunningServer server(std::move(only_culvert));
  ClientOptions options = client_options(server);
  options.servers[0].dialect = session::Dialect::mf_4;
  add_tunnel(options, "tcp://127.0.0.1:9");
  RunningClient client(std::move(options));
  const Status status = client.wait_for_end();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().text(), testing::HasSubstr("no application protocol in common"));
  server.stop();
  EXPECT_EQ(server.stats.sessions_accepted, 0U);
}

TEST(App, several_workers_share_the_port) {
  const TcpEcho echo;
  ServerOptions wide = server_options();
  wide.workers = 3;
  RunningServer server(std::move(wide));
  const std::string source = "tcp://127.0.0.1:" + std::to_string(echo.port());
  std::vector<std::unique_ptr<RunningClient>> clients;
  for (int i = 0; i < 6; ++i) {
    ClientOptions options = client_options(server);
    add_tunnel(options, source);
    clients.push_back(std::make_unique<RunningClient>(std::move(options)));
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    expect_echo(clients[i]->port_of(source), 200'000, i);
  }
  clients.clear();
  server.stop();
  EXPECT_EQ(server.stats.sessions_accepted, 6U);
}

TEST(App, ready_server_tells_a_ticket_that_leads_to_it) {
  RunningServer server(server_options());
  const auto ticket = Ticket::parse(server.info.ticket);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->id, key(1).public_key());
  EXPECT_EQ(ticket->addresses, server.info.addresses);
  ASSERT_EQ(ticket->addresses.size(), 1U);
  EXPECT_NE(ticket->addresses.front().port, 0);
}

TEST(App, client_without_addresses_is_a_configuration_error) {
  struct Silent : ClientReporter {
    void on_connected(const std::string&, const SocketAddress&) override {}
    void on_listening(const tunnel::TunnelSpec&, const std::string&) override {}
  } silent;
  for (const std::size_t servers : {0U, 1U}) {
    ClientOptions options{.identity = key(2)};
    options.servers.resize(servers);
    const auto app = ClientApp::create(std::move(options), silent, null_logger());
    ASSERT_FALSE(app);
    EXPECT_EQ(app.error().kind, ErrorKind::configuration);
  }
}

// --- control ------------------------------------------------------------------------------

class ControlledTest : public ::testing::Test {
 protected:
  ControlledTest() {
    std::string pattern = "/tmp/culvert-app-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ControlledTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] admin::ControlOptions at(const std::string& name) const {
    return {.is_enabled = true, .socket = socket(name)};
  }
  [[nodiscard]] std::string socket(const std::string& name) const {
    return directory_ + "/" + name;
  }
  std::string ask(const std::string& name, std::string_view method, std::string_view path,
                  std::string_view body = {}) {
    const auto answer = admin::ask(socket(name), method, path, body);
    EXPECT_TRUE(answer) << answer.error().text();
    return answer.value_or("");
  }
  std::string directory_;
};

// Two workers: one has the session, the other is asked as well.
TEST_F(ControlledTest, a_server_of_several_workers_shows_its_clients_and_kicks_them) {
  ServerOptions options = server_options();
  options.workers = 2;
  options.control = at("server");
  RunningServer server(std::move(options));
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions of_client = client_options(server);
  add_tunnel(of_client, source);
  RunningClient client(std::move(of_client));
  expect_echo(client.port_of(source), 10'000, 1);

  EXPECT_THAT(ask("server", "GET", "/v1/status"), ::testing::HasSubstr("\"sessions_active\":1"));
  EXPECT_THAT(ask("server", "GET", "/v1/status"),
              ::testing::HasSubstr("\"authentication\":{\"accepted\":1,\"invalid\":0"));
  EXPECT_THAT(ask("server", "GET", "/metrics"),
              ::testing::HasSubstr("culvert_auth_checks_total{outcome=\"accepted\"} 1\n"));
  EXPECT_THAT(ask("server", "GET", "/v1/sessions"),
              ::testing::HasSubstr(key(2).public_key().text()));
  EXPECT_THAT(ask("server", "GET", "/v1/paths"), ::testing::HasSubstr("\"session\":1"));
  const auto nobody = admin::ask(socket("server"), "DELETE", "/v1/sessions/2");
  EXPECT_FALSE(nobody);
  ask("server", "DELETE", "/v1/sessions/1", R"({"reason":"maintenance"})");
  const Status ended = client.wait_for_end();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::refused);  // and it does not come back by itself
  EXPECT_THAT(ended.error().text(), ::testing::HasSubstr("maintenance"));
  EXPECT_THAT(ask("server", "GET", "/v1/status"), ::testing::HasSubstr("\"sessions_active\":0"));
}

TEST_F(ControlledTest, a_client_takes_a_tunnel_while_it_runs) {
  RunningServer server(server_options());
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, "tcp://127.0.0.1:1");
  options.control = at("client");
  RunningClient client(std::move(options));
  EXPECT_NE(client.port_of("tcp://127.0.0.1:1"), 0);
  client.expect_another();
  const std::string added =
      ask("client", "POST", "/v1/tunnels",
          fmt::format(R"({{"source":"{}","target":"127.0.0.1:0","name":"live"}})", source));
  EXPECT_THAT(added, ::testing::HasSubstr("\"label\":\"live\""));
  expect_echo(client.port_of(source), 10'000, 1);
  ask("client", "PATCH", "/v1/tunnels/live", R"({"enabled":false})");
  EXPECT_THAT(ask("client", "GET", "/v1/tunnels"), ::testing::HasSubstr("\"state\":\"disabled\""));
  ask("client", "DELETE", "/v1/tunnels/live");
  EXPECT_FALSE(admin::ask(socket("client"), "DELETE", "/v1/tunnels/live"));
  EXPECT_FALSE(admin::ask(socket("client"), "DELETE", "/v1/sessions/1"));
}

// One server is as it should be, one refuses the credentials, one is not there.
TEST_F(ControlledTest, a_client_of_several_servers_keeps_them_apart) {
  RunningServer server(server_options());
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions options = client_options(server);
  options.servers[0].name = "good";
  add_tunnel(options, source);
  options.tunnels = *options.tunnels.with_replaced(source, [&] {
    tunnel::TunnelSpec spec = options.tunnels.tunnels().front();
    spec.server = "good";
    return spec;
  }());
  options.servers.push_back(options.servers[0]);
  options.servers[1].name = "wrong";
  options.servers[1].credentials.token = token(99);
  options.servers.push_back(options.servers[0]);
  options.servers[2].name = "absent";
  options.servers[2].addresses = {{"127.0.0.1", 9}};
  options.policy.connect_timeout = std::chrono::milliseconds(200);
  options.control = at("client");
  RunningClient client(std::move(options));
  expect_echo(client.port_of(source), 10'000, 1);

  const auto state_of = [&](const std::string& name) {
    const std::string status = ask("client", "GET", "/v1/status");
    const std::size_t at = status.find(fmt::format("{{\"name\":\"{}\",\"state\":\"", name));
    return at == std::string::npos ? status : status.substr(at, status.find('}', at) - at);
  };
  const auto ends_up = [&](const std::string& name, const std::string& what) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (state_of(name).find(what) == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  };
  EXPECT_TRUE(ends_up("good", "connected"));
  EXPECT_TRUE(ends_up("wrong", "Invalid authentication")) << state_of("wrong");
  EXPECT_THAT(state_of("wrong"), ::testing::Not(::testing::HasSubstr("retry_in")));
  EXPECT_TRUE(ends_up("absent", "retry_in_seconds")) << state_of("absent");
  EXPECT_THAT(ask("client", "GET", "/v1/status"), ::testing::HasSubstr("partly connected"));
  EXPECT_THAT(ask("client", "GET", "/metrics"),
              ::testing::HasSubstr("culvert_connected{server=\"good\"} 1"));

  // A new tunnel must say through which; one of a server that failed waits.
  const std::string no_server = R"({"source":"tcp://127.0.0.1:1","target":"127.0.0.1:0"})";
  const auto unsaid = admin::ask(socket("client"), "POST", "/v1/tunnels", no_server);
  ASSERT_FALSE(unsaid);
  EXPECT_THAT(unsaid.error().text(), ::testing::HasSubstr("good, wrong, absent"));
  EXPECT_THAT(
      ask("client", "POST", "/v1/tunnels",
          R"({"source":"tcp://127.0.0.1:1","target":"127.0.0.1:0","name":"w","server":"wrong"})"),
      ::testing::HasSubstr("\"state\":\"waiting\""));
  client.expect_another();
  client.expect_another();
  ask("client", "PATCH", "/v1/tunnels/w", R"({"server":"good"})");
  ask("client", "POST", "/v1/tunnels",
      R"({"source":"tcp://127.0.0.1:2","target":"127.0.0.1:0","server":"good"})");
  EXPECT_NE(client.port_of("tcp://127.0.0.1:1"), 0);
  EXPECT_NE(client.port_of("tcp://127.0.0.1:2"), 0);
  expect_echo(client.port_of(source), 10'000, 2);
}

// All three ask one finder what the name stands for.
TEST_F(ControlledTest, servers_of_one_client_are_found_by_their_name) {
  RunningServer server(server_options());
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions options = client_options(server);
  options.servers[0].addresses = {{"localhost", server.info.listening.port}};
  options.servers[0].name = "a";
  for (const char* name : {"b", "c"}) {
    options.servers.push_back(options.servers[0]);
    options.servers.back().name = name;
  }
  add_tunnel(options, source);
  options.tunnels = *options.tunnels.with_replaced(source, [&] {
    tunnel::TunnelSpec spec = options.tunnels.tunnels().front();
    spec.server = "c";
    return spec;
  }());
  options.control = at("client");
  RunningClient client(std::move(options));
  expect_echo(client.port_of(source), 10'000, 1);
  const auto is_connected = [&](const char* name) {
    return ask("client", "GET", "/v1/status")
               .find(fmt::format("{{\"name\":\"{}\",\"state\":\"connected\"", name)) !=
           std::string::npos;
  };
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (const char* name : {"a", "b", "c"}) {
    while (!is_connected(name) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_TRUE(is_connected(name)) << ask("client", "GET", "/v1/status");
  }
}

TEST_F(ControlledTest, an_audit_log_that_nobody_reads_stops_nothing) {
  const std::string fifo = socket("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  ServerOptions of_server = server_options();
  of_server.audit_log = fifo;
  of_server.control = at("server");
  RunningServer server(std::move(of_server));
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  RunningClient client(std::move(options));
  const std::uint16_t port = client.port_of(source);
  for (std::uint64_t i = 0; i < 400; ++i) expect_echo(port, 10, i);  // more than the pipe holds
  EXPECT_THAT(ask("server", "GET", "/v1/status"), ::testing::HasSubstr("\"audit\":{"));
  EXPECT_THAT(ask("server", "GET", "/metrics"),
              ::testing::HasSubstr("culvert_audit_lines_total{outcome=\"lost\"} 0\n"));
  client.stop();
  server.stop();  // politely
  ::close(reader);
}

TEST_F(ControlledTest, flows_are_refused_while_a_required_audit_log_cannot_be_written) {
  ServerOptions of_server = server_options();
  of_server.audit_log = "/dev/full";
  of_server.audit_required = true;
  of_server.control = at("server");
  RunningServer server(std::move(of_server));
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  options.control = at("client");
  RunningClient client(std::move(options));
  const std::uint16_t port = client.port_of(source);
  const auto comes = [&](const std::string& name, const std::string& path,
                         const std::string& what) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (ask(name, "GET", path).find(what) == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  };
  ASSERT_TRUE(comes("server", "/v1/status", "No space left"));  // of the login's record
  Socket user(SOCK_STREAM);
  ASSERT_TRUE(user.connect(port));
  bool is_clean = true;
  EXPECT_EQ(user.read_all(is_clean), "");
  EXPECT_FALSE(is_clean) << "reset";
  EXPECT_TRUE(comes("client", "/v1/tunnels", "audit log cannot be written"));
  EXPECT_THAT(ask("server", "GET", "/metrics"), ::testing::HasSubstr("culvert_audit_failing 1\n"));
}

// Of both roles: as from a disk that does not answer.
TEST_F(ControlledTest, a_reload_that_waits_for_its_file_holds_up_nothing) {
  std::promise<void> server_reads;
  std::promise<void> client_reads;
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  const std::string file = socket("file");
  std::ofstream(file) << "before";
  ServerOptions of_server = server_options();
  of_server.control = at("server");
  of_server.watched_files = {file};
  of_server.reload = [&, released]() -> Result<ServerReload> {
    server_reads.set_value();
    released.wait();
    return fail(ErrorKind::configuration, "broken", file);
  };
  RunningServer server(std::move(of_server));
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  options.control = at("client");
  options.watched_files = {file};
  options.reload = [&, released]() -> Result<ClientReload> {
    client_reads.set_value();
    released.wait();
    return fail(ErrorKind::configuration, "broken", file);
  };
  RunningClient client(std::move(options));
  const std::uint16_t port = client.port_of(source);
  std::ofstream(file + ".new") << "after";
  std::filesystem::rename(file + ".new", file);
  ASSERT_EQ(server_reads.get_future().wait_for(kPatience), std::future_status::ready);
  ASSERT_EQ(client_reads.get_future().wait_for(kPatience), std::future_status::ready);
  expect_echo(port, 10'000, 1);
  EXPECT_THAT(ask("server", "GET", "/v1/status"), ::testing::HasSubstr("serving"));
  EXPECT_THAT(ask("client", "GET", "/v1/status"), ::testing::HasSubstr("connected"));
  release.set_value();
}

// A mistake in the file costs the session, not the client.
TEST_F(ControlledTest, a_client_outlives_a_reload_with_wrong_credentials) {
  RunningServer server(server_options());
  TcpEcho echo;
  const std::string source = fmt::format("tcp://127.0.0.1:{}", echo.port());
  ClientOptions options = client_options(server);
  add_tunnel(options, source);
  const std::string file = socket("client.toml");
  const auto save = [&file](const std::string& text) {
    std::ofstream(file + ".new") << text;
    std::filesystem::rename(file + ".new", file);
  };
  save("right");
  options.watched_files = {file};
  options.reload = [servers = options.servers, tunnels = options.tunnels,
                    file]() -> Result<ClientReload> {
    std::string text;
    std::ifstream(file) >> text;
    if (text == "broken") return fail(ErrorKind::configuration, "broken", file);
    ClientReload reload{.servers = servers, .tunnels = tunnels, .notes = {}};
    if (text == "wrong") reload.servers[0].credentials.token = token(99);
    return reload;
  };
  options.control = at("client");
  RunningClient client(std::move(options));
  const auto ends_up = [&](const std::string& what) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (ask("client", "GET", "/v1/status").find(what) == std::string::npos) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  };
  expect_echo(client.port_of(source), 10'000, 1);
  save("broken");
  save("wrong");
  EXPECT_TRUE(ends_up("Invalid authentication"));
  save("right");
  EXPECT_TRUE(ends_up("\"state\":\"connected\"")) << ask("client", "GET", "/v1/status");
}

}  // namespace
}  // namespace culvert::app
