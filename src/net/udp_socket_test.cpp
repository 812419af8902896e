#include "net/udp_socket.h"

#include "net/test_support.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <thread>

#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

Bytes patterned(std::size_t size, std::uint8_t start = 0) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), start);
  return bytes;
}

TxBatch batch_to(const SocketAddress& remote, ByteView bytes, std::size_t segment,
                 Ecn ecn = Ecn::not_ect) {
  return {{{IpAddress::any(remote.ip.family()), 0}, remote},
          ecn,
          static_cast<std::uint16_t>(segment),
          bytes};
}

class UdpSocketTest : public LoopTest, public ::testing::WithParamInterface<UdpFeatures> {
 protected:
  UdpSocketTest() : LoopTest(GetParam()) {}

  std::unique_ptr<UdpPort> open(const SocketAddress& bind, UdpRecorder& recorder,
                                std::optional<SocketAddress> remote = {}) {
    auto port =
        host().open_udp({.bind = bind, .remote = remote, .has_large_buffers = true}, recorder);
    EXPECT_TRUE(port) << (port ? "" : port.error().text());
    recorder.port = port->get();
    return std::move(*port);
  }
};

TEST_P(UdpSocketTest, delivers_every_datagram_of_a_batch_in_order_and_size) {
  UdpRecorder sender_side;
  UdpRecorder receiver_side;
  const auto sender = open(loopback_v4(), sender_side);
  const auto receiver = open(loopback_v4(), receiver_side);
  const Bytes large = patterned(1400 * 9 + 321);  // ten datagrams, the last one shorter
  const Bytes small = patterned(77, 5);
  const SocketAddress to = receiver->local_address();
  const std::array batches{batch_to(to, large, 1400), batch_to(to, small, small.size()),
                           batch_to(to, large, 1000)};
  receiver_side.on_more = [&] {
    if (receiver_side.received.size() >= 10 + 1 + 13) done();
  };
  EXPECT_EQ(sender->send_batch(batches).batches_taken, 3U);
  run();
  ASSERT_EQ(receiver_side.received.size(), 24U);
  std::string all;
  for (const Received& datagram : receiver_side.received) {
    EXPECT_EQ(datagram.path.remote, sender->local_address());
    EXPECT_EQ(datagram.path.local, to);
    all += datagram.bytes;
  }
  EXPECT_EQ(
      all, std::string(as_text(large)) + std::string(as_text(small)) + std::string(as_text(large)));
  EXPECT_EQ(receiver_side.received[9].bytes.size(), 321U);
  EXPECT_EQ(receiver_side.received[10].bytes.size(), 77U);
  EXPECT_EQ(receiver_side.received[11].bytes.size(), 1000U);
}

TEST_P(UdpSocketTest, carries_empty_datagrams_in_their_place) {
  UdpRecorder sender_side;
  UdpRecorder receiver_side;
  const auto sender = open(loopback_v4(), sender_side);
  const auto receiver = open(loopback_v4(), receiver_side);
  const Bytes payload = patterned(10);
  const SocketAddress to = receiver->local_address();
  const std::array batches{batch_to(to, {}, 0), batch_to(to, payload, 10), batch_to(to, {}, 0),
                           batch_to(to, {}, 0), batch_to(to, payload, 10)};
  receiver_side.on_more = [&] {
    if (receiver_side.received.size() >= batches.size()) done();
  };
  EXPECT_EQ(sender->send_batch(batches).batches_taken, batches.size());
  run();
  ASSERT_EQ(receiver_side.received.size(), batches.size());
  for (std::size_t i = 0; i < batches.size(); ++i) {
    EXPECT_EQ(receiver_side.received[i].bytes, as_text(batches[i].bytes)) << i;
    EXPECT_EQ(receiver_side.received[i].path.remote, sender->local_address());
  }
}

