// TCP commands: echo server (epoll, any number of connections), latency, flows.
#include "bench/tool/commands.h"
#include "bench/tool/socket.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace culvert::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

double microseconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::micro>(SteadyClock::now() - start).count();
}

double percentile(std::vector<double>& sorted, double fraction) {
  const auto index = static_cast<std::size_t>(fraction * static_cast<double>(sorted.size() - 1));
  return sorted[index];
}

// Echoes what waits; false when the connection is over. Blocks on write: callers of this
// server read what they are sent.
bool echo_once(int fd) {
  char buffer[65'536];
  const ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) return false;
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t count =
        send(fd, buffer + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += count;
  }
  return true;
}

void exchange_byte(const Socket& socket) {
  char byte = 'x';
  if (send(socket.fd(), &byte, 1, MSG_NOSIGNAL) != 1) die("send");
  if (recv(socket.fd(), &byte, 1, 0) != 1) die("no echo");
}

}  // namespace

int tcp_echo_server(const Arguments& arguments) {
  if (arguments.size() != 1) die("tcp-echo-server ADDRESS:PORT");
  raise_descriptor_limit();
  const Socket listener = tcp_listen(arguments[0]);
  announce(listener);
  const int poll_fd = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener.fd()}};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener.fd(), &event);
  for (;;) {  // until killed by the script that started it
    epoll_event ready[256];
    const int count = epoll_wait(poll_fd, ready, 256, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = ready[i].data.fd;
      if (fd == listener.fd()) {
        const int accepted = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) continue;
        const int on = 1;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        event = {.events = EPOLLIN, .data = {.fd = accepted}};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, accepted, &event);
      } else if (!echo_once(fd)) {
        close(fd);
      }
    }
  }
}

int latency(const Arguments& arguments) {
  if (arguments.size() < 2) die("latency ADDRESS:PORT COUNT [SIZE]");
  const long count = parse_count(arguments[1], 1, 10'000'000);
  const auto size =
      static_cast<std::size_t>(arguments.size() > 2 ? parse_count(arguments[2], 1, 65'536) : 64);
  const Socket socket = tcp_connect(parse_address(arguments[0]));
  std::vector<char> buffer(size, 'x');
  std::vector<double> samples;
  constexpr long kWarmUp = 200;
  for (long i = 0; i < count + kWarmUp; ++i) {
    const auto start = SteadyClock::now();
    if (send(socket.fd(), buffer.data(), size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) {
      die("send");
    }
    if (recv(socket.fd(), buffer.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size)) {
      die("recv");
    }
    if (i >= kWarmUp) samples.push_back(microseconds_since(start));
  }
  std::ranges::sort(samples);
  std::printf("count=%ld p50_us=%.1f p99_us=%.1f max_us=%.1f\n", count, percentile(samples, 0.5),
              percentile(samples, 0.99), samples.back());
  return 0;
}

// Opens flows in groups: all connects of a group are under way before the first is used.
int open_flows(const Arguments& arguments) {
  if (arguments.size() < 2) die("open-flows ADDRESS:PORT COUNT [PARALLEL]");
  const long count = parse_count(arguments[1], 1, 1'000'000);
  const long parallel = arguments.size() > 2 ? parse_count(arguments[2], 1, 1000) : 32;
  const sockaddr_in address = parse_address(arguments[0]);
  const auto start = SteadyClock::now();
  for (long done = 0; done < count;) {
    std::vector<Socket> group;
    for (long i = 0; i < std::min(parallel, count - done); ++i) {
      group.push_back(tcp_connect(address));
      const char byte = 'x';
      if (send(group.back().fd(), &byte, 1, MSG_NOSIGNAL) != 1) die("send");
    }
    for (const Socket& socket : group) {
      char byte = 0;
      if (recv(socket.fd(), &byte, 1, 0) != 1) die("no echo");
    }
    done += static_cast<long>(group.size());
  }
  const double seconds = microseconds_since(start) / 1e6;
  std::printf("flows=%ld seconds=%.3f flows_per_second=%.0f\n", count, seconds,
              static_cast<double>(count) / seconds);
  return 0;
}

int hold_flows(const Arguments& arguments) {
  if (arguments.size() != 2) die("hold-flows ADDRESS:PORT COUNT");
  raise_descriptor_limit();
  const long count = parse_count(arguments[1], 1, 100'000);
  const sockaddr_in address = parse_address(arguments[0]);
  std::vector<Socket> flows;
  for (long i = 0; i < count; ++i) {
    flows.push_back(tcp_connect(address));
    exchange_byte(flows.back());
  }
  std::printf("holding %ld\n", count);
  std::fflush(stdout);
  char ignored[64];
  while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) {
  }
  for (const Socket& flow : flows) exchange_byte(flow);  // all of them still work
  std::printf("flows=%ld all_alive=1\n", count);
  return 0;
}

}  // namespace culvert::bench
