// link-flows: bulk flows between two network namespaces, both ends of them in this process,
// so that one clock sees a byte leave and arrive. A tunnel, if any, lies between: the near
// end connects to its listener, and the tunnel to the far end's.
#include "bench/tool/commands.h"
#include "bench/tool/socket.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace culvert::bench {
namespace {

using LinkClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint64_t kFirstMegabyte = 1'000'000;
constexpr std::size_t kRequestBytes = 64;
constexpr auto kPauseBetweenRequests = milliseconds(10);
constexpr auto kPatience = milliseconds(15'000);  // with a connection, an answer
constexpr auto kSeriesStep = milliseconds(500);

constexpr const char* kUsage =
    "link-flows NEAR_NS FAR_NS TARGET_PORT VIA:PORT up|down FLOWS WARM_SECONDS SECONDS "
    "[congestion=NAME] [ping] [beside=ADDRESS:PORT] [series]";

struct LinkOptions {
  std::string near_namespace;
  std::string far_namespace;
  long target_port = 0;
  sockaddr_in via{};
  bool is_up = true;
  long flows = 1;
  long warm_seconds = 0;
  long seconds = 0;
  std::string congestion;  // of the bulk flows; empty: the namespace's own
  bool has_ping = false;
  std::optional<sockaddr_in> beside;  // a flow of plain cubic on the same wire
  bool has_series = false;
};

LinkOptions parse_options(const Arguments& arguments) {
  if (arguments.size() < 8) die(kUsage);
  LinkOptions options;
  options.near_namespace = arguments[0];
  options.far_namespace = arguments[1];
  options.target_port = parse_count(arguments[2], 1, 65'535);
  options.via = parse_address(arguments[3]);
  if (arguments[4] != "up" && arguments[4] != "down") die(kUsage);
  options.is_up = arguments[4] == "up";
  options.flows = parse_count(arguments[5], 1, 64);
  options.warm_seconds = parse_count(arguments[6], 0, 600);
  options.seconds = parse_count(arguments[7], 1, 3600);
  for (std::size_t i = 8; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "ping") {
      options.has_ping = true;
    } else if (argument == "series") {
      options.has_series = true;
    } else if (argument.starts_with("congestion=")) {
      options.congestion = argument.substr(argument.find('=') + 1);
    } else if (argument.starts_with("beside=")) {
      options.beside = parse_address(argument.substr(argument.find('=') + 1));
    } else {
      die(kUsage);
    }
  }
  return options;
}

// Sockets made afterwards by this thread belong to the namespace for good.
void enter(const std::string& path) {
  const Socket space(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (space.fd() < 0 || setns(space.fd(), CLONE_NEWNET) != 0) die(path);
}

void set_congestion(const Socket& socket, const std::string& name) {
  if (name.empty()) return;
  if (setsockopt(socket.fd(), IPPROTO_TCP, TCP_CONGESTION, name.data(),
                 static_cast<socklen_t>(name.size())) != 0) {
    die("congestion control " + name);
  }
}

// One flow: the near end sends a byte with its number first, by which the far end knows it.
struct BulkFlow {
  Socket near;
  Socket far;
  std::atomic<std::uint64_t> received = 0;
  std::atomic<bool> has_failed = false;
  std::atomic<LinkClock::rep> first_megabyte{0};  // after the start; 0 = not yet
  LinkClock::time_point start;
};

class LinkLoad {
 public:
  explicit LinkLoad(LinkOptions options) : options_(std::move(options)) {}
  int run();

 private:
  BulkFlow& open_flow(const sockaddr_in& to, const std::string& congestion);
  void accept_flows();
  bool wait_for_far(BulkFlow& flow);
  void send_bulk(BulkFlow& flow);
  void receive_bulk(BulkFlow& flow);
  void start_bulk(BulkFlow& flow);
  void answer_requests(BulkFlow& flow);
  void send_requests(BulkFlow& flow, LinkClock::time_point end);
  [[nodiscard]] std::uint64_t bytes_of_bulk() const;
  void print(double seconds, std::uint64_t bulk, std::uint64_t beside) const;

  LinkOptions options_;
  Socket listener_;
  std::deque<BulkFlow> flows_;  // addresses stay
  std::mutex mutex_;
  std::condition_variable accepted_;
  std::atomic<bool> is_over_ = false;
  std::vector<std::jthread> threads_;
  std::vector<double> delays_ms_;
  bool is_request_lost_ = false;
  std::vector<double> series_;
};

BulkFlow& LinkLoad::open_flow(const sockaddr_in& to, const std::string& congestion) {
  Socket near(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(near.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const std::scoped_lock lock(mutex_);
  BulkFlow& flow = flows_.emplace_back();
  flow.near = std::move(near);
  flow.start = LinkClock::now();
  if (connect(flow.near.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    die("connect");
  }
  set_congestion(flow.near, congestion);  // after connect: a route may have said another
  const auto number = static_cast<char>(flows_.size() - 1);
  if (send(flow.near.fd(), &number, 1, MSG_NOSIGNAL) != 1) die("send");
  return flow;
}

void LinkLoad::accept_flows() {
  while (!is_over_) {
    Socket far(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (far.fd() < 0) continue;
    const int on = 1;
    setsockopt(far.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // Another's flow may hold this one's byte up for a while, but not for ever.
    set_receive_timeout(far, kPatience);
    unsigned char number = 0;
    if (recv(far.fd(), &number, 1, 0) != 1) continue;
    const std::scoped_lock lock(mutex_);
    if (number >= flows_.size()) continue;
    // The far end of plain TCP sends by the same rules as the near end.
    if (options_.beside && number == 1) {
      set_congestion(far, "cubic");
    } else {
      set_congestion(far, options_.congestion);
    }
    flows_[number].far = std::move(far);
    accepted_.notify_all();
  }
}

bool LinkLoad::wait_for_far(BulkFlow& flow) {
  std::unique_lock lock(mutex_);
  return accepted_.wait_for(lock, kPatience, [&] { return flow.far.fd() >= 0 || is_over_; }) &&
         flow.far.fd() >= 0;
}

void LinkLoad::send_bulk(BulkFlow& flow) {
  const std::vector<char> block(65'536, 'b');
  const int fd = options_.is_up ? flow.near.fd() : flow.far.fd();
  while (!is_over_) {
    if (send(fd, block.data(), block.size(), MSG_NOSIGNAL) <= 0) {
      if (!is_over_) flow.has_failed = true;
      return;
    }
  }
}

void LinkLoad::receive_bulk(BulkFlow& flow) {
  std::vector<char> block(262'144);
  const Socket& socket = options_.is_up ? flow.far : flow.near;
  set_receive_timeout(socket, milliseconds(500));
  while (!is_over_) {
    const ssize_t got = recv(socket.fd(), block.data(), block.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) {
      if (!is_over_) flow.has_failed = true;
      return;
    }
    const auto total = flow.received += static_cast<std::uint64_t>(got);
    if (total >= kFirstMegabyte && flow.first_megabyte == 0) {
      flow.first_megabyte = (LinkClock::now() - flow.start).count();
    }
  }
}

void LinkLoad::start_bulk(BulkFlow& flow) {
  const auto with_far = [this, &flow](void (LinkLoad::*work)(BulkFlow&)) {
    threads_.emplace_back([this, &flow, work] {
      if (wait_for_far(flow)) {
        (this->*work)(flow);
      } else if (!is_over_) {
        flow.has_failed = true;
      }
    });
  };
  // What the near end has to say does not wait for the far end's accept.
  if (options_.is_up) {
    threads_.emplace_back([this, &flow] { send_bulk(flow); });
    with_far(&LinkLoad::receive_bulk);
  } else {
    threads_.emplace_back([this, &flow] { receive_bulk(flow); });
    with_far(&LinkLoad::send_bulk);
  }
}

void LinkLoad::answer_requests(BulkFlow& flow) {
  std::array<char, kRequestBytes> request{};
  while (!is_over_) {
    const ssize_t got = recv(flow.far.fd(), request.data(), request.size(), MSG_WAITALL);
    if (got < 0 && errno == EAGAIN) continue;
    if (got != static_cast<ssize_t>(request.size())) return;
    if (send(flow.far.fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return;
  }
}

void LinkLoad::send_requests(BulkFlow& flow, LinkClock::time_point end) {
  set_receive_timeout(flow.near, kPatience);
  std::array<char, kRequestBytes> request{};
  while (LinkClock::now() < end) {
    const auto start = LinkClock::now();
    if (send(flow.near.fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0 ||
        recv(flow.near.fd(), request.data(), request.size(), MSG_WAITALL) !=
            static_cast<ssize_t>(request.size())) {
      is_request_lost_ = true;
      return;
    }
    delays_ms_.push_back(
        std::chrono::duration<double, std::milli>(LinkClock::now() - start).count());
    std::this_thread::sleep_for(kPauseBetweenRequests);
  }
}

std::uint64_t LinkLoad::bytes_of_bulk() const {
  std::uint64_t bytes = 0;
  for (long i = 0; i < options_.flows; ++i) bytes += flows_[static_cast<std::size_t>(i)].received;
  return bytes;
}

void LinkLoad::print(double seconds, std::uint64_t bulk, std::uint64_t beside) const {
  bool has_failed = is_request_lost_;
  std::uint64_t total = 0;
  for (const BulkFlow& flow : flows_) {
    has_failed = has_failed || flow.has_failed;
    total += flow.received;
  }
  const auto megabits = [&](std::uint64_t bytes) {
    return static_cast<double>(bytes) * 8 / 1e6 / seconds;
  };
  const auto first = std::chrono::nanoseconds(flows_.front().first_megabyte.load());
  std::printf("failed=%d mbits=%.3f first_mb_ms=%.1f total_bytes=%llu", has_failed ? 1 : 0,
              megabits(bulk), std::chrono::duration<double, std::milli>(first).count(),
              static_cast<unsigned long long>(total));
  if (options_.beside) std::printf(" beside_mbits=%.3f", megabits(beside));
  if (!delays_ms_.empty()) {
    std::vector<double> sorted = delays_ms_;
    std::ranges::sort(sorted);
    const auto at = [&](double fraction) {
      return sorted[static_cast<std::size_t>(fraction * static_cast<double>(sorted.size() - 1))];
    };
    std::printf(" requests=%zu delay_p50_ms=%.2f delay_p99_ms=%.2f delay_max_ms=%.2f",
                sorted.size(), at(0.5), at(0.99), sorted.back());
  }
  if (options_.has_series) {
    std::printf(" series=");
    for (std::size_t i = 0; i < series_.size(); ++i) {
      std::printf("%s%.1f", i == 0 ? "" : ",", series_[i]);
    }
  }
  std::printf("\n");
}

int LinkLoad::run() {
  enter(options_.far_namespace);
  listener_ = tcp_listen("0.0.0.0:" + std::to_string(options_.target_port));
  set_receive_timeout(listener_, milliseconds(500));
  enter(options_.near_namespace);
  std::jthread acceptor([this] { accept_flows(); });

  const auto begin = LinkClock::now();
  // The flows' own order gives their numbers: bulk, the one beside, requests. With one
  // beside there is one bulk flow, so that it is number 1.
  if (options_.beside && options_.flows != 1) die("beside= is for one flow");
  for (long i = 0; i < options_.flows; ++i) {
    start_bulk(open_flow(options_.via, options_.congestion));
  }
  BulkFlow* beside = nullptr;
  if (options_.beside) start_bulk(*(beside = &open_flow(*options_.beside, "cubic")));
  const auto warm = begin + std::chrono::seconds(options_.warm_seconds);
  const auto end = warm + std::chrono::seconds(options_.seconds);
  std::jthread requests;
  if (options_.has_ping) {
    BulkFlow& flow = open_flow(options_.via, {});
    threads_.emplace_back([this, &flow] {
      if (wait_for_far(flow)) answer_requests(flow);
    });
    requests = std::jthread([this, &flow, warm, end] {
      if (!wait_for_far(flow)) {
        is_request_lost_ = true;
        return;
      }
      std::this_thread::sleep_until(warm);
      send_requests(flow, end);
    });
  }

  std::uint64_t bulk_at_warm = 0;
  std::uint64_t beside_at_warm = 0;
  std::uint64_t before = 0;
  auto measured_from = begin;
  for (auto next = begin; next < end;) {
    if (next <= warm) {
      bulk_at_warm = bytes_of_bulk();
      beside_at_warm = beside != nullptr ? beside->received.load() : 0;
      measured_from = LinkClock::now();
    }
    next += kSeriesStep;
    std::this_thread::sleep_until(next);
    const std::uint64_t now = bytes_of_bulk();
    series_.push_back(static_cast<double>(now - before) * 8 / 1e3 /
                      static_cast<double>(kSeriesStep.count()));
    before = now;
  }
  const std::uint64_t bulk = bytes_of_bulk() - bulk_at_warm;
  const std::uint64_t by_side = (beside != nullptr ? beside->received.load() : 0) - beside_at_warm;
  const double seconds = std::chrono::duration<double>(LinkClock::now() - measured_from).count();

  if (requests.joinable()) requests.join();  // the load goes on until the last answer
  {
    const std::scoped_lock lock(mutex_);
    is_over_ = true;
    for (const BulkFlow& flow : flows_) {
      shutdown(flow.near.fd(), SHUT_RDWR);
      if (flow.far.fd() >= 0) shutdown(flow.far.fd(), SHUT_RDWR);
    }
  }
  accepted_.notify_all();
  threads_.clear();
  acceptor.join();
  print(seconds, bulk, by_side);
  return 0;
}

}  // namespace

int link_flows(const Arguments& arguments) {
  return LinkLoad(parse_options(arguments)).run();
}

}  // namespace culvert::bench
