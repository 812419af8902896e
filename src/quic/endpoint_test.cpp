#include "quic/endpoint.h"

#include "quic/endpoint_impl.h"
#include "quic/loopback_pair.h"
#include "quic/stateless.h"

#include <gtest/gtest.h>

#include <set>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;
using Packet = LoopbackPair::Packet;

std::size_t id_count(const Endpoint& endpoint) {
  return static_cast<const EndpointImpl&>(endpoint).connection_id_count();
}

PathId server_path() {
  return {.local = LoopbackPair::server_address(), .remote = LoopbackPair::client_address()};
}

// What the endpoint answers to one datagram.
struct Answer {
  Routing routing;
  std::vector<Bytes> replies;
};
Answer give(Endpoint& endpoint, Instant now, ByteView bytes, const PathId& path = server_path()) {
  TxBuilder replies(1 << 12);
  Answer answer{.routing = endpoint.handle_datagram(now, path, Ecn::not_ect, bytes, replies),
                .replies = {}};
  for (const TxBatch& batch : replies.batches()) {
    EXPECT_EQ(batch.path, path);
    answer.replies.emplace_back(batch.bytes.begin(), batch.bytes.end());
  }
  return answer;
}

// The first datagram of a new client.
Bytes first_initial(LoopbackPair& pair, std::uint16_t port = 50'000) {
  Bytes bytes;
  pair.filter = [&](Packet& packet) {
    if (packet.to_server && bytes.empty()) bytes = packet.bytes;
    return false;
  };
  pair.connect({}, "culvert/1", port);
  pair.run_for(1ms);
  pair.filter = [](Packet&) { return true; };
  return bytes;
}

// A short-header packet for `id`.
Bytes short_packet(ByteView id, std::size_t size) {
  Bytes bytes(size, 0x5A);
  bytes[0] = 0x40;
  std::ranges::copy(id.first(std::min(id.size(), size - 1)), bytes.begin() + 1);
  return bytes;
}