TEST_P(UdpSocketTest, carries_ecn_over_both_families) {
  for (const SocketAddress& bind : {loopback_v4(), loopback_v6()}) {
    UdpRecorder sender_side;
    UdpRecorder receiver_side;
    const auto sender = open(bind, sender_side);
    const auto receiver = open(bind, receiver_side);
    const Bytes payload = patterned(10);
    const SocketAddress to = receiver->local_address();
    const std::array batches{
        batch_to(to, payload, 10, Ecn::ect0), batch_to(to, payload, 10, Ecn::not_ect),
        batch_to(to, payload, 10, Ecn::ce), batch_to(to, payload, 10, Ecn::ect1)};
    receiver_side.on_more = [&] {
      if (receiver_side.received.size() >= 4) done();
    };
    EXPECT_FALSE(sender->send_batch(batches).is_blocked);
    run();
    ASSERT_EQ(receiver_side.received.size(), 4U) << bind.text();
    EXPECT_EQ(receiver_side.received[0].ecn, Ecn::ect0);
    EXPECT_EQ(receiver_side.received[1].ecn, Ecn::not_ect);
    EXPECT_EQ(receiver_side.received[2].ecn, Ecn::ce);
    EXPECT_EQ(receiver_side.received[3].ecn, Ecn::ect1);
  }
}

TEST_P(UdpSocketTest, dual_stack_socket_speaks_ipv4_unmapped_and_answers_from_the_asked_address) {
  UdpRecorder server_side;
  auto opened = host().open_udp(
      {.bind = {IpAddress::any(Family::v6), 0}, .is_dual_stack = true, .has_large_buffers = true},
      server_side);
  ASSERT_TRUE(opened);
  const auto server = std::move(*opened);
  server_side.port = server.get();
  const std::uint16_t port = server->local_address().port;
  const SocketAddress asked{*IpAddress::parse("127.0.0.5"), port};

  UdpRecorder client_side;
  const auto client = open(loopback_v4(), client_side);
  const Bytes question = patterned(20);
  server_side.on_more = [&] {
    ASSERT_EQ(server_side.received.size(), 1U);
    const Received& got = server_side.received.front();
    EXPECT_EQ(got.path.remote, client->local_address());
    EXPECT_EQ(got.path.local, asked);
    EXPECT_EQ(got.ecn, Ecn::ect0);
    const std::array answer{TxBatch{got.path, Ecn::ce, 10, question}};
    EXPECT_FALSE(server->send_batch(answer).is_blocked);
  };
  client_side.on_more = [&] {
    if (client_side.received.size() >= 2) done();
  };
  const std::array batches{batch_to(asked, question, 20, Ecn::ect0)};
  EXPECT_FALSE(client->send_batch(batches).is_blocked);
  run();
  ASSERT_EQ(client_side.received.size(), 2U);
  EXPECT_EQ(client_side.received[0].path.remote, asked);
  EXPECT_EQ(client_side.received[0].ecn, Ecn::ce);
}

