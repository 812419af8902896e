#include "net/descriptors.h"

#include "base/limits.h"
#include "net/resolver.h"
#include "net/socket_address.h"
#include "net/test_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace culvert::net {
namespace {

// So many descriptors for the whole process, until the end of the test.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit limit{.rlim_cur = most, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

rlim_t soft_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

TEST(DescriptorLimit, is_raised_to_what_the_process_may_have) {
  const FewDescriptors few(64);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  raise_descriptor_limit();
  EXPECT_EQ(soft_limit(), std::min<rlim_t>(limit.rlim_max, limits::kMaxDescriptors));
  raise_descriptor_limit();  // and never lowered
  EXPECT_EQ(soft_limit(), std::min<rlim_t>(limit.rlim_max, limits::kMaxDescriptors));
}

struct Quiet final : StreamHandler, UdpHandler, ListenerHandler {
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant, const Error&) override {}
  void on_stream_readable(Instant) override {}
  void on_stream_writable(Instant) override {}
  void on_udp_readable(Instant) override {}
  void on_udp_writable(Instant) override {}
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
    accepted.push_back(std::move(stream));
    if (on_more) on_more();
  }
  std::vector<std::unique_ptr<StreamPort>> accepted;
  std::function<void()> on_more;
};

TEST(DescriptorBudget, leaves_some_that_no_flow_gets) {
  const FewDescriptors few(80);
  HostGroup group(null_logger(), {}, 1);
  KernelHost& host = group.host(0);
  Quiet quiet;
  const SocketAddress any{IpAddress::loopback(Family::v4), 0};
  const auto target = host.listen_stream(any, Purpose::listener, quiet);
  ASSERT_TRUE(target);
  // Flows of every kind, until there is none for one.
  std::vector<std::unique_ptr<StreamPort>> streams;
  Result<std::unique_ptr<StreamPort>> stream;
  for (;;) {
    stream = host.connect_stream((*target)->local_address(), Purpose::flow, quiet);
    if (!stream) break;
    streams.push_back(std::move(*stream));
    ASSERT_LT(streams.size(), 80U);
  }
  EXPECT_EQ(stream.error().kind, ErrorKind::limit);
  EXPECT_NE(stream.error().what.find("limit is reached"), std::string::npos);
  EXPECT_FALSE(group.descriptors().has_room(0));
  EXPECT_EQ(group.descriptors().room(), 0U);
  const auto udp = host.open_udp({.bind = any}, quiet);
  ASSERT_FALSE(udp);
  EXPECT_EQ(udp.error().kind, ErrorKind::limit);
  // What is no flow still gets them: a quarter of them is kept.
  std::vector<std::unique_ptr<ListenerPort>> listeners;
  for (int i = 0; i < 8; ++i) {
    auto listener = host.listen_stream(any, Purpose::listener, quiet);
    ASSERT_TRUE(listener) << i << ": " << listener.error().text();
    listeners.push_back(std::move(*listener));
  }
  EXPECT_TRUE(host.open_udp({.purpose = Purpose::process, .bind = any}, quiet));
  EXPECT_TRUE(host.connect_stream((*target)->local_address(), Purpose::process, quiet));
  // One that ends makes room.
  streams.pop_back();
  EXPECT_TRUE(host.open_udp({.bind = any}, quiet));
}

// A tunnel's listener leaves connections in the kernel's queue while there is no room; the
// control interface takes its own.
TEST(DescriptorBudget, lets_connections_wait_and_control_go_on) {
  const FewDescriptors few(80);
  HostGroup group(null_logger(), {}, 1);
  KernelHost& host = group.host(0);
  Quiet tunnel;
  Quiet control;
  const SocketAddress any{IpAddress::loopback(Family::v4), 0};
  const auto of_tunnel = host.listen_stream(any, Purpose::listener, tunnel);
  const auto of_control = host.listen_stream(any, Purpose::process, control);
  ASSERT_TRUE(of_tunnel && of_control);
  std::vector<std::unique_ptr<StreamPort>> streams;
  while (group.descriptors().has_room(0)) {
    auto stream = host.connect_stream((*of_tunnel)->local_address(), Purpose::flow, tunnel);
    ASSERT_TRUE(stream);
    streams.push_back(std::move(*stream));
  }
  // Its user is outside: a descriptor of the test's, beyond the bound.
  RawAddress to;
  to_raw(std::get<SocketAddress>((*of_control)->local_address()), false, to);
  const Fd user(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(user.get(), to.get(), to.size), 0);
  control.on_more = [&host] { host.stop(); };
  host.run();
  EXPECT_EQ(control.accepted.size(), 1U);
  EXPECT_TRUE(tunnel.accepted.empty());
  // Half of them end: as many of the rest are accepted.
  const std::size_t count = streams.size();
  streams.erase(streams.begin(), streams.begin() + static_cast<std::ptrdiff_t>(count / 2));
  tunnel.on_more = [&] {
    if (tunnel.accepted.size() >= count / 2) host.stop();
  };
  host.run();
  EXPECT_GE(tunnel.accepted.size(), count / 2);
}

