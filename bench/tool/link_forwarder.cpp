// One wire between two network namespaces: a TUN device in each, the simulation's Link
// between them in each direction, and the real clock. Made for ./dev bench link and labs.
//
//   link_forwarder NEAR_NAMESPACE FAR_NAMESPACE [KEY=VALUE ...]
//
// Namespaces are paths (/run/netns/NAME). Keys, for both directions unless they begin with
// "up." (near to far) or "down.": rate (bit/s, 0 = unlimited), delay (ms, one way), queue (ms at
// that rate), loss (0 to 1), jitter (ms), duplicate, reorder, reorder_delay (ms), hold_least and
// hold_most (ms, between the moments at which what arrived leaves together); and device (wire0),
// mtu (1500), seed (1), life (seconds until it ends by itself, 3600). Prints "ready" when both
// devices are up; addresses are the caller's business. SIGUSR1 prints one line of figures and
// begins their lateness anew; SIGTERM prints them and ends.
#include "bench/tool/tun.h"
#include "bench/tool/wire.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

namespace culvert::bench {
namespace {

// While packets move they are moved this often, in batches: at 1 Gbit/s some eight packets
// each time instead of a wake-up for each. It is what the wire adds to a delay at most.
constexpr Duration kTurn = std::chrono::microseconds(100);
// How late a signal is noticed when it arrives just before ppoll.
constexpr Duration kLongestSleep = std::chrono::milliseconds(100);

volatile std::sig_atomic_t is_over = 0;
volatile std::sig_atomic_t is_asked = 0;

Instant real_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
}

timespec to_timespec(Duration duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

struct Options {
  std::map<std::string, double> numbers;
  std::string device = "wire0";

  [[nodiscard]] double number(const std::string& key, double otherwise) const {
    const auto found = numbers.find(key);
    return found == numbers.end() ? otherwise : found->second;
  }
};

[[noreturn]] void refuse(const std::string& what) {
  std::fprintf(stderr, "link_forwarder: %s\n", what.c_str());
  std::exit(2);
}

bool is_known(std::string_view key) {
  for (const std::string_view way : {"up.", "down."}) {
    if (key.starts_with(way)) key.remove_prefix(way.size());
  }
  for (const std::string_view known :
       {"rate", "delay", "queue", "loss", "jitter", "duplicate", "reorder", "reorder_delay",
        "hold_least", "hold_most", "mtu", "seed", "life"}) {
    if (key == known) return true;
  }
  return false;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 3; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto equals = argument.find('=');
    const std::string key(argument.substr(0, equals));
    const std::string_view text =
        equals == std::string_view::npos ? std::string_view{} : argument.substr(equals + 1);
    if (key == "device" && !text.empty()) {
      options.device = text;
      continue;
    }
    double number = -1;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!is_known(key) || read.ec != std::errc{} || read.ptr != text.data() + text.size() ||
        number < 0) {
      refuse("not a KEY=NUMBER it knows: " + std::string(argument));
    }
    options.numbers[key] = number;
  }
  return options;
}

sim::LinkConfig link_config(const Options& options, const std::string& way) {
  const auto number = [&](const std::string& key, double otherwise) {
    return options.number(way + key, options.number(key, otherwise));
  };
  const auto milliseconds = [&](const std::string& key, double otherwise) {
    return Duration(static_cast<Duration::rep>(number(key, otherwise) * 1e6));
  };
  const auto rate = static_cast<std::uint64_t>(number("rate", 0));
  return {.bits_per_second = rate,
          .delay = milliseconds("delay", 0),
          .jitter = milliseconds("jitter", 0),
          .loss = number("loss", 0),
          .duplicate = number("duplicate", 0),
          .reorder = number("reorder", 0),
          .reorder_delay = milliseconds("reorder_delay", 0),
          .hold_least = milliseconds("hold_least", 0),
          .hold_most = milliseconds("hold_most", 0),
          .queue_bytes = sim::queue_bytes_for(rate, milliseconds("queue", 50)),
          .header_bytes = 0};  // a packet of a TUN device has its headers
}

