// link-probe: datagrams from one network namespace to another, both ends in this process, so
// that one clock tells their delay: that of the kernel, which notes arrivals however late
// this process gets to read them. What a forwarder is checked with.
#include "bench/tool/commands.h"
#include "bench/tool/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace culvert::bench {
namespace {

using ProbeClock = std::chrono::system_clock;  // the kernel's notes have no other

// After the last datagram: longer than any wire here delays.
constexpr auto kQuietEnd = std::chrono::milliseconds(1500);
constexpr std::size_t kUdpHeaders = 28;

void enter_namespace(const std::string& path) {
  const Socket space(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (space.fd() < 0 || setns(space.fd(), CLONE_NEWNET) != 0) die(path);
}

struct Arrivals {
  std::vector<double> delays_ms;
  ProbeClock::time_point first;
  ProbeClock::time_point last;
};

Arrivals receive_all(const Socket& socket, long count) {
  Arrivals arrivals;
  set_receive_timeout(socket, kQuietEnd);
  const int on = 1;
  setsockopt(socket.fd(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  std::vector<char> datagram(65'536);
  while (arrivals.delays_ms.size() < static_cast<std::size_t>(count)) {
    iovec part{.iov_base = datagram.data(), .iov_len = datagram.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(timespec))> notes{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = notes.data();
    message.msg_controllen = notes.size();
    const ssize_t got = recvmsg(socket.fd(), &message, 0);
    if (got < 0 && errno == EINTR) continue;  // this process was stopped
    if (got <= 0) break;
    const cmsghdr* note = CMSG_FIRSTHDR(&message);
    if (note == nullptr || note->cmsg_type != SCM_TIMESTAMPNS) die("no time of arrival");
    timespec time{};
    std::memcpy(&time, CMSG_DATA(note), sizeof time);
    const ProbeClock::time_point now{std::chrono::seconds(time.tv_sec) +
                                     std::chrono::nanoseconds(time.tv_nsec)};
    ProbeClock::rep sent = 0;
    std::memcpy(&sent, datagram.data(), sizeof sent);
    const ProbeClock::time_point sent_at{ProbeClock::duration(sent)};
    if (arrivals.delays_ms.empty()) arrivals.first = now;
    arrivals.last = now;
    arrivals.delays_ms.push_back(std::chrono::duration<double, std::milli>(now - sent_at).count());
  }
  return arrivals;
}

void send_all(const Socket& socket, const sockaddr_in& to, long count, std::size_t size,
              long packets_per_second) {
  std::vector<char> datagram(size);
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < count; ++i) {
    std::this_thread::sleep_until(start +
                                  std::chrono::nanoseconds(1'000'000'000) * i / packets_per_second);
    const auto now = ProbeClock::now().time_since_epoch().count();
    std::memcpy(datagram.data(), &now, sizeof now);
    sendto(socket.fd(), datagram.data(), datagram.size(), 0, reinterpret_cast<const sockaddr*>(&to),
           sizeof to);
  }
}

}  // namespace

int link_probe(const Arguments& arguments) {
  if (arguments.size() != 6) {
    die("link-probe NEAR_NS FAR_NS FAR_ADDRESS:PORT COUNT SIZE PACKETS_PER_SECOND");
  }
  const sockaddr_in to = parse_address(arguments[2]);
  const long count = parse_count(arguments[3], 1, 1'000'000);
  const auto size = static_cast<std::size_t>(parse_count(arguments[4], 16, 60'000));
  const long packets_per_second = parse_count(arguments[5], 1, 1'000'000);
  enter_namespace(arguments[1]);
  const Socket far = udp_bind(arguments[2]);
  enter_namespace(arguments[0]);
  const Socket near = udp_bind("0.0.0.0:0");
  std::jthread sender([&] { send_all(near, to, count, size, packets_per_second); });
  Arrivals arrivals = receive_all(far, count);
  sender.join();

  std::vector<double>& delays = arrivals.delays_ms;
  std::printf("sent=%ld received=%zu", count, delays.size());
  if (delays.size() > 1) {
    const double seconds = std::chrono::duration<double>(arrivals.last - arrivals.first).count();
    std::ranges::sort(delays);
    // The first arrival starts the clock, so its bytes took none of the time.
    std::printf(" mbits=%.3f delay_min_ms=%.3f delay_p50_ms=%.3f delay_max_ms=%.3f",
                static_cast<double>((delays.size() - 1) * (size + kUdpHeaders)) * 8 / 1e6 / seconds,
                delays.front(), delays[delays.size() / 2], delays.back());
  }
  std::printf("\n");
  return 0;
}

}  // namespace culvert::bench
