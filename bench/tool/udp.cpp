// UDP commands: echo server, one-way load with loss count, many checking senders.
#include "bench/tool/commands.h"
#include "bench/tool/socket.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <sys/socket.h>

namespace culvert::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr unsigned kBatch = 64;

// mmsghdr arrays for `size`-byte datagrams.
struct Batch {
  explicit Batch(std::size_t size) : bytes(kBatch * size), headers(kBatch), vectors(kBatch) {
    for (unsigned i = 0; i < kBatch; ++i) {
      vectors[i] = {.iov_base = bytes.data() + i * size, .iov_len = size};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
  }
  std::vector<char> bytes;
  std::vector<mmsghdr> headers;
  std::vector<iovec> vectors;
};

}  // namespace

int udp_echo_server(const Arguments& arguments) {
  if (arguments.size() != 1) die("udp-echo-server ADDRESS:PORT");
  const Socket socket = udp_bind(arguments[0]);
  announce(socket);
  std::vector<char> buffer(65'536);
  for (;;) {  // until killed by the script that started it
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(socket.fd(), buffer.data(), buffer.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) continue;
    sendto(socket.fd(), buffer.data(), static_cast<std::size_t>(got), 0,
           reinterpret_cast<const sockaddr*>(&from), size);
  }
}

// Sends to one address while counting what arrives at another: the far end of a tunnel
// whose UDP source is the sink.
int udp_load(const Arguments& arguments) {
  if (arguments.size() < 4) die("udp-load TO SINK SIZE SECONDS [PACKETS_PER_SECOND]");
  const sockaddr_in to = parse_address(arguments[0]);
  const Socket sink = udp_bind(arguments[1]);
  const auto size = static_cast<std::size_t>(parse_count(arguments[2], 16, 60'000));
  const long seconds = parse_count(arguments[3], 1, 120);
  const long rate = arguments.size() > 4 ? parse_count(arguments[4], 1, 100'000'000) : 0;
  set_receive_timeout(sink, std::chrono::milliseconds(500));

  std::atomic<bool> has_sender_ended = false;
  std::uint64_t received = 0;
  SteadyClock::time_point first{};
  SteadyClock::time_point last{};
  std::thread receiver([&] {
    Batch batch(size);
    for (;;) {
      const int count = recvmmsg(sink.fd(), batch.headers.data(), kBatch, MSG_WAITFORONE, nullptr);
      if (count <= 0) {
        if (has_sender_ended) return;
        continue;
      }
      last = SteadyClock::now();
      if (received == 0) first = last;
      received += static_cast<std::uint64_t>(count);
    }
  });

  const Socket sender(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (connect(sender.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) die("connect");
  Batch batch(size);
  const auto start = SteadyClock::now();
  const auto end = start + std::chrono::seconds(seconds);
  std::uint64_t sent = 0;
  for (auto now = start; now < end; now = SteadyClock::now()) {
    if (rate > 0) {
      const double due =
          std::chrono::duration<double>(now - start).count() * static_cast<double>(rate);
      if (static_cast<double>(sent) > due) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        continue;
      }
    }
    const int count = sendmmsg(sender.fd(), batch.headers.data(), kBatch, 0);
    if (count > 0) sent += static_cast<std::uint64_t>(count);
  }
  has_sender_ended = true;
  receiver.join();
  const double span = std::chrono::duration<double>(last - first).count();
  std::printf("sent=%llu received=%llu loss=%.4f packets_per_second=%.0f\n",
              static_cast<unsigned long long>(sent), static_cast<unsigned long long>(received),
              sent == 0 ? 0 : 1.0 - static_cast<double>(received) / static_cast<double>(sent),
              span > 0 ? static_cast<double>(received) / span : 0);
  return 0;
}

int udp_echo_check(const Arguments& arguments) {
  if (arguments.size() != 3) die("udp-echo-check ADDRESS:PORT SENDERS ROUNDS");
  const sockaddr_in to = parse_address(arguments[0]);
  const long senders = parse_count(arguments[1], 1, 1000);
  const long rounds = parse_count(arguments[2], 1, 1000);
  std::vector<Socket> sockets;
  for (long i = 0; i < senders; ++i) {
    sockets.push_back(udp_bind("127.0.0.1:0"));
    set_receive_timeout(sockets.back(), std::chrono::milliseconds(1000));
  }
  long right = 0;
  long wrong = 0;
  for (long round = 0; round < rounds; ++round) {
    for (long i = 0; i < senders; ++i) {
      const std::string text = "sender " + std::to_string(i) + " round " + std::to_string(round);
      sendto(sockets[static_cast<std::size_t>(i)].fd(), text.data(), text.size(), 0,
             reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    for (long i = 0; i < senders; ++i) {
      const std::string want = "sender " + std::to_string(i) + " round " + std::to_string(round);
      char buffer[2048];
      const ssize_t got = recv(sockets[static_cast<std::size_t>(i)].fd(), buffer, sizeof buffer, 0);
      if (got >= 0 && std::string(buffer, static_cast<std::size_t>(got)) == want) {
        ++right;
      } else if (got >= 0) {
        ++wrong;
      }
    }
  }
  std::printf("senders=%ld asked=%ld right=%ld wrong=%ld\n", senders, senders * rounds, right,
              wrong);
  // A lost datagram is UDP; a reply to the wrong sender is a bug.
  return wrong == 0 && right * 100 >= senders * rounds * 95 ? 0 : 1;
}

}  // namespace culvert::bench
