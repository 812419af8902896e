// The commands of bench_tool; usage lines are in main.cpp.
#pragma once

#include <string>
#include <vector>

namespace culvert::bench {

using Arguments = std::vector<std::string>;

int tcp_echo_server(const Arguments& arguments);
int udp_echo_server(const Arguments& arguments);
int latency(const Arguments& arguments);
int udp_load(const Arguments& arguments);
int udp_echo_check(const Arguments& arguments);
int open_flows(const Arguments& arguments);
int hold_flows(const Arguments& arguments);
int link_flows(const Arguments& arguments);
int link_probe(const Arguments& arguments);
int checked_flows(const Arguments& arguments);

}  // namespace culvert::bench