TEST_P(UdpSocketTest, refused_datagrams_count_as_taken) {
  UdpRecorder recorder;
  UdpRecorder closed;
  SocketAddress nobody = open(loopback_v4(), closed)->local_address();
  const auto connected = open({IpAddress::any(Family::v4), 0}, recorder, nobody);
  const Bytes payload = patterned(100);
  const std::array batches{batch_to(nobody, payload, 100), batch_to(nobody, payload, 50)};
  // The ICMP error of one send is reported by the next: none of them may look blocked.
  for (int i = 0; i < 5; ++i) {
    const auto result = connected->send_batch(batches);
    EXPECT_EQ(result.batches_taken, 2U);
    EXPECT_FALSE(result.is_blocked);
  }
  const auto unconnected = open(loopback_v4(), recorder);
  const Bytes huge(65'535);  // larger than an IPv4 datagram can be
  const std::array too_large{batch_to(nobody, huge, 65'535)};
  EXPECT_EQ(unconnected->send_batch(too_large).batches_taken, 1U);
}

// What a host says that has no UDP (RFC 1122 3.2.2.1), about a datagram from..to.
void send_icmp_error(int raw_fd, const SocketAddress& from, const SocketAddress& to) {
  std::array<std::uint8_t, 8 + 20 + 8> packet{3, 2};  // protocol unreachable
  std::uint8_t* ip = packet.data() + 8;
  ip[0] = 0x45;
  ip[3] = 28;
  ip[8] = 64;
  ip[9] = IPPROTO_UDP;
  for (const std::size_t at : {12U, 16U}) {  // 127.0.0.1 both
    ip[at] = 127;
    ip[at + 3] = 1;
  }
  ip[20] = static_cast<std::uint8_t>(from.port >> 8);
  ip[21] = static_cast<std::uint8_t>(from.port);
  ip[22] = static_cast<std::uint8_t>(to.port >> 8);
  ip[23] = static_cast<std::uint8_t>(to.port);
  ip[25] = 8;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < packet.size(); i += 2) {
    sum += static_cast<std::uint32_t>(packet[i] << 8 | packet[i + 1]);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  packet[2] = static_cast<std::uint8_t>(~sum >> 8);
  packet[3] = static_cast<std::uint8_t>(~sum);
  RawAddress target;
  to_raw(loopback_v4(), false, target);
  ASSERT_EQ(::sendto(raw_fd, packet.data(), packet.size(), 0, target.get(), target.size),
            static_cast<ssize_t>(packet.size()));
}

TEST_P(UdpSocketTest, an_icmp_error_costs_no_datagram_that_is_sent_later) {
  const Fd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
  if (!raw.is_open()) GTEST_SKIP() << "needs CAP_NET_RAW";
  for (const bool is_connected : {true, false}) {
    UdpRecorder peer_side;
    UdpRecorder ours;
    const auto peer = open(loopback_v4(), peer_side);
    const SocketAddress to = peer->local_address();
    const auto port = open(loopback_v4(), ours, is_connected ? std::optional(to) : std::nullopt);
    port->want_refusals(!is_connected);
    const Bytes text = patterned(10);
    const std::array batches{batch_to(to, text, text.size())};
    constexpr std::size_t kErrors = 5;
    for (std::size_t i = 0; i < kErrors; ++i) {
      send_icmp_error(raw.get(), port->local_address(), to);
      EXPECT_EQ(port->send_batch(batches).batches_taken, 1U);
    }
    peer_side.on_more = [&] {
      if (peer_side.received.size() == kErrors) done();
    };
    run();
    EXPECT_EQ(peer_side.received.size(), kErrors);
  }
}

TEST_P(UdpSocketTest, data_behind_an_icmp_error_of_any_kind_is_read) {
  const Fd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
  if (!raw.is_open()) GTEST_SKIP() << "needs CAP_NET_RAW";
  UdpRecorder peer_side;
  UdpRecorder ours;
  const auto peer = open(loopback_v4(), peer_side);
  const auto port = open(loopback_v4(), ours, peer->local_address());
  send_icmp_error(raw.get(), port->local_address(), peer->local_address());
  const Bytes text = patterned(10);
  const std::array batches{batch_to(port->local_address(), text, text.size())};
  EXPECT_EQ(peer->send_batch(batches).batches_taken, 1U);
  ours.on_more = [&] { done(); };
  run();
  EXPECT_EQ(ours.received.size(), 1U);
}

TEST_P(UdpSocketTest, hears_where_nobody_listens_while_it_wants_to) {
  const IpAddress any = IpAddress::any(Family::v6);
  const std::array remotes{SocketAddress{IpAddress::loopback(Family::v4), 0},
                           SocketAddress{IpAddress::loopback(Family::v6), 0}};
  for (SocketAddress remote : remotes) {
    UdpRecorder gone_side;
    auto gone = open(remote, gone_side);
    remote = gone->local_address();
    gone.reset();
    UdpRecorder ours;
    auto opened =
        host().open_udp({.bind = {any, 0}, .is_dual_stack = true, .has_large_buffers = true}, ours);
    ASSERT_TRUE(opened) << opened.error().text();
    UdpPort& port = **opened;
    ours.port = &port;
    const Bytes text = patterned(2 * UdpRefusal::kMaxQuoteBytes);
    const std::array batches{batch_to(remote, text, text.size())};
    EXPECT_EQ(port.send_batch(batches).batches_taken, 1U);  // not yet
    EXPECT_FALSE(port.poll_refusal());
    port.want_refusals(true);
    ours.on_more = [&] { done(); };
    EXPECT_EQ(port.send_batch(batches).batches_taken, 1U);
    run();
    const auto refusal = port.poll_refusal();
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->remote, remote);
    EXPECT_TRUE(
        std::ranges::equal(refusal->quote, ByteView(text).first(UdpRefusal::kMaxQuoteBytes)));
    EXPECT_FALSE(port.poll_refusal());
    // What came of it disturbs neither what arrives nor what leaves afterwards.
    port.want_refusals(false);
    EXPECT_EQ(port.send_batch(batches).batches_taken, 1U);
    EXPECT_FALSE(port.poll_refusal());
  }
}

TEST_P(UdpSocketTest, ports_may_be_destroyed_from_their_own_callback) {
  UdpRecorder sender_side;
  UdpRecorder receiver_side;
  const auto sender = open(loopback_v4(), sender_side);
  auto receiver = open(loopback_v4(), receiver_side);
  auto bystander = open(loopback_v4(), receiver_side);
  receiver_side.port = receiver.get();
  receiver_side.on_more = [&] {
    receiver.reset();
    bystander.reset();
    done();
  };
  const Bytes payload = patterned(100);
  const std::array batches{batch_to(receiver->local_address(), payload, 10)};
  EXPECT_FALSE(sender->send_batch(batches).is_blocked);
  run();
  EXPECT_EQ(receiver, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Features, UdpSocketTest,
                         ::testing::Values(UdpFeatures{true, true}, UdpFeatures{true, false},
                                           UdpFeatures{false, true}, UdpFeatures{false, false}),
                         [](const auto& info) {
                           return std::string(info.param.gso ? "gso" : "no_gso") +
                                  (info.param.gro ? "_gro" : "_no_gro");
                         });

class UdpOffloadTest : public LoopTest {};

// Moves the calling thread into a network of its own, whose loopback carries at most `mtu` bytes.
bool enter_network_of_mtu(int mtu) {
  if (::unshare(CLONE_NEWNET) != 0) return false;
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_mtu = mtu;
  if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0) return false;
  request.ifr_flags = IFF_UP;
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0;
}

TEST_F(UdpOffloadTest, what_is_too_large_for_the_path_takes_nothing_else_with_it) {
  bool is_in_network = false;
  UdpRecorder receiver_side;
  std::thread([&] {
    if (!enter_network_of_mtu(1500)) return;
    is_in_network = true;
    UdpRecorder sender_side;
    auto sender = host().open_udp({.bind = loopback_v4(), .has_large_buffers = true}, sender_side);
    auto receiver = host().open_udp({.bind = loopback_v4()}, receiver_side);
    ASSERT_TRUE(sender && receiver);
    receiver_side.port = receiver->get();
    receiver_side.on_more = [&] {
      if (receiver_side.received.size() >= 21) done();
    };
    const SocketAddress to = (*receiver)->local_address();
    const Bytes probe_and_more = patterned(4096 + 1200);
    const Bytes payload = patterned(20 * 1200);
    const std::array batches{batch_to(to, probe_and_more, 4096), batch_to(to, payload, 1200)};
    EXPECT_EQ((*sender)->send_batch(batches).batches_taken, 2U);
    run();
  }).join();
  if (!is_in_network) GTEST_SKIP() << "needs root to make a network namespace";
  ASSERT_EQ(receiver_side.received.size(), 21U);
  for (const Received& datagram : receiver_side.received) EXPECT_EQ(datagram.bytes.size(), 1200U);
  EXPECT_GE(receiver_side.glued, 1U);  // one refusal is no reason to do without GSO
}

TEST_F(UdpOffloadTest, gro_brings_many_datagrams_in_one_receive) {
  UdpRecorder sender_side;
  UdpRecorder receiver_side;
  auto sender = host().open_udp({.bind = loopback_v4()}, sender_side);
  auto receiver = host().open_udp({.bind = loopback_v4()}, receiver_side);
  ASSERT_TRUE(sender && receiver);
  receiver_side.port = receiver->get();
  receiver_side.on_more = [&] {
    if (receiver_side.received.size() >= 40) done();
  };
  const Bytes payload = patterned(40 * 1200);
  const std::array batches{batch_to((*receiver)->local_address(), payload, 1200)};
  EXPECT_FALSE((*sender)->send_batch(batches).is_blocked);
  run();
  EXPECT_EQ(receiver_side.received.size(), 40U);
  EXPECT_GE(receiver_side.glued, 1U);  // on loopback GSO datagrams stay together
}

TEST_F(UdpOffloadTest, shared_port_is_open_to_the_next_worker_only_when_asked) {
  UdpRecorder recorder;
  auto first = host().open_udp({.bind = loopback_v4(), .is_shared = true}, recorder);
  ASSERT_TRUE(first);
  const SocketAddress address = (*first)->local_address();
  EXPECT_TRUE(host().open_udp({.bind = address, .is_shared = true}, recorder));
  const auto refused = host().open_udp({.bind = address}, recorder);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::io);
  EXPECT_EQ(refused.error().offender, address.text());
}

}  // namespace
}  // namespace culvert::net
