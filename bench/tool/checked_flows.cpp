// checked-flows: TCP flows to an echo server over anything that may fail in between. Every
// byte that comes back is compared; flows come and go; none may stand still.
#include "bench/tool/commands.h"
#include "bench/tool/socket.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace culvert::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kMaxChunkBytes = 4096;
// Sent and not yet back. Small, so that the echo server never blocks on what we do not read.
constexpr std::uint64_t kMaxOutstandingBytes = 16'384;
constexpr std::uint64_t kMaxFlowBytes = 200'000;
constexpr int kTickMs = 50;
constexpr milliseconds kPauseLeast{100};
constexpr milliseconds kPauseMost{2000};

// The byte at `offset` of the flow with this seed (splitmix64).
std::uint8_t byte_at(std::uint64_t seed, std::uint64_t offset) {
  std::uint64_t x = seed + (offset / 8 + 1) * 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  x ^= x >> 31;
  return static_cast<std::uint8_t>(x >> (8 * (offset % 8)));
}

struct Flow {
  Socket socket;
  std::uint64_t seed = 0;
  std::uint64_t planned = 0;  // bytes, then FIN
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  bool has_sent_end = false;
  SteadyClock::time_point next_send{};
  SteadyClock::time_point last_progress{};  // something came back, or nothing was owed
};

struct Counts {
  std::uint64_t opened = 0;
  std::uint64_t finished = 0;  // all came back, then the end
  std::uint64_t bytes = 0;     // that came back
  std::uint64_t wrong = 0;
  std::uint64_t reset = 0;
  std::uint64_t cut_short = 0;  // an end before all had come back
  std::uint64_t stuck = 0;
  [[nodiscard]] bool is_clean() const { return wrong + reset + cut_short + stuck == 0; }
};

class Runner {
 public:
  Runner(const sockaddr_in& address, long count, std::chrono::seconds stuck_after)
      : address_(address),
        count_(static_cast<std::size_t>(count)),
        stuck_after_(stuck_after),
        poll_(epoll_create1(EPOLL_CLOEXEC)) {}

  void run(std::chrono::seconds duration) {
    const auto end = SteadyClock::now() + duration;
    bool is_ending = false;
    do {
      const auto now = SteadyClock::now();
      is_ending = is_ending || now >= end;
      while (!is_ending && flows_.size() < count_) open(now);
      if (!has_announced_) {
        has_announced_ = true;
        std::printf("running %zu\n", flows_.size());
        std::fflush(stdout);
      }
      take_what_came();
      tick(is_ending);
    } while (!flows_.empty());
  }

  void report() const {
    std::printf(
        "flows=%zu opened=%llu finished=%llu bytes=%llu wrong=%llu reset=%llu cut_short=%llu "
        "stuck=%llu longest_silence_s=%.1f\n",
        count_, number(counts_.opened), number(counts_.finished), number(counts_.bytes),
        number(counts_.wrong), number(counts_.reset), number(counts_.cut_short),
        number(counts_.stuck), std::chrono::duration<double>(longest_silence_).count());
  }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  static unsigned long long number(std::uint64_t value) { return value; }