TEST(Endpoint, demands_retry_under_load_and_then_lets_the_client_in) {
  LoopbackPair pair;
  for (std::size_t i = 0; i < limits::kRetryThreshold; ++i) {
    pair.connect({}, "culvert/1", static_cast<std::uint16_t>(40'000 + i));
  }
  ASSERT_TRUE(
      pair.run_until([&] { return pair.client.completed.size() == limits::kRetryThreshold; }));
  EXPECT_EQ(pair.server.endpoint->stats().retries_sent, 0U);
  pair.connect();
  ASSERT_TRUE(
      pair.run_until([&] { return pair.client.completed.size() == limits::kRetryThreshold + 1; }));
  EXPECT_EQ(pair.server.endpoint->stats().retries_sent, 1U);

  // Those that authenticate no longer count.
  for (Connection* connection : pair.server.connections) {
    pair.server.endpoint->set_authenticated(*connection);
    pair.server.endpoint->set_authenticated(*connection);
  }
  pair.connect({}, "culvert/1", 50'001);
  ASSERT_TRUE(
      pair.run_until([&] { return pair.client.completed.size() == limits::kRetryThreshold + 2; }));
  EXPECT_EQ(pair.server.endpoint->stats().retries_sent, 1U);
}

TEST(Endpoint, beyond_the_share_of_an_address_its_oldest_connection_goes) {
  LoopbackPair pair;
  constexpr std::size_t kPerIp = limits::kMaxUnauthenticatedPerAddress;
  for (std::size_t i = 0; i < kPerIp + 5; ++i) {
    pair.connect({}, "culvert/1", static_cast<std::uint16_t>(40'000 + i));
  }
  ASSERT_TRUE(pair.run_until([&] { return pair.client.closed.size() == 5; }, 5s));
  EXPECT_TRUE(pair.client.closed[0].is_refusal_for_now);
  EXPECT_EQ(pair.client.closed[0].error.kind, ErrorKind::unreachable);
  EXPECT_EQ(pair.server.endpoint->stats().displaced, 5U);
  EXPECT_EQ(pair.server.closed.size(), 5U);
  pair.run_for(1s);
  EXPECT_EQ(pair.server.endpoint->connection_count(), kPerIp);
  EXPECT_EQ(pair.client.endpoint->connection_count(), kPerIp);
  std::set<std::uint16_t> ports;
  for (const Connection* left : pair.client.connections) ports.insert(left->path().local.port);
  EXPECT_EQ(*ports.begin(), 40'005) << "the oldest went";
}

TEST(Endpoint, counts_a_whole_ipv6_network_of_a_site_as_one_address) {
  LoopbackPair pair;
  // Every client has an address of its own; those with ports from 41000 in another /64.
  const auto address_of = [](std::uint16_t port) {
    const std::string_view network = port < 41'000 ? "2001:db8:0:1::" : "2001:db8:0:2::";
    return IpAddress::parse(std::string(network) + std::to_string(port % 10'000)).value();
  };
  const IpAddress server_ip = IpAddress::parse("2001:db8::1").value();
  pair.filter = [&](Packet& packet) {
    if (packet.to_server) {
      packet.path.local.ip = server_ip;
      packet.path.remote.ip = address_of(packet.path.remote.port);
    } else {
      packet.path = LoopbackPair::client_path(packet.path.local.port);
    }
    return true;
  };
  constexpr std::size_t kPlaces = limits::kMaxUnauthenticatedPerAddress;
  for (std::size_t i = 0; i < kPlaces + 3; ++i) {
    pair.connect({}, "culvert/1", static_cast<std::uint16_t>(40'000 + i));
  }
  ASSERT_TRUE(pair.run_until([&] { return pair.client.closed.size() == 3; }, 5s));
  EXPECT_EQ(pair.server.endpoint->stats().displaced, 3U);
  pair.run_for(1s);
  EXPECT_EQ(pair.server.endpoint->connection_count(), kPlaces);
  pair.connect({}, "culvert/1", 41'000);  // the neighbour is not affected, nor affects he
  pair.run_for(1s);
  EXPECT_EQ(pair.server.endpoint->stats().displaced, 3U);
  EXPECT_EQ(pair.server.endpoint->connection_count(), kPlaces + 1);
}

// Everybody's port is his address, in a network of his own.
void give_addresses_by_port(LoopbackPair& pair) {
  pair.filter = [](Packet& packet) {
    if (packet.to_server) {
      packet.path.remote.ip =
          IpAddress::v4(0x0B000000U + (std::uint32_t{packet.path.remote.port} << 8));
    } else {
      packet.path = LoopbackPair::client_path(packet.path.local.port);
    }
    return true;
  };
}

TEST(Endpoint, client_that_was_let_in_before_comes_in_where_all_places_are_taken) {
  for (const bool is_server_new : {false, true}) {
    LoopbackPair pair;
    give_addresses_by_port(pair);
    Connection& known = pair.connect();
    ASSERT_TRUE(pair.establish());
    pair.server.endpoint->set_authenticated(*pair.server.connections[0]);
    pair.run_for(1s);  // its ticket arrives
    known.close(pair.now, 0, "");
    pair.run_for(5s);
    SeededRng rng(99);
    const auto new_process = [](EndpointConfig& config) {
      config.static_secret = StaticSecret(std::array<std::uint8_t, 32>{99});
    };
    if (is_server_new) pair.server.endpoint = pair.make_endpoint(true, new_process, rng);

    LoopbackPair strangers([](EndpointConfig&) {}, 999);
    std::swap(pair.client, strangers.client);
    for (std::uint16_t i = 0; i < limits::kMaxUnauthenticatedConnections; ++i) {
      pair.connect({}, "culvert/1", static_cast<std::uint16_t>(1'000 + i));
    }
    pair.run_for(1s);
    ASSERT_EQ(pair.server.endpoint->connection_count(), limits::kMaxUnauthenticatedConnections);
    pair.connect({}, "culvert/1", 49'000);
    pair.run_for(100ms);
    ASSERT_EQ(pair.client.closed.size(), 1U) << "another stranger has to wait";
    std::swap(pair.client, strangers.client);
    std::swap(pair.client.completed, strangers.client.completed);
    pair.client.completed.clear();
    pair.connect({}, "culvert/1", 50'001);  // and not from where it was
    pair.run_for(100ms);
    EXPECT_EQ(pair.client.completed.size(), 1U);
    EXPECT_EQ(pair.server.endpoint->stats().displaced, 0U);
  }
}

TEST(Endpoint, tickets_are_its_own_unlike_and_of_one_client) {
  SeededRng rng(1);
  const StaticSecret secret(std::array<std::uint8_t, 32>{7});
  StatelessReplies replies(secret, LoopbackPair::server_key(), rng);
  const crypto::EndpointId client = LoopbackPair::client_key().public_key();
  const Bytes ticket = replies.make_ticket(client);
  const Bytes second = replies.make_ticket(client);
  EXPECT_NE(ticket, second);
  ASSERT_TRUE(replies.check_ticket(ticket));
  EXPECT_EQ(replies.check_ticket(ticket), replies.check_ticket(second));
  EXPECT_NE(replies.check_ticket(ticket),
            replies.check_ticket(replies.make_ticket(LoopbackPair::server_key().public_key())));
  EXPECT_FALSE(StatelessReplies(secret, LoopbackPair::key(9), rng).check_ticket(ticket));
  for (std::size_t i = 0; i < ticket.size(); ++i) {
    Bytes bent = ticket;
    bent[i] ^= 1;
    EXPECT_FALSE(replies.check_ticket(bent));
    EXPECT_FALSE(replies.check_ticket(ByteView(ticket).first(i)));
  }
}

TEST(Endpoint, retry_token_of_another_address_or_of_long_ago_is_refused) {
  SeededRng rng(1);
  const StaticSecret secret(std::array<std::uint8_t, 32>{3});
  StatelessReplies replies(secret, LoopbackPair::server_key(), rng);
  const Instant now{1s};
  const Bytes destination(16, 1);
  const Bytes source(8, 2);
  ngtcp2_pkt_hd initial{};
  initial.version = NGTCP2_PROTO_VER_V1;
  ngtcp2_cid_init(&initial.dcid, destination.data(), destination.size());
  ngtcp2_cid_init(&initial.scid, source.data(), source.size());
  EXPECT_EQ(replies.check_token(now, server_path(), initial).verdict, TokenVerdict::none);

  TxBuilder out(10'000);
  const Bytes retry_source(10, 9);
  ASSERT_TRUE(replies.write_retry(now, server_path(), initial, ConnectionId(retry_source), out));
  const ByteView retry = out.batches()[0].bytes;
  ngtcp2_pkt_hd returned{};
  returned.version = NGTCP2_PROTO_VER_V1;
  ngtcp2_cid_init(&returned.dcid, retry_source.data(), retry_source.size());
  // first byte, version, two ids with lengths; at the end the integrity tag
  const std::size_t head = 1 + 4 + 1 + source.size() + 1 + retry_source.size();
  const Bytes token(retry.begin() + static_cast<std::ptrdiff_t>(head), retry.end() - 16);
  returned.token = token.data();
  returned.tokenlen = token.size();

  const CheckedToken good = replies.check_token(now + 1s, server_path(), returned);
  EXPECT_EQ(good.verdict, TokenVerdict::valid);
  EXPECT_EQ(good.original_destination, ConnectionId(destination));
  EXPECT_EQ(replies.check_token(now + 60s, server_path(), returned).verdict, TokenVerdict::invalid);
  PathId elsewhere = server_path();
  elsewhere.remote.port = 1;
  EXPECT_EQ(replies.check_token(now + 1s, elsewhere, returned).verdict, TokenVerdict::invalid);
  const StaticSecret other_secret(std::array<std::uint8_t, 32>{4});
  const StatelessReplies other(other_secret, LoopbackPair::server_key(), rng);
  EXPECT_EQ(other.check_token(now + 1s, server_path(), returned).verdict, TokenVerdict::invalid);
}

TEST(Endpoint, unknown_version_gets_version_negotiation_only_if_large_enough) {
  LoopbackPair pair;
  Bytes packet = first_initial(pair);
  packet[1] = 0x1A;
  packet[2] = 0x2A;
  const Answer answer = give(*pair.server.endpoint, pair.now, packet);
  ASSERT_EQ(answer.replies.size(), 1U);
  EXPECT_LT(answer.replies[0].size(), packet.size());
  EXPECT_EQ(Bytes(answer.replies[0].begin() + 1, answer.replies[0].begin() + 5), Bytes(4));
  packet.resize(1199);
  EXPECT_TRUE(give(*pair.server.endpoint, pair.now, packet).replies.empty());
  // Version Negotiation is never answered.
  Bytes negotiation = answer.replies[0];
  negotiation.resize(1200);
  EXPECT_TRUE(give(*pair.server.endpoint, pair.now, negotiation).replies.empty());
  EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
}

TEST(Endpoint, version_negotiation_ends_a_client_that_speaks_nothing_offered) {
  LoopbackPair pair;
  const Bytes initial = first_initial(pair);
  // What a server without version 1 would say.
  ngtcp2_version_cid ids{};
  ASSERT_EQ(ngtcp2_pkt_decode_version_cid(&ids, initial.data(), initial.size(), 10), 0);
  const std::uint32_t version = 0xFACEB002;
  Bytes packet(100);
  packet.resize(static_cast<std::size_t>(ngtcp2_pkt_write_version_negotiation(
      packet.data(), packet.size(), 0, ids.scid, ids.scidlen, ids.dcid, ids.dcidlen, &version, 1)));
  pair.deliver({.path = LoopbackPair::client_path(), .bytes = packet, .to_server = false});
  ASSERT_TRUE(pair.run_until([&] { return !pair.client.closed.empty(); }, 1s));
  EXPECT_EQ(pair.client.closed[0].error.kind, ErrorKind::protocol);
}

TEST(Endpoint, restarted_server_resets_its_old_connections) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(1s);
  pair.server.connections.clear();
  SeededRng rng(77);
  // What it draws at its start is another; its identity is the same.
  const auto new_process = [](EndpointConfig& config) {
    config.static_secret = StaticSecret(std::array<std::uint8_t, 32>{99});
  };
  pair.server.endpoint = pair.make_endpoint(true, new_process, rng);
  Stream* stream = connection.open_stream();
  stream->output.append(as_bytes("anyone there, after all this time?"));
  connection.submit(*stream);
  ASSERT_TRUE(pair.run_until([&] { return !pair.client.closed.empty(); }, 1s));
  EXPECT_EQ(pair.client.closed[0].error.kind, ErrorKind::lost);
  EXPECT_GE(pair.server.endpoint->stats().stateless_resets_sent, 1U);
  EXPECT_LE(pair.server.endpoint->stats().stateless_resets_sent, 2U);  // small packets go out twice
  EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
  pair.run_for(10s);
  EXPECT_EQ(pair.client.endpoint->connection_count(), 0U);
}

TEST(Endpoint, unknown_short_packet_gets_a_smaller_reset_or_nothing) {
  LoopbackPair pair;
  const Bytes id(10, 0);
  for (std::size_t size = 2; size < 200; ++size) {
    const Answer answer =
        give(*pair.server.endpoint, pair.now + size * 10ms, short_packet(id, size));
    EXPECT_TRUE(std::holds_alternative<Dropped>(answer.routing));
    if (size <= 21) {
      EXPECT_TRUE(answer.replies.empty()) << size;
      continue;
    }
    ASSERT_EQ(answer.replies.size(), 1U) << size;
    EXPECT_LT(answer.replies[0].size(), size);
    EXPECT_GE(answer.replies[0].size(), 21U);
    EXPECT_EQ(answer.replies[0][0] & 0xC0, 0x40);
  }
  EXPECT_EQ(id_count(*pair.server.endpoint), 0U);
}

TEST(Endpoint, two_endpoints_without_state_fall_silent) {
  LoopbackPair pair;
  pair.deliver({.path = server_path(), .bytes = short_packet(Bytes(10), 1200), .to_server = true});
  pair.run_for(60s);
  EXPECT_LT(pair.datagrams_sent, 30U);
  EXPECT_TRUE(pair.wire.empty());
}

TEST(Endpoint, resets_are_rate_limited) {
  LoopbackPair pair;
  SeededRng rng(3);
  std::size_t sent = 0;
  for (int i = 0; i < 1000; ++i) {
    Bytes id(10);
    rng.fill(id);
    id[0] = 0;
    sent += give(*pair.server.endpoint, pair.now, short_packet(id, 100)).replies.size();
  }
  EXPECT_GT(sent, 10U);
  EXPECT_LE(sent, 200U);
  EXPECT_EQ(give(*pair.server.endpoint, pair.now + 1s, short_packet(Bytes(10), 100)).replies.size(),
            1U);
}

TEST(RateLimit, allows_a_burst_and_then_its_rate) {
  RateLimit limit(100, 5);
  Instant now{10s};
  int taken = 0;
  for (int i = 0; i < 20; ++i) taken += limit.take(now) ? 1 : 0;
  EXPECT_EQ(taken, 5);
  taken = 0;
  for (int i = 0; i < 1000; ++i) taken += limit.take(now += 1ms) ? 1 : 0;
  EXPECT_NEAR(taken, 100, 1);
}

TEST(Endpoint, hands_packets_of_another_worker_over_and_resets_those_of_none) {
  LoopbackPair pair([](EndpointConfig& config) {
    if (config.accepts_connections) {
      config.worker_index = 1;
      config.worker_count = 3;
    }
  });
  Bytes id(10, 0xAA);
  for (std::uint8_t worker : {0, 2}) {
    id[0] = worker;
    const Answer answer = give(*pair.server.endpoint, pair.now, short_packet(id, 100));
    ASSERT_TRUE(std::holds_alternative<BelongsToWorker>(answer.routing));
    EXPECT_EQ(std::get<BelongsToWorker>(answer.routing).index, worker);
    EXPECT_TRUE(answer.replies.empty());
  }
  for (std::uint8_t worker : {1, 3, 255}) {
    id[0] = worker;
    const Answer answer = give(*pair.server.endpoint, pair.now, short_packet(id, 100));
    EXPECT_TRUE(std::holds_alternative<Dropped>(answer.routing));
    EXPECT_EQ(answer.replies.size(), 1U);
  }
  // Its own ids begin with its index.
  std::set<std::uint8_t> first_bytes;
  pair.filter = [&](Packet& packet) {
    if (packet.to_server && (packet.bytes[0] & 0x80) == 0) first_bytes.insert(packet.bytes[1]);
    return true;
  };
  pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(10s);
  EXPECT_EQ(first_bytes, std::set<std::uint8_t>{1});
}

TEST(Endpoint, damaged_or_cut_first_packets_create_nothing) {
  LoopbackPair pair;
  const Bytes initial = first_initial(pair);
  Endpoint& server = *pair.server.endpoint;
  for (std::size_t size = 0; size < initial.size(); ++size) {
    give(server, pair.now,
         Bytes(initial.begin(), initial.begin() + static_cast<std::ptrdiff_t>(size)));
    ASSERT_EQ(server.connection_count(), 0U) << size;
  }
  for (std::size_t at = 0; at < initial.size(); ++at) {
    Bytes damaged = initial;
    damaged[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
    const Answer answer = give(server, pair.now, damaged);
    std::size_t answered = 0;
    for (const Bytes& reply : answer.replies) answered += reply.size();
    ASSERT_LT(answered, damaged.size());
    ASSERT_EQ(server.connection_count(), 0U) << at;
  }
  EXPECT_EQ(id_count(server), 0U);
  EXPECT_TRUE(std::holds_alternative<RoutedTo>(give(server, pair.now, initial).routing));
}

TEST(Endpoint, garbage_creates_nothing_and_is_never_amplified) {
  LoopbackPair pair;
  SeededRng rng(11);
  for (Endpoint* endpoint : {pair.server.endpoint.get(), pair.client.endpoint.get()}) {
    for (int i = 0; i < 5'000; ++i) {
      Bytes bytes(rng.below(1600));
      rng.fill(bytes);
      if (bytes.size() > 6 && rng.below(2) == 0) {  // looks like version 1
        bytes[0] |= 0xC0;
        bytes[1] = bytes[2] = bytes[3] = 0;
        bytes[4] = 1;
        bytes[5] = static_cast<std::uint8_t>(rng.below(22));
      }
      std::size_t answered = 0;
      for (const Bytes& reply : give(*endpoint, pair.now, bytes).replies) answered += reply.size();
      ASSERT_TRUE(answered == 0 || answered < bytes.size());
    }
    EXPECT_EQ(endpoint->connection_count(), 0U);
    EXPECT_EQ(id_count(*endpoint), 0U);
  }
}

TEST(Endpoint, damaged_packets_of_a_live_connection_change_nothing) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  SeededRng rng(5);
  pair.filter = [&](Packet& packet) {
    for (int i = 0; i < 3; ++i) {
      Packet damaged = packet;
      if (rng.below(2) == 0) damaged.bytes.resize(rng.below(damaged.bytes.size()) + 1);
      damaged.bytes[rng.below(damaged.bytes.size())] ^=
          static_cast<std::uint8_t>(1 + rng.below(255));
      pair.wire.emplace(pair.now + pair.delay, std::move(damaged));
    }
    return true;
  };
  ASSERT_TRUE(pair.establish());
  std::size_t received = 0;
  pair.server.on_readable = [&](Connection& c, Stream& s) {
    const std::size_t size = s.input.size();
    received += size;
    c.consume(s, size);
  };
  Stream* stream = connection.open_stream();
  stream->output.append(Bytes(200'000));
  connection.submit(*stream);
  EXPECT_TRUE(pair.run_until([&] { return received == 200'000; }, 60s));
  EXPECT_EQ(pair.server.endpoint->connection_count(), 1U);
}

TEST(Endpoint, late_packets_of_a_dead_connection_create_nothing) {
  LoopbackPair pair;
  std::vector<Packet> recorded;
  pair.filter = [&](Packet& packet) {
    recorded.push_back(packet);
    return true;
  };
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(1s);
  connection.close(pair.now, 1, "over");
  pair.run_for(30s);
  ASSERT_EQ(pair.server.endpoint->connection_count(), 0U);
  ASSERT_EQ(pair.client.endpoint->connection_count(), 0U);
  EXPECT_EQ(id_count(*pair.server.endpoint), 0U);
  EXPECT_EQ(id_count(*pair.client.endpoint), 0U);
  // A replay of the very first Initial is a first Initial. Everything else is late.
  const Bytes first_id(recorded[0].bytes.begin() + 6, recorded[0].bytes.begin() + 22);
  for (const Packet& packet : std::vector(recorded)) {
    const bool is_to_first_id =
        packet.to_server && (packet.bytes[0] & 0x80) != 0 &&
        std::equal(first_id.begin(), first_id.end(), packet.bytes.begin() + 6);
    if (is_to_first_id) continue;
    EXPECT_TRUE(std::holds_alternative<Dropped>(pair.deliver(packet)));
  }
  EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
  EXPECT_EQ(id_count(*pair.server.endpoint), 0U);
}

TEST(Endpoint, late_packets_of_a_failed_handshake_create_nothing) {
  LoopbackPair pair;
  pair.connect(LoopbackPair::key(99).public_key());
  std::vector<Packet> late;
  pair.filter = [&](Packet& packet) {
    if (packet.to_server) late.push_back(packet);
    return true;
  };
  ASSERT_TRUE(pair.run_until([&] { return !pair.server.closed.empty(); }));
  // While it drains, even the first Initial again finds the old connection.
  for (const Packet& packet : std::vector(late)) pair.deliver(packet);
  pair.run_for(1ms);
  EXPECT_LE(pair.server.endpoint->connection_count(), 1U);
  EXPECT_EQ(pair.server.endpoint->stats().accepted, 1U);
  pair.run_for(30s);
  EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
}

TEST(Endpoint, sends_an_unproven_address_at_most_three_times_what_it_sent) {
  LoopbackPair pair;
  bool is_first = true;
  pair.filter = [&](Packet& packet) {
    if (!packet.to_server) return false;
    return std::exchange(is_first, false);
  };
  pair.connect();
  pair.run_for(30s);
  EXPECT_GT(pair.bytes_to_client, 0U);
  EXPECT_LE(pair.bytes_to_client, 3U * 1200);
  EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
}

TEST(Endpoint, flood_of_initials_leaves_room_for_an_honest_client) {
  LoopbackPair pair;
  LoopbackPair attacker([](EndpointConfig&) {}, 999);
  // First packets from many addresses, whose senders never go on.
  for (std::uint32_t i = 0; i < 300; ++i) {
    const Bytes initial = first_initial(attacker, static_cast<std::uint16_t>(1000 + i));
    Packet packet{.path = {.local = LoopbackPair::server_address(),
                           .remote = {IpAddress::v4(0x0B000000U + i), 999}},
                  .bytes = initial,
                  .to_server = true};
    pair.deliver(packet);
  }
  EXPECT_LE(pair.server.endpoint->connection_count(), limits::kRetryThreshold);
  EXPECT_GT(pair.server.endpoint->stats().retries_sent, 200U);
  pair.connect();
  EXPECT_TRUE(pair.run_until([&] { return !pair.client.completed.empty(); }, 2s));
}

TEST(Endpoint, client_does_not_accept_connections) {
  LoopbackPair pair;
  const Bytes initial = first_initial(pair);
  const Answer answer = give(*pair.client.endpoint, pair.now, initial);
  EXPECT_TRUE(std::holds_alternative<Dropped>(answer.routing));
  EXPECT_TRUE(answer.replies.empty());
}

TEST(Endpoint, server_without_application_protocol_is_a_configuration_error) {
  SeededRng rng(1);
  buffers::ChunkPool chunks;
  EndpointConfig config = LoopbackPair::config(true);
  config.alpns.clear();
  const auto endpoint = Endpoint::create(std::move(config), rng, null_logger(), chunks);
  ASSERT_FALSE(endpoint.has_value());
  EXPECT_EQ(endpoint.error().kind, ErrorKind::configuration);
}

TEST(Endpoint, both_packet_protections_understand_each_other) {
  for (const auto at_server : {ProtectionBackend::gnutls, ProtectionBackend::ipsec_mb}) {
    SeededRng rng(1);
    buffers::ChunkPool chunks;
    EndpointConfig probe = LoopbackPair::config(true);
    probe.protection = at_server;
    if (!Endpoint::create(std::move(probe), rng, null_logger(), chunks)) continue;
    LoopbackPair pair([&](EndpointConfig& config) {
      config.protection = config.accepts_connections ? at_server : ProtectionBackend::gnutls;
    });
    EXPECT_EQ(pair.server.endpoint->protection(), at_server);
    Connection& connection = pair.connect();
    ASSERT_TRUE(pair.establish());
    std::size_t received = 0;
    pair.server.on_readable = [&](Connection& c, Stream& s) {
      const std::size_t size = s.input.size();
      received += size;
      c.consume(s, size);
    };
    Stream* stream = connection.open_stream();
    stream->output.append(Bytes(500'000));
    connection.submit(*stream);
    EXPECT_TRUE(pair.run_until([&] { return received == 500'000; }));
  }
}

}  // namespace
}  // namespace culvert::quic
