// The interface over real sockets: a loop in a thread, blocking clients in the test.
#include "admin/control_server.h"
#include "admin/http_config.h"
#include "admin/instances.h"
#include "base/limits.h"
#include "net/uninterrupted.h"
#include "net/unix_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <span>
#include <thread>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace culvert::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Duration kPatience = std::chrono::seconds(20);  // only failures take this long

class BareTarget final : public ControlTarget {
 public:
  void collect(Instant now, OnSnapshot done) override {
    done(now, {.role = "server", .version = "1", .state = "serving", .pid = 42});
  }
  void kick(Instant now, std::uint64_t, std::string, OnDone done) override {
    done(now, fail(ErrorKind::not_found, "there is no such session", "7"));
  }
  void change_tunnel(Instant now, TunnelChange, OnDone done) override { done(now, {}); }
  Logger& log() override { return null_logger(); }
};

class ControlTest : public ::testing::Test {
 protected:
  ControlTest() {
    std::string pattern = "/tmp/culvert-control-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    options_ = {.is_enabled = true, .directory = directory_ + "/run"};
  }
  ~ControlTest() override {
    stop();
    std::filesystem::remove_all(directory_);
  }
  void start() {
    server_ = std::make_unique<ControlServer>(group_.host(0), target_);
    const Status opened = server_->open(options_, "server", 42);
    ASSERT_TRUE(opened) << opened.error().text();
    thread_ = std::jthread([this] { group_.host(0).run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    group_.host(0).post([this](Instant) {
      server_.reset();
      group_.host(0).stop();
    });
    thread_.join();
  }
  // Runs `task` on the loop, and waits for it.
  void on_loop(std::function<void(Instant)> task) {
    std::promise<void> done;
    group_.host(0).post([&](Instant now) {
      task(now);
      done.set_value();
    });
    ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  }
  net::UnixClient connect() {
    auto client = net::UnixClient::connect(server_->socket_path(), kPatience);
    EXPECT_TRUE(client) << client.error().text();
    return std::move(*client);
  }

  std::string directory_;
  ControlOptions options_;
  BareTarget target_;
  net::HostGroup group_{null_logger(), {}, 1};
  std::unique_ptr<ControlServer> server_;
  std::jthread thread_;
};

unsigned mode_of(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

TEST_F(ControlTest, has_a_socket_that_only_its_user_can_reach) {
  start();
  EXPECT_EQ(server_->socket_path(), directory_ + "/run/server-42.sock");
  EXPECT_EQ(mode_of(server_->socket_path()), 0600U);
  EXPECT_EQ(mode_of(directory_ + "/run"), 0700U);
  const std::string path = server_->socket_path();
  stop();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ControlTest, answers_one_question_a_connection_and_several) {
  start();
  const auto status = ask(server_->socket_path(), "GET", "/v1/status");
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_THAT(*status, HasSubstr("\"pid\":42"));

  const net::UnixClient client = connect();
  // Two at once, and the second says that it is the last.
  ASSERT_TRUE(
      client.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
                   "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  const auto both = client.read_all(1 << 20);
  ASSERT_TRUE(both) << both.error().text();
  EXPECT_THAT(*both, HasSubstr("ok\nHTTP/1.1 200"));
  EXPECT_THAT(*both, HasSubstr("# TYPE culvert_sessions gauge"));
}

TEST_F(ControlTest, tells_errors_with_their_words) {
  start();
  const auto missing = ask(server_->socket_path(), "DELETE", "/v1/sessions/7");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text(), HasSubstr("7: there is no such session"));
  const net::UnixClient client = connect();
  ASSERT_TRUE(client.write("no http\r\n\r\n"));
  const auto answer = client.read_all(1 << 20);  // and closes
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr("HTTP/1.1 400"));
}

TEST_F(ControlTest, refuses_a_body_beyond_the_limit) {
  start();
  const auto answer = ask(server_->socket_path(), "PUT", "/v1/log-level",
                          std::string(limits::kControlBodyBytes + 1, ' '));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().text(), HasSubstr("body limit"));
}

ssize_t receive(int fd, std::span<char> into) {
  return net::uninterrupted([&] { return ::recv(fd, into.data(), into.size(), 0); });
}

// Reads until `pattern` has come, or to the end.
std::string read_until(int fd, std::optional<std::string_view> pattern) {
  std::string all;
  std::array<char, 1> c{};
  while ((!pattern || all.find(*pattern) == all.npos) && receive(fd, c) == 1) all += c[0];
  return all;
}

class RawSocket {
 public:
  explicit RawSocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawSocket() { ::close(fd_); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  const int fd_;
};

constexpr std::string_view kSubscribe = "GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(ControlTest, answers_others_while_as_many_as_may_be_never_finish_their_request) {
  start();
  std::vector<std::unique_ptr<RawSocket>> held;
  for (std::size_t i = 0; i < 3 * limits::kMaxControlConnections; ++i) {
    held.push_back(std::make_unique<RawSocket>(server_->socket_path()));
    held.back()->send("GET /healthz HT");
    const auto answer = ask(server_->socket_path(), "GET", "/healthz");
    ASSERT_TRUE(answer) << i << ": " << answer.error().text();
  }
  std::array<char, 1> block{};
  EXPECT_LE(receive(held.front()->fd(), block), 0) << "who waited longest had to go";
  on_loop([&](Instant) { EXPECT_GE(server_->counters().connections_dropped, held.size() / 2); });
  held.back()->send("TP/1.1\r\n\r\n");  // the last one is still there
  EXPECT_THAT(read_until(held.back()->fd(), "ok\n"), HasSubstr("200 OK"));
}

TEST_F(ControlTest, keeps_places_for_questions_when_many_subscribe) {
  start();
  std::vector<std::unique_ptr<RawSocket>> subscribers;
  for (std::size_t i = 0; i <= limits::kMaxControlSubscribers; ++i) {
    subscribers.push_back(std::make_unique<RawSocket>(server_->socket_path()));
    subscribers.back()->send(kSubscribe);
    EXPECT_THAT(read_until(subscribers.back()->fd(), "\r\n\r\n"),
                HasSubstr(i < limits::kMaxControlSubscribers ? "200 OK" : "503 "));
  }
  for (std::size_t i = 0; i < 2 * limits::kMaxControlConnections; ++i) {
    ASSERT_TRUE(ask(server_->socket_path(), "GET", "/v1/status"));
  }
  server_->on_role_event({.kind = peer::RoleEventKind::session_opened, .session = 8});
  EXPECT_THAT(read_until(subscribers.front()->fd(), "\n\n"), HasSubstr("session_opened"));
}

TEST_F(ControlTest, streams_events_to_subscribers) {
  start();
  EXPECT_FALSE(server_->wants_events());
  const RawSocket subscriber(server_->socket_path());
  subscriber.send(kSubscribe);
  EXPECT_THAT(read_until(subscriber.fd(), "\r\n\r\n"), HasSubstr("text/event-stream"));
  EXPECT_TRUE(server_->wants_events());
  server_->on_role_event({.kind = peer::RoleEventKind::session_opened, .session = 8});
  const std::string event = read_until(subscriber.fd(), "\n\n");
  EXPECT_TRUE(event.starts_with("event: session_opened\ndata: {")) << event;
  EXPECT_THAT(event, HasSubstr("\"session\":8"));
}

TEST_F(ControlTest, tells_and_drops_a_subscriber_that_does_not_read) {
  start();
  const RawSocket subscriber(server_->socket_path());
  subscriber.send(kSubscribe);
  read_until(subscriber.fd(), "\r\n\r\n");
  // Until what it does not take fills the kernel's buffers and then ours.
  bool is_dropped = false;
  for (int i = 0; i < 10'000 && !is_dropped; ++i) {
    server_->on_role_event({.detail = std::string(4'000, 'x')});
    on_loop([&](Instant) {
      const auto metrics = server_->counters();
      is_dropped = metrics.subscribers_dropped > 0;
    });
  }
  EXPECT_TRUE(is_dropped);
  EXPECT_FALSE(server_->wants_events());
  EXPECT_THAT(read_until(subscriber.fd(), std::nullopt), HasSubstr("event: dropped"));
}

// A server of its own that loses its patience quickly.
class ImpatientTest : public ControlTest {
 protected:
  void start(void (*change)(http::ServerTimes& times)) {
    http::ServerConfig config = http_config();
    change(config.times);
    http_ = std::make_unique<http::Server>(
        group_.host(0), std::move(config),
        [](Instant now, const http::Request&, http::Server::Answer answer) {
          answer(now, {.is_event_stream = true});
        });
    ASSERT_TRUE(http_->listen(UnixPath{path_}));
    thread_ = std::jthread([this] { group_.host(0).run(); });
  }
  ~ImpatientTest() override {
    stop();
    http_.reset();
  }
  const std::string path_ = directory_ + "/http.sock";
  std::unique_ptr<http::Server> http_;
};

TEST_F(ImpatientTest, closes_a_connection_that_says_nothing) {
  start([](http::ServerTimes& times) {
    times.idle = std::chrono::milliseconds(20);
    times.tick = std::chrono::milliseconds(5);
  });
  const auto client = net::UnixClient::connect(path_, kPatience);
  ASSERT_TRUE(client);
  const auto answer = client->read_all(100);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(*answer, "");
}

// A byte now and then does not lengthen the time that a request has.
TEST_F(ImpatientTest, closes_a_connection_that_drips) {
  start([](http::ServerTimes& times) {
    times.request = std::chrono::milliseconds(10);
    times.tick = std::chrono::milliseconds(1);
  });
  const RawSocket client(path_);
  client.send("GET / HTTP/1.1\r\nX: ");
  std::string answer;
  std::array<char, 256> block{};
  // Ends when the server does; as many bytes at most as its headers may have.
  for (std::size_t i = 0; i < limits::kControlHeaderBytes / 2 && answer.empty(); ++i) {
    if (::send(client.fd(), "x", 1, MSG_NOSIGNAL) != 1) break;
    on_loop([](Instant) {});
    pollfd readable{.fd = client.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, 1) != 1) continue;
    const ssize_t got = receive(client.fd(), block);
    if (got > 0) answer.assign(block.data(), static_cast<std::size_t>(got));
  }
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 408"));
  EXPECT_EQ(http_->dropped_connections(), 1U);
}

TEST_F(ImpatientTest, shows_subscribers_that_the_stream_lives) {
  start([](http::ServerTimes& times) {
    times.idle = std::chrono::milliseconds(1);
    times.heartbeat = std::chrono::milliseconds(20);
    times.tick = std::chrono::milliseconds(5);
  });
  const RawSocket subscriber(path_);
  subscriber.send(kSubscribe);
  read_until(subscriber.fd(), "\r\n\r\n");
  EXPECT_EQ(read_until(subscriber.fd(), "\n\n"), ":\n\n");
  EXPECT_EQ(read_until(subscriber.fd(), "\n\n"), ":\n\n");
}

TEST_F(ControlTest, finds_instances_and_forgets_the_dead) {
  start();
  {  // a process that died: its socket is bound, and nobody listens
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (options_.directory + "/client-7.sock").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
  }
  std::ofstream(options_.directory + "/notes.sock") << "a file";
  std::filesystem::create_symlink("/etc/passwd", options_.directory + "/link.sock");
  const auto found = find_instances(options_.directory);
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_THAT(*found, SizeIs(1));
  EXPECT_EQ(found->front().name, "server-42");
  EXPECT_TRUE(is_called(found->front(), "server-42"));
  EXPECT_TRUE(is_called(found->front(), "42"));
  EXPECT_FALSE(is_called(found->front(), "2"));
  EXPECT_TRUE(std::filesystem::exists(options_.directory + "/notes.sock")) << "is no socket";
  EXPECT_TRUE(std::filesystem::is_symlink(options_.directory + "/link.sock")) << "nor is this";
  EXPECT_FALSE(std::filesystem::exists(options_.directory + "/client-7.sock"));
  EXPECT_THAT(*find_instances(directory_ + "/nowhere"), IsEmpty());
  const auto gone = ask(options_.directory + "/client-7.sock", "GET", "/healthz");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, ErrorKind::unreachable);
}

// A socket that nobody listens on, in a directory that others could have prepared.
void leave_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
}

TEST_F(ControlTest, clears_away_what_killed_processes_left) {
  std::filesystem::create_directory(options_.directory);
  ASSERT_EQ(::chmod(options_.directory.c_str(), 0700), 0);
  const auto name = [this](const std::string& file) { return options_.directory + "/" + file; };
  const std::string starting = name("client-" + std::to_string(::getpid()) + ".sock");
  const std::array left{name("server-2000000001.sock"), name("client-2000000002.sock")};
  const std::array kept{starting, name("mine.sock"), name("server-2000000003.sock-old")};
  for (const auto& path : left) leave_socket(path);
  for (const auto& path : kept) leave_socket(path);
  std::ofstream(name("server-2000000004.sock")) << "a file";
  start();
  for (const auto& path : left) EXPECT_FALSE(std::filesystem::exists(path)) << path;
  for (const auto& path : kept) EXPECT_TRUE(std::filesystem::exists(path)) << path;
  EXPECT_TRUE(std::filesystem::exists(name("server-2000000004.sock")));
}

TEST_F(ControlTest, finds_nothing_and_removes_nothing_where_others_could_have_put_it) {
  std::filesystem::create_directory(options_.directory);
  const std::string left = options_.directory + "/server-7.sock";
  leave_socket(left);
  ASSERT_EQ(::chmod(options_.directory.c_str(), 0777), 0);
  const auto writable = find_instances(options_.directory);
  ASSERT_FALSE(writable);
  EXPECT_EQ(writable.error().kind, ErrorKind::configuration);
  EXPECT_THAT(writable.error().text(), HasSubstr(options_.directory));
  ASSERT_EQ(::chmod(options_.directory.c_str(), 0700), 0);
  std::filesystem::create_symlink(options_.directory, directory_ + "/link");
  EXPECT_FALSE(find_instances(directory_ + "/link"));
  EXPECT_TRUE(std::filesystem::exists(left));
}

// Another user, for who may become one.
constexpr uid_t kNobody = 65'534;

// What ends while it is asked, and what is no culvert.
TEST_F(ControlTest, names_who_does_not_answer) {
  const std::string path = directory_ + "/other.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 4), 0);
  for (const std::string_view answer : {"", "220 mail.example ESMTP\r\n\r\n"}) {
    const std::jthread other([&] {
      const int accepted = ::accept(fd, nullptr, nullptr);
      std::array<char, 512> request;
      EXPECT_GT(::recv(accepted, request.data(), request.size(), 0), 0);
      ::send(accepted, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::close(accepted);
    });
    const auto reply = ask(path, "GET", "/healthz");
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().offender, path);
    EXPECT_EQ(reply.error().kind, answer.empty() ? ErrorKind::unreachable : ErrorKind::protocol);
  }
  ::close(fd);
}

TEST_F(ControlTest, trusts_no_directory_of_another_user) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make one";
  std::filesystem::create_directory(options_.directory);
  const std::string left = options_.directory + "/server-7.sock";
  leave_socket(left);
  ASSERT_EQ(::chmod(options_.directory.c_str(), 0700), 0);
  ASSERT_EQ(::chown(options_.directory.c_str(), kNobody, kNobody), 0);
  const auto found = find_instances(options_.directory);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().text(), HasSubstr("not a directory of this user"));
  EXPECT_TRUE(std::filesystem::exists(left));
}