// A range of ports is of no use without descriptors for its connections, and must not take those
// of the control interface.
TEST(DescriptorBudget, lets_tunnels_listen_with_half_of_them) {
  const FewDescriptors few(80);
  HostGroup group(null_logger(), {}, 1);
  KernelHost& host = group.host(0);
  Quiet quiet;
  const SocketAddress any{IpAddress::loopback(Family::v4), 0};
  std::vector<std::unique_ptr<ListenerPort>> listeners;
  std::vector<std::unique_ptr<UdpPort>> udp;
  Error refusal;
  for (int i = 0; i < 80 && refusal.what.empty(); ++i) {
    if (i % 2 == 0) {
      auto listener = host.listen_stream(any, Purpose::listener, quiet);
      if (!listener) refusal = listener.error();
      if (listener) listeners.push_back(std::move(*listener));
    } else {
      auto port = host.open_udp({.purpose = Purpose::listener, .bind = any}, quiet);
      if (!port) refusal = port.error();
      if (port) udp.push_back(std::move(*port));
    }
  }
  EXPECT_EQ(refusal.kind, ErrorKind::limit);
  EXPECT_NE(refusal.what.find("ulimit -n"), std::string::npos) << refusal.what;
  EXPECT_EQ(listeners.size() + udp.size(), 30U) << "a quarter of 80 is kept from flows";
  EXPECT_GE(group.descriptors().room(), 10U);
  // One that is closed makes room, whichever it is.
  listeners.pop_back();
  EXPECT_TRUE(host.open_udp({.purpose = Purpose::listener, .bind = any}, quiet));
  EXPECT_TRUE(host.listen_stream(any, Purpose::listener, quiet));
}

TEST(DescriptorBudget, lets_tunnels_listen_with_half_of_what_flows_leave) {
  const FewDescriptors few(80);
  HostGroup group(null_logger(), {}, 1);
  KernelHost& host = group.host(0);
  Quiet quiet;
  const SocketAddress any{IpAddress::loopback(Family::v4), 0};
  std::vector<Fd> flows;
  while (group.descriptors().has_room(0)) flows.emplace_back(::dup(0));
  std::vector<std::unique_ptr<ListenerPort>> listeners;
  for (;;) {
    auto listener = host.listen_stream(any, Purpose::listener, quiet);
    if (!listener) break;
    listeners.push_back(std::move(*listener));
    ASSERT_LT(listeners.size(), 80U);
  }
  EXPECT_EQ(listeners.size(), 10U);
  EXPECT_TRUE(host.listen_stream(any, Purpose::process, quiet));
}

struct LookedUp final : ResolveHandler {
  void on_resolved(Instant, Result<std::vector<IpAddress>> result) override {
    kind = result ? ErrorKind::internal : result.error().kind;
    on_answer();
  }
  std::optional<ErrorKind> kind;
  std::function<void()> on_answer;
};

// Each has a socket or two: a client's names must not take what is kept, while the name of the
// server that this process dials may.
TEST(DescriptorBudget, bounds_lookups_of_flows) {
  const FewDescriptors few(80);
  HostGroup group(null_logger(), {}, 1);
  KernelHost& host = group.host(0);
  Quiet quiet;
  const SocketAddress any{IpAddress::loopback(Family::v4), 0};
  const auto silent = host.open_udp({.bind = any}, quiet);
  const auto as_silent = host.open_udp({.bind = any}, quiet);
  ASSERT_TRUE(silent && as_silent);
  group.set_resolver(
      {.server_timeout = std::chrono::milliseconds(20),
       .servers = (*silent)->local_address().text() + "," + (*as_silent)->local_address().text(),
       .name_services = [] { return NameServices{}; }});
  const auto look_up = [&](Purpose purpose) {
    LookedUp looked_up;
    looked_up.on_answer = [&] { host.stop(); };
    const auto port = host.resolve("x.test", purpose, looked_up);
    host.run();
    return looked_up.kind;
  };
  EXPECT_EQ(look_up(Purpose::flow), ErrorKind::unreachable) << "nobody answers";
  std::vector<Fd> flows;
  while (group.descriptors().room() > 1) flows.emplace_back(::dup(0));
  EXPECT_EQ(look_up(Purpose::flow), ErrorKind::limit) << "none for the second server";
  flows.emplace_back(::dup(0));
  EXPECT_EQ(look_up(Purpose::flow), ErrorKind::limit);
  EXPECT_EQ(look_up(Purpose::process), ErrorKind::unreachable);
}

}  // namespace
}  // namespace culvert::net
