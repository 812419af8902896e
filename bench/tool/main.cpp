// Small load generators and counterparts for bench/run and tests/demo/run. Each command
// is bounded in count or time and prints one line of key=value pairs.
#include "bench/tool/commands.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

struct Command {
  std::string_view name;
  std::string_view usage;
  int (*run)(const culvert::bench::Arguments&);
};

constexpr Command kCommands[] = {
    {"tcp-echo-server", "ADDRESS:PORT", culvert::bench::tcp_echo_server},
    {"udp-echo-server", "ADDRESS:PORT", culvert::bench::udp_echo_server},
    {"latency", "ADDRESS:PORT COUNT [SIZE]   round trips of SIZE bytes on one TCP connection",
     culvert::bench::latency},
    {"udp-load", "TO_ADDRESS:PORT SINK_ADDRESS:PORT SIZE SECONDS [PACKETS_PER_SECOND]",
     culvert::bench::udp_load},
    {"udp-echo-check", "ADDRESS:PORT SENDERS ROUNDS   many senders, each checks its own replies",
     culvert::bench::udp_echo_check},
    {"open-flows", "ADDRESS:PORT COUNT [PARALLEL]   connect, one byte each way, close",
     culvert::bench::open_flows},
    {"hold-flows", "ADDRESS:PORT COUNT   connect COUNT, one byte each way, hold until stdin ends",
     culvert::bench::hold_flows},
    {"link-flows",
     "NEAR_NS FAR_NS TARGET_PORT VIA:PORT up|down FLOWS WARM_SECONDS SECONDS [OPTION ...]   bulk "
     "flows between two network namespaces",
     culvert::bench::link_flows},
    {"link-probe",
     "NEAR_NS FAR_NS FAR_ADDRESS:PORT COUNT SIZE PACKETS_PER_SECOND   delay, rate and loss of "
     "datagrams between two network namespaces",
     culvert::bench::link_probe},
    {"checked-flows",
     "ADDRESS:PORT COUNT SECONDS [STUCK_SECONDS]   flows that come and go, every byte checked",
     culvert::bench::checked_flows},
};

}  // namespace

int main(int argc, char** argv) {
  const culvert::bench::Arguments arguments(argv + std::min(argc, 2), argv + argc);
  for (const Command& command : kCommands) {
    if (argc > 1 && command.name == argv[1]) return command.run(arguments);
  }
  std::fputs("usage: bench_tool COMMAND ...\n", stderr);
  for (const Command& command : kCommands) {
    std::fprintf(stderr, "  %-16s %s\n", command.name.data(), command.usage.data());
  }
  return 2;
}