  std::uint64_t draw(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random_);
  }

  void open(SteadyClock::time_point now) {
    Flow flow{
        .socket = tcp_connect(address_), .seed = random_(), .planned = draw(1, kMaxFlowBytes)};
    flow.last_progress = now;
    flow.next_send = now;
    const int fd = flow.socket.fd();
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(poll_.fd(), EPOLL_CTL_ADD, fd, &event);
    flows_.emplace(fd, std::move(flow));
    ++counts_.opened;
  }

  void take_what_came() {
    epoll_event ready[256];
    const int count = epoll_wait(poll_.fd(), ready, 256, kTickMs);
    for (const epoll_event& event :
         std::span(ready).first(static_cast<std::size_t>(std::max(count, 0)))) {
      const auto found = flows_.find(event.data.fd);
      if (found != flows_.end() && !read_some(found->second)) flows_.erase(found);
    }
  }

  static void tell(const Flow& flow, const char* what) {
    sockaddr_in local{};
    socklen_t size = sizeof local;
    getsockname(flow.socket.fd(), reinterpret_cast<sockaddr*>(&local), &size);
    const auto silence = std::chrono::duration<double>(SteadyClock::now() - flow.last_progress);
    std::fprintf(
        stderr,
        "%s: port=%u planned=%llu sent=%llu received=%llu end_sent=%d silent_s=%.1f at=%lld\n",
        what, unsigned{ntohs(local.sin_port)}, number(flow.planned), number(flow.sent),
        number(flow.received), flow.has_sent_end ? 1 : 0, silence.count(),
        static_cast<long long>(std::time(nullptr)));
  }

  // False: the flow is over.
  bool read_some(Flow& flow) {
    std::uint8_t buffer[kMaxOutstandingBytes];
    const ssize_t got = recv(flow.socket.fd(), buffer, sizeof buffer, 0);
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) return true;
      tell(flow, "reset");
      ++counts_.reset;
      return false;
    }
    if (got == 0) {
      const bool is_whole = flow.has_sent_end && flow.received == flow.sent;
      if (!is_whole) tell(flow, "cut short");
      ++(is_whole ? counts_.finished : counts_.cut_short);
      return false;
    }
    for (const std::uint8_t byte : std::span(buffer).first(static_cast<std::size_t>(got))) {
      if (flow.received >= flow.sent || byte != byte_at(flow.seed, flow.received)) {
        tell(flow, "wrong byte");
        ++counts_.wrong;
        return false;
      }
      ++flow.received;
    }
    counts_.bytes += static_cast<std::uint64_t>(got);
    note_progress(flow, SteadyClock::now());
    return true;
  }

  void note_progress(Flow& flow, SteadyClock::time_point now) {
    longest_silence_ = std::max(longest_silence_, now - flow.last_progress);
    flow.last_progress = now;
  }

  void tick(bool is_ending) {
    const auto now = SteadyClock::now();
    for (auto at = flows_.begin(); at != flows_.end();) {
      Flow& flow = at->second;
      if (is_ending) flow.planned = flow.sent;
      if (!write_some(flow, now)) {
        tell(flow, "reset while writing");
        ++counts_.reset;
        at = flows_.erase(at);
        continue;
      }
      const bool is_owed = flow.has_sent_end || flow.received < flow.sent;
      if (!is_owed) flow.last_progress = now;
      if (now - flow.last_progress > stuck_after_) {
        tell(flow, "stuck");
        ++counts_.stuck;
        at = flows_.erase(at);
        continue;
      }
      ++at;
    }
  }

  // False: the flow was reset.
  bool write_some(Flow& flow, SteadyClock::time_point now) {
    if (flow.has_sent_end) return true;
    if (flow.sent < flow.planned) {
      if (now < flow.next_send || flow.sent - flow.received >= kMaxOutstandingBytes) return true;
      std::uint8_t chunk[kMaxChunkBytes];
      const auto size =
          static_cast<std::size_t>(std::min(draw(1, kMaxChunkBytes), flow.planned - flow.sent));
      for (std::size_t i = 0; i < size; ++i) chunk[i] = byte_at(flow.seed, flow.sent + i);
      const ssize_t sent = send(flow.socket.fd(), chunk, size, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN || errno == EINTR;
      flow.sent += static_cast<std::uint64_t>(sent);
      flow.next_send = now + milliseconds(draw(static_cast<std::uint64_t>(kPauseLeast.count()),
                                               static_cast<std::uint64_t>(kPauseMost.count())));
    }
    if (flow.sent == flow.planned) {
      shutdown(flow.socket.fd(), SHUT_WR);
      flow.has_sent_end = true;
    }
    return true;
  }

  sockaddr_in address_;
  std::size_t count_;
  SteadyClock::duration stuck_after_;
  Socket poll_;
  std::mt19937_64 random_{1};
  std::unordered_map<int, Flow> flows_;  // by descriptor
  SteadyClock::duration longest_silence_{};
  Counts counts_;
  bool has_announced_ = false;
};

}  // namespace

int checked_flows(const Arguments& arguments) {
  if (arguments.size() < 3) die("checked-flows ADDRESS:PORT COUNT SECONDS [STUCK_SECONDS]");
  raise_descriptor_limit();
  const long count = parse_count(arguments[1], 1, 100'000);
  const long seconds = parse_count(arguments[2], 1, 1'000'000);
  const long stuck = arguments.size() > 3 ? parse_count(arguments[3], 1, 1'000'000) : 60;
  Runner runner(parse_address(arguments[0]), count, std::chrono::seconds(stuck));
  runner.run(std::chrono::seconds(seconds));
  runner.report();
  return runner.counts().is_clean() ? 0 : 1;
}

}  // namespace culvert::bench