TEST_F(ControlTest, trusts_no_process_of_another_user) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to have one";
  std::filesystem::create_directory(options_.directory);
  ASSERT_EQ(::chmod(options_.directory.c_str(), 0700), 0);
  const std::string path = options_.directory + "/server-7.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const auto listen_as_another = [fd] {  // the kernel notes who calls listen()
    return ::seteuid(kNobody) == 0 && ::listen(fd, 4) == 0 && ::seteuid(0) == 0;
  };
  ASSERT_TRUE(listen_as_another());
  const auto found = find_instances(options_.directory);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_THAT(*found, IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(path));
  ::close(fd);
}

TEST_F(ControlTest, does_without_its_default_socket_but_not_without_a_named_one) {
  options_.directory = "/proc/culvert";  // nobody can make that
  ControlServer quiet(group_.host(0), target_);
  EXPECT_TRUE(quiet.open(options_, "server", 1));
  EXPECT_EQ(quiet.socket_path(), "");
  options_.socket = "/proc/culvert.sock";
  ControlServer loud(group_.host(0), target_);
  const Status opened = loud.open(options_, "server", 1);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text(), HasSubstr("/proc/culvert.sock"));
}

TEST_F(ControlTest, trusts_no_directory_that_is_a_link) {
  std::filesystem::create_directory(directory_ + "/real");
  std::filesystem::create_symlink(directory_ + "/real", options_.directory);
  ControlServer server(group_.host(0), target_);
  EXPECT_TRUE(server.open(options_, "server", 1));
  EXPECT_EQ(server.socket_path(), "");
}