void print_way(const char* name, const WireStats& stats) {
  std::printf("%s_sent=%llu %s_delivered=%llu %s_lost=%llu %s_queue_drops=%llu %s_refused=%llu ",
              name, static_cast<unsigned long long>(stats.link.sent), name,
              static_cast<unsigned long long>(stats.link.delivered), name,
              static_cast<unsigned long long>(stats.link.lost), name,
              static_cast<unsigned long long>(stats.link.queue_drops), name,
              static_cast<unsigned long long>(stats.refused));
}

// Of a core, since it was last called.
double busy_share() {
  static Instant last_now = real_now();
  static Duration last_used{};
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  const Duration used_now = std::chrono::seconds(used.tv_sec) + Duration(used.tv_nsec);
  const Instant now = real_now();
  const double share = in_seconds(used_now - std::exchange(last_used, used_now)) /
                       std::max(in_seconds(now - std::exchange(last_now, now)), 1e-9);
  return share;
}

void print_figures(Wire& wire) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  print_way("up", wire.up());
  print_way("down", wire.down());
  std::printf("late_p50_ms=%.2f late_p99_ms=%.2f late_max_ms=%.2f busy=%.2f\n",
              Milliseconds(wire.lateness().percentile(0.5)).count(),
              Milliseconds(wire.lateness().percentile(0.99)).count(),
              Milliseconds(wire.lateness().max()).count(), busy_share());
  std::fflush(stdout);
  wire.forget_lateness();
}

// A wire must not wait for the programs that it is measured with. Where real time is not
// permitted a high priority does most of it.
void come_first() {
  prctl(PR_SET_TIMERSLACK, 1UL);
  sched_param parameter{};
  parameter.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &parameter) != 0) setpriority(PRIO_PROCESS, 0, -10);
}

void run(Wire& wire, std::array<int, 2> ends, Instant end) {
  for (Instant now = real_now(); is_over == 0 && now < end; now = real_now()) {
    if (is_asked != 0) {
      is_asked = 0;
      print_figures(wire);
    }
    if (wire.turn(now) > 0) {
      const timespec next = to_timespec((now + kTurn).time_since_epoch());
      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
      continue;
    }
    const Instant due = std::min(wire.next_delivery(), now + kLongestSleep);
    const timespec timeout = to_timespec(std::max(due - now, Duration::zero()));
    std::array<pollfd, 2> polled{pollfd{.fd = ends[0], .events = POLLIN, .revents = 0},
                                 pollfd{.fd = ends[1], .events = POLLIN, .revents = 0}};
    ppoll(polled.data(), polled.size(), &timeout, nullptr);
  }
}

}  // namespace
}  // namespace culvert::bench

int main(int argc, char** argv) {
  using namespace culvert;
  using namespace culvert::bench;
  if (argc < 3) refuse("usage: link_forwarder NEAR_NAMESPACE FAR_NAMESPACE [KEY=VALUE ...]");
  const Options options = parse(argc, argv);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::signal(SIGTERM, [](int) { is_over = 1; });
  std::signal(SIGINT, [](int) { is_over = 1; });
  std::signal(SIGUSR1, [](int) { is_asked = 1; });

  const int mtu = static_cast<int>(options.number("mtu", 1500));
  const std::array<int, 2> ends{make_tun(argv[1], options.device, mtu),
                                make_tun(argv[2], options.device, mtu)};
  Wire wire(ends, link_config(options, "up."), link_config(options, "down."),
            static_cast<std::uint64_t>(options.number("seed", 1)));
  come_first();
  busy_share();
  std::puts("ready");
  std::fflush(stdout);
  const auto life = std::chrono::seconds(static_cast<long>(options.number("life", 3600)));
  run(wire, ends, real_now() + life);
  print_figures(wire);
  return 0;
}