// What comes back for a request over TCP.
std::string answer_over_tcp(const SocketAddress& server, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(server.port);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string all;
  std::array<char, 4096> block{};
  for (ssize_t got = 0; (got = receive(fd, block)) > 0;) {
    all.append(block.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return all;
}

TEST_F(ControlTest, serves_metrics_over_tcp_only_where_asked_and_by_its_own_names) {
  options_.metrics = {SocketAddress{IpAddress::loopback(Family::v4), 0}};
  options_.metrics_hosts = {"culvert.example"};
  start();
  ASSERT_TRUE(server_->metrics_address());
  const SocketAddress address = *server_->metrics_address();
  EXPECT_NE(address.port, 0);
  const auto status = [&](const std::string& headers) {
    const std::string answer = answer_over_tcp(
        address, "GET /healthz HTTP/1.1\r\nConnection: close\r\n" + headers + "\r\n");
    return answer.substr(0, answer.find("\r\n"));
  };
  const std::vector<std::string> own{"127.0.0.1", "127.0.0.1:9090",     "localhost:9090",
                                     "[::1]:1",   "Culvert.Example:80", net::host_name()};
  for (const std::string& host : own) {
    EXPECT_EQ(status("Host: " + host + "\r\n"), "HTTP/1.1 200 OK") << host;
  }
  EXPECT_EQ(status(""), "HTTP/1.1 200 OK") << "a browser always names a host";
  for (const std::string& host :
       std::vector<std::string>{"evil.example", "127.0.0.1.evil.example:9090", "[::1].evil", ""}) {
    EXPECT_EQ(status("Host: " + host + "\r\n"), "HTTP/1.1 421 Misdirected Request") << host;
  }
  EXPECT_EQ(status("Host: 127.0.0.1\r\nHost: evil.example\r\n"), "HTTP/1.1 400 Bad Request");
  on_loop([&](Instant) { EXPECT_EQ(server_->counters().hosts_refused, 4U); });
}

TEST(SocketDirectory, is_the_users_own) {
  const auto with = [](const std::optional<std::string>& runtime) {
    return [runtime](std::string_view name) {
      return name == "XDG_RUNTIME_DIR" ? runtime : std::nullopt;
    };
  };
  EXPECT_EQ(socket_directory(with("/run/user/5"), 5), "/run/user/5/culvert");
  EXPECT_EQ(socket_directory(with("relative"), 5), "/tmp/culvert-5");
  EXPECT_EQ(socket_directory(with(std::nullopt), 5), "/tmp/culvert-5");
  EXPECT_EQ(socket_directory(with(std::nullopt), 0), "/run/culvert");
}

TEST(ParseReply, takes_http_only) {
  const auto reply = parse_reply("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 204);
  EXPECT_EQ(reply->body, "");
  for (const char* wire : {"", "HTTP/1.1 ", "HTTP/1.1 200", "HTTP/1.1 x\r\n\r\n",
                           "HTTP/1.1 99999999999\r\n\r\n", "SSH-2.0 hello\r\n\r\n"}) {
    EXPECT_FALSE(parse_reply(wire)) << wire;
  }
}

}  // namespace
}  // namespace culvert::admin
