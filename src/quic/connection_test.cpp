#include "quic/connection_impl.h"
#include "quic/endpoint_impl.h"
#include "quic/loopback_pair.h"
#include "quic/packet_protection.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;

Bytes pattern(std::size_t size, std::uint64_t seed = 9) {
  Bytes bytes(size);
  SeededRng(seed).fill(bytes);
  return bytes;
}

// Sends all of `data` on a stream as space allows, then FIN.
struct Sender {
  Bytes data;
  std::size_t at = 0;
  bool with_fin = true;

  void pump(Connection& connection, Stream& stream) {
    const std::size_t count = std::min(stream.output.space(), data.size() - at);
    stream.output.append(ByteView(data).subspan(at, count));
    at += count;
    stream.wants_space = at < data.size();
    connection.submit(stream);
    if (at == data.size() && with_fin && !stream.is_fin_queued) connection.finish(stream);
  }
};

// For what depends on a window that is full.
void with_cubic(EndpointConfig& config) {
  config.transport.congestion_control = CongestionControl::cubic;
}

// Reads everything that is there.
Bytes take(Connection& connection, Stream& stream) {
  Bytes taken;
  std::array<ByteView, 8> views;
  while (stream.input.size() > 0) {
    std::size_t size = 0;
    const std::size_t count = stream.input.views(views);
    for (std::size_t i = 0; i < count; ++i) {
      taken.insert(taken.end(), views[i].begin(), views[i].end());
      size += views[i].size();
    }
    connection.consume(stream, size);
  }
  return taken;
}

// A server that sends back what it reads, with back-pressure, and its FIN after the peer's.
void make_echo(LoopbackPair::Side& side) {
  const auto echo = [](Connection& connection, Stream& stream) {
    std::array<ByteView, 8> views;
    while (stream.input.size() > 0 && stream.output.space() > 0) {
      const std::size_t count = stream.input.views(views);
      std::size_t size = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const ByteView view = views[i].first(std::min(views[i].size(), stream.output.space()));
        stream.output.append(view);
        size += view.size();
      }
      connection.consume(stream, size);
    }
    stream.wants_space = stream.input.size() > 0;
    connection.submit(stream);
    if (stream.is_input_finished() && !stream.is_fin_queued) connection.finish(stream);
  };
  side.on_readable = echo;
  side.on_writable = echo;
}

TEST(Connection, both_sides_learn_who_the_other_is) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  EXPECT_EQ(pair.client.completed[0].peer, LoopbackPair::server_key().public_key());
  EXPECT_EQ(pair.server.completed[0].peer, LoopbackPair::client_key().public_key());
  EXPECT_EQ(pair.client.completed[0].alpn, "culvert/1");
  EXPECT_EQ(pair.server.completed[0].alpn, "culvert/1");
  EXPECT_TRUE(connection.is_established());
  EXPECT_TRUE(connection.is_client());
  EXPECT_EQ(connection.path(), LoopbackPair::client_path());
  EXPECT_LE(connection.stats().smoothed_rtt, 20ms);
}

TEST(Connection, exporter_agrees_and_depends_on_label_and_context) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  std::array<std::uint8_t, 32> early;
  EXPECT_FALSE(connection.export_keying_material("EXPORTER-x", {}, early));
  ASSERT_TRUE(pair.establish());
  const auto exported = [](const Connection& from, std::string_view label,
                           std::string_view context) {
    std::array<std::uint8_t, 32> out{};
    EXPECT_TRUE(from.export_keying_material(label, as_bytes(context), out));
    return out;
  };
  const Connection& server = *pair.server.connections[0];
  EXPECT_EQ(exported(connection, "EXPORTER-a", "c"), exported(server, "EXPORTER-a", "c"));
  EXPECT_NE(exported(connection, "EXPORTER-a", "c"), exported(server, "EXPORTER-b", "c"));
  EXPECT_NE(exported(connection, "EXPORTER-a", "c"), exported(server, "EXPORTER-a", "d"));
}

TEST(Connection, wrong_endpoint_id_is_an_authentication_error_on_both_sides) {
  LoopbackPair pair;
  pair.connect(LoopbackPair::key(99).public_key());
  ASSERT_TRUE(
      pair.run_until([&] { return !pair.client.closed.empty() && !pair.server.closed.empty(); }));
  EXPECT_EQ(pair.client.closed[0].error.kind, ErrorKind::authentication);
  EXPECT_FALSE(pair.client.closed[0].is_by_peer);
  EXPECT_EQ(pair.server.closed[0].error.kind, ErrorKind::authentication);
  EXPECT_TRUE(pair.server.closed[0].is_by_peer);
  EXPECT_TRUE(pair.client.completed.empty());
  EXPECT_TRUE(pair.server.completed.empty());
}

TEST(Connection, no_common_application_protocol_fails_the_handshake) {
  LoopbackPair pair;
  pair.connect({}, "other/1");
  ASSERT_TRUE(pair.run_until([&] { return !pair.client.closed.empty(); }));
  EXPECT_EQ(pair.client.closed[0].error.kind, ErrorKind::protocol);
  EXPECT_TRUE(pair.server.completed.empty());
  pair.run_for(10s);
  EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
  EXPECT_EQ(pair.client.endpoint->connection_count(), 0U);
}

// A handshake without the extension is no handshake with none in common: GnuTLS lets it pass.
TEST(Connection, peer_that_names_no_application_protocol_is_refused_with_alert_120) {
  for (const bool is_client_silent : {true, false}) {
    LoopbackPair pair;
    SeededRng rng(7);
    if (is_client_silent) {
      pair.connect({}, "");
    } else {
      EndpointConfig config = LoopbackPair::config(true);
      config.alpns.clear();
      auto credentials = TlsCredentials::create(config.identity);
      ASSERT_TRUE(credentials.has_value());
      pair.server.endpoint =
          std::make_unique<EndpointImpl>(std::move(config), std::move(*credentials),
                                         best_protection(), rng, null_logger(), pair.chunks);
      pair.connect();
    }
    ASSERT_TRUE(
        pair.run_until([&] { return !pair.client.closed.empty() && !pair.server.closed.empty(); }));
    const LoopbackPair::Side& ours = is_client_silent ? pair.server : pair.client;
    for (const LoopbackPair::Side* side : {&pair.client, &pair.server}) {
      EXPECT_EQ(side->closed[0].is_by_peer, side != &ours);
      EXPECT_EQ(side->closed[0].error.what, "no application protocol in common with the peer");
      EXPECT_TRUE(side->completed.empty());
    }
    pair.run_for(10s);
    EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
    EXPECT_EQ(pair.client.endpoint->connection_count(), 0U);
  }
}

TEST(Connection, server_prefers_its_own_order_of_protocols) {
  LoopbackPair pair([](EndpointConfig& config) {
    if (config.accepts_connections) config.alpns = {"a", "b", "culvert/1"};
  });
  pair.connect({}, "b");
  ASSERT_TRUE(pair.establish());
  EXPECT_EQ(pair.server.completed[0].alpn, "b");
}

TEST(Connection, echoes_megabytes_and_frees_every_buffer) {
  LoopbackPair pair;
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Sender sender{.data = pattern(8 << 20)};
  Bytes received;
  bool has_fin = false;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  pair.client.on_readable = [&](Connection& c, Stream& s) {
    const Bytes taken = take(c, s);
    received.insert(received.end(), taken.begin(), taken.end());
    has_fin = s.is_fin_received;
  };
  Stream* stream = connection.open_stream();
  ASSERT_NE(stream, nullptr);
  sender.pump(connection, *stream);
  ASSERT_TRUE(pair.run_until([&] { return has_fin; }));
  EXPECT_EQ(received, sender.data);
  ASSERT_TRUE(pair.run_until([&] {
    return pair.client.stream_closed.size() == 1 && pair.server.stream_closed.size() == 1;
  }));
  EXPECT_EQ(pair.chunks.chunks_in_use(), 0U);
}

TEST(Connection, delivers_every_byte_over_a_lossy_reordering_path) {
  for (const auto algorithm : {CongestionControl::cubic, CongestionControl::bbr}) {
    LoopbackPair pair(
        [&](EndpointConfig& config) { config.transport.congestion_control = algorithm; });
    make_echo(pair.server);
    SeededRng chance(5);
    pair.filter = [&](LoopbackPair::Packet& packet) {
      if (chance.below(100) < 5) return false;
      if (chance.below(100) < 5) {  // late, and twice
        pair.wire.emplace(pair.now + 12ms, packet);
      }
      return true;
    };
    Connection& connection = pair.connect();
    ASSERT_TRUE(pair.establish());
    std::vector<Sender> senders(5);
    std::vector<Bytes> received(senders.size());
    std::size_t finished = 0;
    const auto place = [](const Stream& s) { return static_cast<std::size_t>(s.id / 4); };
    pair.client.on_writable = [&](Connection& c, Stream& s) { senders[place(s)].pump(c, s); };
    pair.client.on_readable = [&](Connection& c, Stream& s) {
      const Bytes taken = take(c, s);
      received[place(s)].insert(received[place(s)].end(), taken.begin(), taken.end());
      if (s.is_fin_received) ++finished;
    };
    for (std::size_t i = 0; i < senders.size(); ++i) {
      senders[i].data = pattern(300'000 + 1000 * i, i);
      Stream* stream = connection.open_stream();
      ASSERT_NE(stream, nullptr);
      senders[i].pump(connection, *stream);
    }
    ASSERT_TRUE(pair.run_until([&] { return finished >= senders.size(); }, 600s));
    for (std::size_t i = 0; i < senders.size(); ++i) EXPECT_EQ(received[i], senders[i].data);
    EXPECT_GT(connection.stats().packets_lost, 0U);
  }
}

TEST(Connection, half_close_leaves_the_other_direction_open) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Stream* at_server = nullptr;
  Bytes request;
  pair.server.on_readable = [&](Connection& c, Stream& s) {
    at_server = &s;
    const Bytes taken = take(c, s);
    request.insert(request.end(), taken.begin(), taken.end());
  };
  Bytes response;
  bool has_fin = false;
  pair.client.on_readable = [&](Connection& c, Stream& s) {
    const Bytes taken = take(c, s);
    response.insert(response.end(), taken.begin(), taken.end());
    has_fin = s.is_fin_received;
  };
  Stream* stream = connection.open_stream();
  stream->output.append(as_bytes("request"));
  connection.finish(*stream);
  ASSERT_TRUE(pair.run_until([&] { return at_server != nullptr && at_server->is_fin_received; }));
  EXPECT_EQ(as_text(request), "request");
  pair.run_for(2s);
  EXPECT_TRUE(pair.client.stream_closed.empty());
  at_server->output.append(as_bytes("response"));
  pair.server.connections[0]->submit(*at_server);
  ASSERT_TRUE(pair.run_until([&] { return response.size() == 8; }));
  EXPECT_FALSE(has_fin);
  pair.server.connections[0]->finish(*at_server);
  ASSERT_TRUE(pair.run_until([&] {
    return pair.client.stream_closed.size() == 1 && pair.server.stream_closed.size() == 1;
  }));
  EXPECT_TRUE(has_fin);
}

TEST(Connection, reset_reaches_the_peer_with_its_code) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::optional<std::uint64_t> code;
  Stream* at_server = nullptr;
  pair.server.on_event = [&](Connection&, Event& event) {
    if (auto* reset = std::get_if<StreamReset>(&event)) {
      code = reset->code;
      at_server = reset->stream;
    }
  };
  Stream* stream = connection.open_stream();
  stream->output.append(as_bytes("half"));
  connection.submit(*stream);
  pair.run_for(50ms);
  connection.reset(*stream, 77);
  ASSERT_TRUE(pair.run_until([&] { return code.has_value(); }));
  EXPECT_EQ(*code, 77U);
  EXPECT_TRUE(at_server->is_reset_received);
  EXPECT_EQ(at_server->input.size(), 4U);  // what came before stays readable
  pair.server.connections[0]->reset(*at_server, 78);
  pair.run_for(1s);
  EXPECT_TRUE(pair.server.stream_closed.empty()) << "input is not consumed yet";
  take(*pair.server.connections[0], *at_server);
  ASSERT_TRUE(pair.run_until([&] {
    return pair.client.stream_closed.size() == 1 && pair.server.stream_closed.size() == 1;
  }));
  EXPECT_EQ(pair.chunks.chunks_in_use(), 0U);
}

TEST(Connection, stop_sending_discards_output_and_is_reported) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Stream* at_server = nullptr;
  pair.server.on_event = [&](Connection&, Event& event) {
    if (auto* opened = std::get_if<StreamOpened>(&event)) at_server = opened->stream;
  };
  bool is_stopped = false;
  pair.client.on_event = [&](Connection&, Event& event) {
    if (std::holds_alternative<StopSending>(event)) is_stopped = true;
  };
  // More than the window: the stream waits for the peer, with nothing left to try to send.
  Stream* stream = connection.open_stream();
  stream->output.append(pattern(900'000));
  connection.submit(*stream);
  pair.run_for(2s);
  ASSERT_NE(at_server, nullptr);
  EXPECT_GT(stream->output.unacked_bytes(), 0U);
  pair.server.connections[0]->stop_sending(*at_server, 5);
  ASSERT_TRUE(pair.run_until([&] { return is_stopped; }, 2s));
  EXPECT_EQ(stream->output.unacked_bytes(), 0U);
  pair.server.connections[0]->finish(*at_server);
  ASSERT_TRUE(pair.run_until([&] {
    return pair.client.stream_closed.size() == 1 && pair.server.stream_closed.size() == 1;
  }));
  EXPECT_EQ(pair.chunks.chunks_in_use(), 0U);
}

TEST(Connection, stop_sending_of_unread_input_gives_the_connection_window_back) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Stream* unread = nullptr;
  pair.server.on_event = [&](Connection&, Event& event) {
    if (auto* opened = std::get_if<StreamOpened>(&event)) unread = opened->stream;
  };
  // Many times the connection's window, on streams that are never read but dropped.
  for (int round = 0; round < 40; ++round) {
    unread = nullptr;
    Stream* stream = connection.open_stream();
    ASSERT_NE(stream, nullptr);
    stream->output.append(pattern(200'000));
    connection.finish(*stream);
    ASSERT_TRUE(pair.run_until([&] {
      return unread != nullptr && unread->input.size() >= 100'000;
    })) << round;
    pair.server.connections[0]->stop_sending(*unread, 1);
    pair.server.connections[0]->finish(*unread);
    const std::size_t closed = pair.client.stream_closed.size();
    ASSERT_TRUE(pair.run_until([&] { return pair.client.stream_closed.size() > closed; }));
  }
  EXPECT_EQ(pair.chunks.chunks_in_use(), 0U);
}

TEST(Connection, carries_datagrams_up_to_the_largest_that_fits) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  EXPECT_EQ(connection.max_datagram_payload(), 0U);
  ASSERT_TRUE(pair.establish());
  pair.mtu = 1452;
  std::vector<Bytes> received;
  pair.server.on_datagram = [&](Connection&, ByteView bytes) {
    received.emplace_back(bytes.begin(), bytes.end());
  };
  pair.run_for(5s);
  const std::size_t largest = connection.max_datagram_payload();
  EXPECT_GT(largest, 1'400U);
  const Bytes full = pattern(largest);
  EXPECT_TRUE(connection.send_datagram(ByteView(full).first(8), ByteView(full).subspan(8)));
  EXPECT_FALSE(connection.send_datagram({}, pattern(largest + 1)));
  EXPECT_TRUE(connection.send_datagram({}, {}));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(connection.send_datagram(as_bytes("h"), as_bytes("p")));
  ASSERT_TRUE(pair.run_until([&] { return received.size() == 102; }));
  EXPECT_EQ(received[0], full);
  EXPECT_TRUE(received[1].empty());
  EXPECT_EQ(as_text(received[2]), "hp");
}

TEST(Connection, small_datagrams_share_packets) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(5s);
  std::size_t received = 0;
  pair.server.on_datagram = [&](Connection&, ByteView) { ++received; };
  const std::uint64_t before = connection.stats().packets_sent;
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(connection.send_datagram({}, pattern(64)));
  ASSERT_TRUE(pair.run_until([&] { return received == 200; }));
  EXPECT_LT(connection.stats().packets_sent - before, 20U);
}

TEST(Connection, full_datagram_queue_drops_the_oldest_and_counts_it) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Bytes last;
  std::size_t received = 0;
  pair.server.on_datagram = [&](Connection&, ByteView bytes) {
    ++received;
    last.assign(bytes.begin(), bytes.end());
  };
  constexpr std::size_t kCount = 3000;
  for (std::size_t i = 0; i < kCount; ++i) {
    EXPECT_TRUE(connection.send_datagram({}, pattern(1000, i)));
  }
  EXPECT_GT(connection.stats().datagrams_dropped, 0U);
  pair.run_for(10s);
  EXPECT_EQ(received + connection.stats().datagrams_dropped, kCount);
  EXPECT_EQ(last, pattern(1000, kCount - 1));
}

TEST(Connection, datagrams_do_not_starve_streams) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::size_t stream_bytes = 0;
  pair.server.on_readable = [&](Connection& c, Stream& s) { stream_bytes += take(c, s).size(); };
  Stream* stream = connection.open_stream();
  stream->output.append(pattern(200'000));
  connection.submit(*stream);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(connection.send_datagram({}, pattern(1000)));
  pair.run_until([&] { return stream_bytes > 0; }, 100ms);
  EXPECT_GT(stream_bytes, 0U);
}

TEST(Connection, close_code_and_reason_reach_the_peer) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  connection.close(pair.now, 4242, "maintenance\n\x01");
  EXPECT_TRUE(connection.is_closed());
  ASSERT_TRUE(pair.run_until([&] { return !pair.server.closed.empty(); }));
  const Closed& closed = pair.server.closed[0];
  EXPECT_EQ(closed.application_code, 4242U);
  EXPECT_EQ(closed.reason, "maintenance??");
  EXPECT_TRUE(closed.is_by_peer);
  EXPECT_EQ(closed.error.kind, ErrorKind::lost);
  pair.run_for(5s);
  EXPECT_TRUE(pair.client.closed.empty()) << "our own close is no news";
  EXPECT_EQ(pair.client.endpoint->connection_count(), 0U);
  EXPECT_EQ(pair.server.endpoint->connection_count(), 0U);
}

// Between the close and its event a flow may still write: that is resumed with the rest.
TEST(Connection, keeps_what_is_written_to_a_stream_after_the_close) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Stream& stream = *connection.open_stream();
  Stream& gone = *connection.open_stream();
  for (Stream* each : {&stream, &gone}) {
    each->output.append(as_bytes("before"));
    connection.submit(*each);
  }
  pair.run_for(1s);
  EXPECT_EQ(stream.output.acked_offset(), 6U);
  connection.close(pair.now, 1, "");
  stream.output.append(as_bytes("after"));
  connection.submit(stream);
  gone.output.append(as_bytes("after"));
  connection.submit(gone);
  connection.reset(gone, 1);
  const auto parked = connection.take_streams();
  ASSERT_EQ(parked.size(), 2U);
  EXPECT_EQ(parked[0]->output.acked_offset(), 6U);
  EXPECT_EQ(parked[0]->output.end_offset(), 11U);
  EXPECT_FALSE(parked[0]->is_output_over);
  EXPECT_TRUE(parked[1]->is_output_over);
  EXPECT_EQ(parked[1]->output.unacked_bytes(), 0U);
}

TEST(Connection, close_with_code_zero_is_a_clean_end) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  connection.close(pair.now, 0, "");
  ASSERT_TRUE(pair.run_until([&] { return !pair.server.closed.empty(); }));
  EXPECT_EQ(pair.server.closed[0].error.kind, ErrorKind::cancelled);
  EXPECT_EQ(pair.server.closed[0].application_code, 0U);
}

TEST(Connection, a_lost_close_packet_is_repeated_ever_less_often) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(1s);
  Stream* stream = nullptr;
  Connection& server = *pair.server.connections[0];
  stream = server.open_stream();
  ASSERT_NE(stream, nullptr);
  std::size_t closes = 0;
  bool is_losing = true;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    if (!packet.to_server) return true;
    ++closes;
    return !is_losing;
  };
  connection.close(pair.now, 1, "bye");
  pair.run_for(1ms);
  EXPECT_EQ(closes, 1U);
  // The server goes on sending small packets, none the wiser.
  for (int i = 0; i < 20; ++i) {
    stream->output.append(as_bytes("x"));
    server.submit(*stream);
    pair.run_for(1ms);
  }
  EXPECT_GT(closes, 1U);
  EXPECT_LE(closes, 7U);  // to 40 packets: small ones go out twice
  is_losing = false;
  for (int i = 0; i < 20; ++i) {
    stream->output.append(as_bytes("x"));
    server.submit(*stream);
    pair.run_for(1ms);
  }
  EXPECT_TRUE(pair.run_until([&] { return !pair.server.closed.empty(); }, 5s));
}

TEST(Connection, silence_for_the_idle_timeout_is_a_loss) {
  LoopbackPair pair;
  pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.filter = [](LoopbackPair::Packet&) { return false; };
  ASSERT_TRUE(pair.run_until(
      [&] { return !pair.client.closed.empty() && !pair.server.closed.empty(); }, 120s));
  EXPECT_EQ(pair.client.closed[0].error.kind, ErrorKind::lost);
  EXPECT_EQ(pair.server.closed[0].error.kind, ErrorKind::lost);
  EXPECT_FALSE(pair.client.closed[0].is_by_peer);
}

// As when the peer was stopped while we dialled it.
TEST(Connection, a_slow_handshake_is_no_reason_for_patience) {
  LoopbackPair pair;
  make_echo(pair.server);
  pair.delay = 1500ms;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(5s);
  ASSERT_GT(connection.liveness().probe_timeout, 2s);
  pair.delay = 5ms;
  Stream* stream = connection.open_stream();
  stream->output.append(pattern(10));
  connection.submit(*stream);
  pair.run_for(1s);
  EXPECT_GT(connection.stats().smoothed_rtt, 1s);
  EXPECT_LT(connection.liveness().probe_timeout, 200ms);
  EXPECT_LT(connection.liveness().smoothed_rtt, 50ms);
}

// Both stand still; what was under way waits for them.
TEST(Connection, a_stop_is_no_round_trip) {
  LoopbackPair pair;
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Sender sender{.data = pattern(1 << 20)};
  std::size_t received = 0;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received > 100'000; }, 10s));
  ASSERT_FALSE(pair.wire.empty());
  pair.now += 20s;
  ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 2s));
  EXPECT_LT(connection.stats().smoothed_rtt, 100ms);
  EXPECT_LT(pair.server.connections[0]->stats().smoothed_rtt, 100ms);
}

TEST(Connection, a_stop_beyond_the_idle_timeout_is_a_loss_whatever_is_waiting) {
  LoopbackPair pair;
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Stream* stream = connection.open_stream();
  stream->output.append(pattern(1000));
  connection.submit(*stream);
  pair.run_for(pair.delay);
  ASSERT_FALSE(pair.wire.empty());
  pair.now += LoopbackPair::config(true).transport.idle_timeout + 1s;
  pair.run_for(1ms);
  ASSERT_EQ(pair.client.closed.size(), 1U);
  ASSERT_EQ(pair.server.closed.size(), 1U);
  EXPECT_EQ(pair.server.closed[0].error.kind, ErrorKind::lost);
}

TEST(Connection, nobody_answering_is_unreachable) {
  LoopbackPair pair;
  pair.connect();
  pair.filter = [](LoopbackPair::Packet&) { return false; };
  ASSERT_TRUE(pair.run_until([&] { return !pair.client.closed.empty(); }, 15s));
  EXPECT_EQ(pair.client.closed[0].error.kind, ErrorKind::unreachable);
}

TEST(Connection, a_ping_is_answered_within_a_round_trip_and_is_one) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(1s);
  const std::size_t sent_before = pair.datagrams_sent;
  const std::uint64_t heard_before = connection.liveness().packets_received;
  connection.ping(pair.now);
  const Instant asked = pair.now;
  ASSERT_TRUE(
      pair.run_until([&] { return connection.liveness().packets_received > heard_before; }, 1s));
  EXPECT_LE(pair.now - asked, 2 * pair.delay + 30ms);  // the peer may hold its answer back
  pair.run_for(2s);
  EXPECT_LE(pair.datagrams_sent - sent_before, 3U);
}

// However long ago the last packet was: no time is missing between the ping and its answer.
TEST(Connection, a_ping_after_silence_measures_the_whole_round_trip) {
  for (const Duration silence : {900ms, 1100ms, 4000ms}) {
    LoopbackPair pair;
    Connection& connection = pair.connect();
    ASSERT_TRUE(pair.establish());
    pair.run_for(3s);
    pair.run_for(silence);
    const std::uint64_t heard_before = connection.liveness().packets_received;
    connection.ping(pair.now);
    ASSERT_TRUE(
        pair.run_until([&] { return connection.liveness().packets_received > heard_before; }, 1s));
    EXPECT_GE(connection.stats().min_rtt, 2 * pair.delay);
    EXPECT_GE(connection.liveness().smoothed_rtt, 2 * pair.delay);
  }
}

// A route with a tunnel on it: what is small arrives, what is large does not, and nobody says so.
TEST(Connection, gets_on_when_its_path_carries_less_in_the_middle) {
  // With any other version than 1.11 nothing of ours sees what is lost (CMake says so).
  if (!BbrControl::kIsBuiltIn) GTEST_SKIP() << "this ngtcp2 is not the one it is made for";
  for (const bool is_upload : {false, true}) {
    LoopbackPair pair;
    Connection& connection = pair.connect();
    ASSERT_TRUE(pair.establish());
    std::size_t received = 0;
    const auto take_all = [&](Connection& c, Stream& s) {
      received += s.input.size();
      c.consume(s, s.input.size());
    };
    (is_upload ? pair.server : pair.client).on_readable = take_all;
    pair.run_for(5s);  // the path's MTU is known
    Stream* there = connection.open_stream();
    there->output.append(Bytes(1, 'x'));
    connection.submit(*there);
    Connection* sender = &connection;
    Stream* stream = there;
    if (!is_upload) {
      pair.server.on_readable = [&](Connection& c, Stream& s) {
        c.consume(s, s.input.size());
        sender = &c;
        stream = &s;
      };
      pair.run_for(100ms);
    }
    const Bytes chunk(64 << 10, 7);
    const auto send_for = [&](Duration span) {
      const Instant end = pair.now + span;
      while (pair.now < end) {
        while (stream->output.space() > 0) {
          stream->output.append(
              ByteView(chunk).first(std::min(chunk.size(), stream->output.space())));
        }
        sender->submit(*stream);
        pair.run_for(5ms);
      }
    };
    send_for(1s);
    EXPECT_GT(sender->stats().max_udp_payload_bytes, 1'300U);
    pair.mtu = 1'250;
    send_for(3s);
    const std::size_t before = received;
    send_for(1s);
    EXPECT_GT(received - before, 1'000'000U) << (is_upload ? "up" : "down");
    EXPECT_EQ(connection.max_datagram_payload() > 1'200, !is_upload);
    pair.mtu = 65'527;
    send_for(10s);
    const std::uint64_t packets = sender->stats().packets_sent;
    const std::uint64_t bytes = sender->stats().bytes_sent;
    send_for(1s);
    EXPECT_GT((sender->stats().bytes_sent - bytes) / (sender->stats().packets_sent - packets),
              1'250U)
        << "it carries more again";
  }
}

// After it ngtcp2 is not asked what else there is to say.
TEST(Connection, a_small_packet_leaves_nothing_behind) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(3s);  // of what follows a handshake nothing is left, nor a search for the MTU
  const Bytes request(64, 'x');
  Stream* stream = connection.open_stream();
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 10; ++i) {
    stream->output.append(request);
    connection.submit(*stream);
    TxBuilder first(1 << 16);
    EXPECT_FALSE(connection.poll_transmit(pair.now, 1 << 16, first));
    EXPECT_FALSE(first.is_empty());
    TxBuilder second(1 << 16);
    EXPECT_FALSE(connection.poll_transmit(pair.now, 1 << 16, second));
    EXPECT_TRUE(second.is_empty());
    pair.now += 1ms;
  }
  // All of them were lost.
  ASSERT_TRUE(pair.run_until([&] { return stream->output.unacked_bytes() == 0; }, 5s));
}

// What goes to the server passes a wire of 100 Mbit/s, packet by packet.
struct SlowWire {
  explicit SlowWire(LoopbackPair& its_pair, double its_loss = 0) : pair(its_pair), loss(its_loss) {
    pair.mtu = 1500;
    pair.filter = [this](LoopbackPair::Packet& packet) {
      ++(packet.to_server ? to_server : to_client);
      if (static_cast<double>(rng.below(1000)) < 1000 * loss) return false;
      if (!packet.to_server) return true;
      free_at = std::max(free_at, pair.now) + 80ns * packet.bytes.size();
      pair.wire.emplace(free_at + pair.delay, packet);
      return false;
    };
  }
  LoopbackPair& pair;
  double loss;
  SeededRng rng{1};
  Instant free_at{};
  std::size_t to_server = 0;
  std::size_t to_client = 0;
};

// One for ten packets instead of two where a round trip is long.
TEST(Connection, acknowledges_bulk_of_a_long_path_in_lumps) {
  LoopbackPair pair;
  pair.delay = 20ms;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  const SlowWire wire(pair);
  std::size_t received = 0;
  pair.server.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  Sender sender{.data = pattern(16 << 20)};
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 60s));
  EXPECT_GT(wire.to_server, 10'000U);
  EXPECT_LT(wire.to_client, wire.to_server / 5);
}

// What a stream may hold follows what waits behind a lost packet, which may be several windows.
TEST(Connection, packets_that_are_lost_again_do_not_stop_a_flow) {
  LoopbackPair pair;
  pair.delay = 50ms;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  const SlowWire wire(pair, 0.05);
  std::size_t received = 0;
  pair.server.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  Sender sender{.data = pattern(256 << 20)};
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  sender.pump(connection, *connection.open_stream());
  pair.run_for(4s);
  const std::size_t before = received;
  pair.run_for(10s);
  EXPECT_GT(static_cast<double>(received - before) * 8 / 10, 84e6);
}

// Where a peer grants little, that is what limits a connection. It tells nothing of the path.
TEST(Connection, a_peer_that_grants_little_teaches_no_slow_path) {
  LoopbackPair pair(
      [](EndpointConfig& config) { config.transport.session_buffer_bytes = 256 << 10; });
  pair.delay = 40ms;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  const SlowWire wire(pair);
  std::vector<Stream*> slow;
  Connection* server = nullptr;
  pair.server.on_readable = [&](Connection& c, Stream& s) {
    server = &c;
    if (std::ranges::find(slow, &s) == slow.end()) slow.push_back(&s);
  };
  // More than the whole budget of the session.
  std::vector<Sender> senders(32, Sender{.data = pattern(4 << 20)});
  std::map<Stream*, Sender*> sender_of;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender_of.at(&s)->pump(c, s); };
  for (Sender& sender : senders) {
    Stream& stream = *connection.open_stream();
    sender_of[&stream] = &sender;
    sender.pump(connection, stream);
  }
  for (int i = 0; i < 1'000; ++i) {  // 100 kB/s
    pair.run_for(10ms);
    if (slow.empty()) continue;
    Stream& stream = *slow[static_cast<std::size_t>(i) % slow.size()];
    server->consume(stream, std::min<std::size_t>(1'000, stream.input.size()));
  }
  EXPECT_GE(connection.stats().congestion_window_bytes, 100'000U);
}

// Whoever forgets it leaves a flow to wait for the next packet.
TEST(Connection, tells_its_waker_of_all_that_the_application_does) {
  struct Waker : ConnectionWaker {
    void on_stirred(Connection&) override { ++times; }
    int times = 0;
  } waker;
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  make_echo(pair.server);
  Stream& stream = *connection.open_stream();
  Stream& other = *connection.open_stream();
  stream.output.append(pattern(100));
  connection.submit(stream);
  ASSERT_TRUE(pair.run_until([&] { return stream.input.size() == 100; }));
  pair.run_for(1s);  // nothing is in flight

  connection.waker = &waker;
  const std::pair<const char*, std::function<void()>> cases[] = {
      {"ping", [&] { connection.ping(pair.now); }},
      {"consume", [&] { connection.consume(stream, 10); }},
      {"submit",
       [&] {
         stream.output.append(pattern(1));
         connection.submit(stream);
       }},
      {"carry_messages", [&] { connection.carry_messages(stream); }},
      {"finish", [&] { connection.finish(stream); }},
      {"reset", [&] { connection.reset(other, 1); }},
      {"stop_sending", [&] { connection.stop_sending(other, 1); }},
      {"allow_streams", [&] { connection.allow_streams(10); }},
      {"share_budget",
       [&] { connection.share_budget(pair.client.endpoint->make_session_budget()); }},
      {"send_datagram", [&] { EXPECT_TRUE(connection.send_datagram({}, pattern(10))); }},
      {"migrate",
       [&] {
         PathId path = connection.path();
         ++path.local.port;
         EXPECT_TRUE(connection.migrate(pair.now, path, Migration::validate_first));
       }},
      {"close", [&] { connection.close(pair.now, 1, "enough"); }},
  };
  for (const auto& [name, act] : cases) {
    const int before = waker.times;
    act();
    EXPECT_GT(waker.times, before) << name;
  }
  connection.waker = nullptr;
}

// A stream whose bytes come back over a path of 100 ms.
class FarEchoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!BbrControl::kIsBuiltIn) GTEST_SKIP() << "this build has no BBR of its own";
    pair_.delay = 50ms;
    make_echo(pair_.server);
    connection_ = &pair_.connect();
    ASSERT_TRUE(pair_.establish());
    stream_ = connection_->open_stream();
    pair_.client.on_readable = [&](Connection& end, Stream& s) {
      received_ += take(end, s).size();
    };
  }
  // There and back; `lost` is asked of each packet.
  using Lost = std::function<bool(const LoopbackPair::Packet&)>;
  void carry(std::size_t size, const Lost& lost) {
    Sender sender{.data = pattern(size), .with_fin = false};
    pair_.filter = [&](const LoopbackPair::Packet& packet) { return !lost(packet); };
    pair_.client.on_writable = [&](Connection& end, Stream& s) { sender.pump(end, s); };
    const std::size_t wanted = received_ + size;
    sender.pump(*connection_, *stream_);
    EXPECT_TRUE(pair_.run_until([&] { return received_ == wanted; }));
    pair_.client.on_writable = [](Connection&, Stream&) {};
    pair_.filter = [](const LoopbackPair::Packet&) { return true; };
  }
  // How long a request of 64 bytes takes.
  Duration time_of_request(const Lost& lost) {
    const Instant start = pair_.now;
    carry(64, lost);
    return pair_.now - start;
  }
  static bool nothing(const LoopbackPair::Packet&) { return false; }

  LoopbackPair pair_{
      [](EndpointConfig& config) { config.transport.fixed_udp_payload_size = 1452; }};
  Connection* connection_ = nullptr;
  Stream* stream_ = nullptr;
  std::size_t received_ = 0;
};

TEST_F(FarEchoTest, that_is_lost_on_one_way_costs_no_timeout) {
  EXPECT_LT(time_of_request(nothing), 105ms);
  pair_.run_for(1s);
  for (const bool to_server : {true, false}) {
    bool is_lost = false;
    const Duration took = time_of_request([&](const auto& packet) {
      return packet.to_server == to_server && !std::exchange(is_lost, true);
    });
    EXPECT_TRUE(is_lost);
    EXPECT_LT(took, 115ms) << (to_server ? "request" : "answer");
    pair_.run_for(1s);
  }
  EXPECT_GT(connection_->stats().packets_repeated, 0U);
}

TEST_F(FarEchoTest, whose_request_is_lost_twice_costs_no_timeout_where_many_are) {
  std::size_t packets = 0;
  carry(1'000'000, [&](const auto& packet) { return packet.to_server && ++packets % 50 == 0; });
  for (int i = 0; i < 10; ++i) {
    pair_.run_for(1s);
    std::size_t lost = 0;
    const Duration took =
        time_of_request([&](const auto& packet) { return packet.to_server && ++lost <= 2; });
    EXPECT_GE(lost, 3U);
    EXPECT_LT(took, 125ms);
  }
}

TEST_F(FarEchoTest, on_a_path_that_loses_nothing_needs_no_copies) {
  carry(4'000'000, nothing);
  const std::uint64_t repeated = connection_->stats().packets_repeated;
  for (int i = 0; i < 20; ++i) EXPECT_LT(time_of_request(nothing), 105ms);
  EXPECT_EQ(connection_->stats().packets_repeated, repeated);
}

TEST(Connection, keep_alive_holds_an_idle_connection_open) {
  LoopbackPair pair;
  pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(300s);
  EXPECT_TRUE(pair.client.closed.empty());
  EXPECT_TRUE(pair.server.closed.empty());
}

TEST(Connection, survives_key_updates_in_the_middle_of_bulk) {
  LoopbackPair pair;
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Bytes received;
  int updates = 0;
  for (int round = 0; round < 6; ++round) {
    pair.run_for(1s);  // RFC 9001 6.5: three PTOs between updates
    Sender sender{.data = pattern(2 << 20, static_cast<std::uint64_t>(round))};
    received.clear();
    bool is_updated = false;
    pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
    pair.client.on_readable = [&](Connection& c, Stream& s) {
      const Bytes taken = take(c, s);
      received.insert(received.end(), taken.begin(), taken.end());
      if (is_updated || received.size() < 500'000) return;
      Connection& initiator = round % 2 == 0 ? c : *pair.server.connections[0];
      is_updated = static_cast<ConnectionImpl&>(initiator).update_keys(pair.now);
      if (is_updated) ++updates;
    };
    sender.pump(connection, *connection.open_stream());
    ASSERT_TRUE(pair.run_until([&] { return received.size() == sender.data.size(); }, 60s));
    EXPECT_EQ(received, sender.data);
  }
  EXPECT_EQ(updates, 6);
}

TEST(Connection, finds_the_largest_packets_a_clean_path_carries) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  EXPECT_TRUE(
      pair.run_until([&] { return connection.stats().max_udp_payload_bytes == 65'000; }, 10s));
}

TEST(Connection, stays_within_a_small_path) {
  for (const std::size_t mtu : {1'400, 1'372, 1'250, 1'200}) {
    LoopbackPair pair;
    pair.mtu = mtu;
    make_echo(pair.server);
    Connection& connection = pair.connect();
    ASSERT_TRUE(pair.establish());
    Sender sender{.data = pattern(200'000)};
    std::size_t received = 0;
    pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
    pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
    Stream* stream = connection.open_stream();
    sender.pump(connection, *stream);
    ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 60s)) << mtu;
    pair.run_for(30s);
    EXPECT_LE(connection.stats().max_udp_payload_bytes, mtu);
    EXPECT_GE(connection.stats().max_udp_payload_bytes, mtu >= 1'300 ? mtu - 70 : 1'200) << mtu;
  }
}

// As a kernel does that knows the path's MTU: what has one segment above it is refused whole.
TEST(Connection, a_probe_that_is_refused_takes_no_data_with_it) {
  std::size_t refused = 0;
  for (int delay = 1; delay <= 30; ++delay) {  // probes are due while much is being sent
    LoopbackPair pair;
    pair.delay = delay * 1ms;
    pair.refuses = [&](const TxBatch& batch) {
      if (batch.segment_size <= 1'472) return false;
      refused += batch.bytes.size() / batch.segment_size;
      EXPECT_EQ(batch.bytes.size(), batch.segment_size);
      return true;
    };
    make_echo(pair.server);
    Connection& connection = pair.connect();
    ASSERT_TRUE(pair.establish());
    Sender sender{.data = pattern(3'000'000)};
    std::size_t received = 0;
    pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
    pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
    sender.pump(connection, *connection.open_stream());
    ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 60s));
    EXPECT_EQ(connection.stats().packets_lost, 0U);
  }
  EXPECT_GT(refused, 60U);
}

// Acknowledgements are not paced, and do not hold back what follows them (RFC 9002 7.7).
TEST(Connection, who_has_received_much_may_speak_at_once) {
  LoopbackPair pair;
  pair.mtu = 1'472;
  pair.delay = 50ms;
  Connection& client = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::size_t received = 0;
  std::optional<Instant> heard;
  Sender sender{.data = pattern(30'000'000)};
  pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  pair.server.on_event = [&](Connection& c, Event& event) {
    if (auto* opened = std::get_if<StreamOpened>(&event)) sender.pump(c, *opened->stream);
  };
  pair.server.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  pair.server.on_readable = [&](Connection& c, Stream& s) {
    if (take(c, s).size() == 3) heard = pair.now;
  };
  Stream& stream = *client.open_stream();
  stream.output.append(as_bytes("go"));
  client.submit(stream);
  ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 60s));
  const Instant said = pair.now;
  stream.output.append(as_bytes("key"));
  client.submit(stream);
  ASSERT_TRUE(pair.run_until([&] { return heard.has_value(); }, 60s));
  EXPECT_LE(*heard - said, pair.delay + 5ms);
}

TEST(Connection, obeys_the_peers_largest_datagram) {
  LoopbackPair pair([](EndpointConfig& config) {
    if (config.accepts_connections) config.transport.max_udp_payload_size = limits::kUdpPayloadIroh;
  });
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::size_t largest = 0;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    largest = std::max(largest, packet.bytes.size());
    return true;
  };
  pair.run_for(30s);
  EXPECT_EQ(connection.stats().max_udp_payload_bytes, 1'452U);
  EXPECT_LE(largest, 1'472U);
}

TEST(Connection, fixed_packet_size_is_used_and_never_exceeded) {
  LoopbackPair pair(
      [](EndpointConfig& config) { config.transport.fixed_udp_payload_size = 1'332; });
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::size_t largest = 0;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    largest = std::max(largest, packet.bytes.size());
    return true;
  };
  Sender sender{.data = pattern(500'000)};
  std::size_t received = 0;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }));
  EXPECT_EQ(largest, 1'332U);
}

TEST(Connection, marks_packets_ect0_once_the_path_is_known_to_keep_it) {
  LoopbackPair pair;
  make_echo(pair.server);
  Connection& connection = pair.connect();
  std::size_t ect0 = 0;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    if (packet.ecn == Ecn::ect0) ++ect0;
    return true;
  };
  ASSERT_TRUE(pair.establish());
  Sender sender{.data = pattern(500'000)};
  std::size_t received = 0;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }));
  EXPECT_GT(ect0, 20U);
}

TEST(Connection, congestion_marks_shrink_the_window) {
  const auto window_after = [](bool is_marking) {
    LoopbackPair pair(with_cubic);
    Connection& connection = pair.connect();
    pair.establish();
    pair.server.on_readable = [&](Connection& c, Stream& s) { take(c, s); };
    pair.run_for(2s);
    pair.filter = [&](LoopbackPair::Packet& packet) {
      if (is_marking && packet.to_server && packet.ecn == Ecn::ect0) packet.ecn = Ecn::ce;
      return true;
    };
    Sender sender{.data = pattern(6 << 20)};
    pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
    sender.pump(connection, *connection.open_stream());
    pair.run_for(300ms);
    return connection.stats().congestion_window_bytes;
  };
  EXPECT_LT(window_after(true), window_after(false) / 2);
}

class ConnectionMigration : public testing::TestWithParam<Migration> {};
INSTANTIATE_TEST_SUITE_P(Both, ConnectionMigration,
                         testing::Values(Migration::validate_first, Migration::at_once));

TEST_P(ConnectionMigration, loses_no_byte) {
  LoopbackPair pair;
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(1s);
  Sender sender{.data = pattern(6 << 20)};
  Bytes received;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  const PathId moved = LoopbackPair::client_path(50'001, 3);
  bool is_migrating = false;
  pair.client.on_readable = [&](Connection& c, Stream& s) {
    const Bytes taken = take(c, s);
    received.insert(received.end(), taken.begin(), taken.end());
    if (!is_migrating && received.size() > 1'000'000) {
      is_migrating = true;
      EXPECT_TRUE(c.migrate(pair.now, moved, GetParam()));
    }
  };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received.size() == sender.data.size(); }, 60s));
  EXPECT_EQ(received, sender.data);
  EXPECT_EQ(connection.path(), moved);
  ASSERT_FALSE(pair.client.path_changes.empty());
  EXPECT_EQ(pair.client.path_changes.back(), moved);
  EXPECT_EQ(pair.server.connections[0]->path().remote, moved.local);
}

TEST(Connection, migrating_to_the_address_in_use_is_refused) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  EXPECT_FALSE(connection.migrate(pair.now, LoopbackPair::client_path(50'001, 3),
                                  Migration::validate_first));
  ASSERT_TRUE(pair.establish());
  pair.run_for(1s);
  EXPECT_FALSE(
      connection.migrate(pair.now, LoopbackPair::client_path(), Migration::validate_first));
  EXPECT_FALSE(pair.server.connections[0]->migrate(pair.now, LoopbackPair::client_path(50'001, 3),
                                                   Migration::validate_first));
}

// While its congestion window is full of packets for the old address ngtcp2 1.11 answers no path
// challenge before its probe timeout; a frame that is no probe makes it begin anew at once.
TEST(Connection, a_client_that_only_receives_takes_what_it_is_sent_along) {
  LoopbackPair pair(with_cubic);
  IpAddress at = LoopbackPair::client_address().ip;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    return packet.to_server || packet.path.local.ip == at;
  };
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(1s);
  Stream* control = connection.open_stream();  // it has had its say
  control->output.append(pattern(10));
  connection.submit(*control);
  Connection& server = *pair.server.connections[0];
  Sender sender{.data = pattern(32 << 20)};
  pair.server.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  std::size_t received = 0;
  pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  Stream* stream = server.open_stream();
  ASSERT_NE(stream, nullptr);
  sender.pump(server, *stream);
  ASSERT_TRUE(pair.run_until([&] { return received > 1'000'000; }));

  at = IpAddress::v4(0);
  pair.run_for(700ms);
  ASSERT_GE(server.liveness().bytes_in_flight, server.liveness().congestion_window_bytes);
  const std::size_t before = received;
  const PathId moved = LoopbackPair::client_path(50'001, 3);
  at = moved.local.ip;
  ASSERT_TRUE(connection.migrate(pair.now, moved, Migration::at_once));
  const Instant begin = pair.now;
  ASSERT_TRUE(pair.run_until([&] { return received > before; }, 5s));
  EXPECT_LT(pair.now - begin, 100ms);
  EXPECT_TRUE(pair.run_until([&] { return received == sender.data.size(); }));
  EXPECT_EQ(server.path().remote, moved.local);
}

TEST(Connection, survives_nat_rebinding_in_the_middle_of_a_transfer) {
  LoopbackPair pair;
  make_echo(pair.server);
  // A NAT in front of the client: its port at the server changes with time.
  std::uint16_t outside = 60'000;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    if (packet.to_server) {
      packet.path.remote.port = outside;
      return true;
    }
    const bool is_current = packet.path.local.port == outside;
    packet.path.local.port = 50'000;
    return is_current;  // the old mapping is gone
  };
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Sender sender{.data = pattern(6 << 20)};
  Bytes received;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  pair.client.on_readable = [&](Connection& c, Stream& s) {
    const Bytes taken = take(c, s);
    received.insert(received.end(), taken.begin(), taken.end());
    outside = static_cast<std::uint16_t>(60'000 + received.size() / 1'000'000);
  };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received.size() == sender.data.size(); }, 120s));
  EXPECT_EQ(received, sender.data);
  EXPECT_FALSE(pair.server.path_changes.empty());
}

// The server still validates the dead mapping when the client comes from a third address.
TEST(Connection, survives_a_migration_right_after_nat_rebinding) {
  LoopbackPair pair(with_cubic);
  make_echo(pair.server);
  const SocketAddress inside = LoopbackPair::client_address();
  std::uint16_t outside = 60'000;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    SocketAddress& client = packet.to_server ? packet.path.remote : packet.path.local;
    if (client.ip != inside.ip) return true;
    if (packet.to_server) {
      client.port = outside;
      return true;
    }
    const bool is_current = client.port == outside;
    client.port = inside.port;
    return is_current;
  };
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Sender sender{.data = pattern(6 << 20)};
  Bytes received;
  bool has_migrated = false;
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  pair.client.on_readable = [&](Connection& c, Stream& s) {
    const Bytes taken = take(c, s);
    received.insert(received.end(), taken.begin(), taken.end());
    if (received.size() > 1'000'000) outside = 60'001;
    if (received.size() > 1'500'000 && !has_migrated) {
      has_migrated = true;
      EXPECT_TRUE(
          c.migrate(pair.now, LoopbackPair::client_path(50'001, 3), Migration::validate_first));
    }
  };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received.size() == sender.data.size(); }, 120s));
  EXPECT_EQ(received, sender.data);
  // Whether the other port was proven in between is a matter of milliseconds.
  ASSERT_FALSE(pair.server.path_changes.empty());
  EXPECT_EQ(pair.server.path_changes.back().remote, LoopbackPair::client_address(50'001, 3));
}

TEST(Connection, rebinding_of_a_receiving_client_heals_with_its_keep_alive) {
  LoopbackPair pair;
  std::uint16_t outside = 60'000;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    if (packet.to_server) {
      packet.path.remote.port = outside;
      return true;
    }
    const bool is_current = packet.path.local.port == outside;
    packet.path.local.port = 50'000;
    return is_current;
  };
  pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.run_for(2s);
  Connection& server = *pair.server.connections[0];
  Sender sender{.data = pattern(1 << 20)};
  pair.server.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  std::size_t received = 0;
  pair.client.on_readable = [&](Connection& c, Stream& s) {
    received += take(c, s).size();
    if (received > 100'000) outside = 60'001;
  };
  ASSERT_TRUE(pair.run_until([&] { return server.open_stream() != nullptr; }));
  Stream* stream = server.open_stream();
  sender.pump(server, *stream);
  EXPECT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 25s));
}

// Whoever sends a copy of a client's packet from an address of somebody else has the server send
// there three times as many bytes at most (RFC 9000 9.3), copies of small packets included.
TEST(Connection, sends_three_times_what_came_from_an_address_that_shows_nothing) {
  for (int requests = 1; requests <= 8; ++requests) {
    LoopbackPair pair;
    make_echo(pair.server);
    std::uint16_t outside = 60'000;
    std::size_t came = 0;
    std::size_t went = 0;
    pair.filter = [&](LoopbackPair::Packet& packet) {
      SocketAddress& client = packet.to_server ? packet.path.remote : packet.path.local;
      const bool is_elsewhere = outside != 60'000;
      if (packet.to_server) {
        client.port = outside;
        if (is_elsewhere) came += packet.bytes.size();
        return true;
      }
      if (client.port == 60'001) went += packet.bytes.size();
      client.port = 50'000;
      return !is_elsewhere;
    };
    Connection& connection = pair.connect();
    ASSERT_TRUE(pair.establish());
    Stream* stream = connection.open_stream();
    std::size_t received = 0;
    pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
    const auto send = [&] {
      Sender sender{.data = pattern(64), .with_fin = false};
      sender.pump(connection, *stream);
    };
    send();
    ASSERT_TRUE(pair.run_until([&] { return received == 64; }));
    pair.run_for(1s);
    outside = 60'001;
    for (int i = 0; i < requests; ++i) {
      send();
      pair.run_for(2ms);
    }
    for (int i = 0; i < 500; ++i) {
      pair.run_for(10ms);
      ASSERT_LE(went, 3 * came) << requests << " requests, " << 10 * i << " ms later";
    }
    EXPECT_GT(went, came);
  }
}

// With its congestion state ngtcp2 1.11 drops its loss timer when the peer goes back to a known
// address. What was under way must come all the same, though nothing is sent that would set a
// new timer.
TEST(Connection, what_was_lost_while_the_client_moved_is_sent_again) {
  LoopbackPair pair([](EndpointConfig& config) { config.transport.fixed_udp_payload_size = 1200; });
  std::uint8_t outside = 10;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    SocketAddress& client = packet.to_server ? packet.path.remote : packet.path.local;
    if (packet.to_server) {
      client = LoopbackPair::client_address(60'000, outside);
      return true;
    }
    const bool is_current = client == LoopbackPair::client_address(60'000, outside);
    client = LoopbackPair::client_address();
    return is_current;
  };
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::size_t received = 0;
  pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  Stream* stream = connection.open_stream();
  stream->output.append(pattern(1000));
  connection.submit(*stream);
  pair.run_for(3s);

  Stream* lost = nullptr;
  pair.server.on_readable = [&](Connection& c, Stream& s) {
    take(c, s);
    if (lost != nullptr) return;
    outside = 10;  // back already, which the server does not know
    lost = &s;
    s.output.append(pattern(500));
    c.submit(s);
  };
  for (const std::uint8_t address : {11, 10}) {
    outside = address;
    stream->output.append(pattern(1000));
    connection.submit(*stream);
    pair.run_for(10ms);
  }
  ASSERT_NE(lost, nullptr);
  EXPECT_TRUE(pair.run_until([&] { return received == 500; }, 2s)) << received;
}

// Debian's ngtcp2 1.11 asserts that discovery is on when a peer migrates back.
TEST(Connection, fixed_packet_size_survives_a_peer_that_moves_back_and_forth) {
  LoopbackPair pair(
      [](EndpointConfig& config) { config.transport.fixed_udp_payload_size = 1'400; });
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::size_t count = 0;
  pair.filter = [&](LoopbackPair::Packet& packet) {
    if (packet.to_server) packet.path.remote.port = ++count % 7 < 3 ? 50'000 : 50'009;
    if (!packet.to_server) packet.path.local.port = 50'000;
    return true;
  };
  Sender sender{.data = pattern(1 << 20)};
  std::size_t received = 0;
  pair.client.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  pair.client.on_writable = [&](Connection& c, Stream& s) { sender.pump(c, s); };
  sender.pump(connection, *connection.open_stream());
  EXPECT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 120s));
}

TEST(Connection, a_client_bound_to_any_address_hears_its_answers) {
  LoopbackPair pair;
  PathId path = LoopbackPair::client_path();
  path.local.ip = IpAddress::any(Family::v4);
  pair.filter = [&](LoopbackPair::Packet& packet) {
    // The kernel fills in and reports the real address.
    if (packet.to_server) packet.path.remote.ip = LoopbackPair::client_address().ip;
    return true;
  };
  auto connection = pair.client.endpoint->connect(
      pair.now, path, {.peer = LoopbackPair::server_key().public_key(), .alpn = "culvert/1"});
  ASSERT_TRUE(connection);
  pair.client.connections.push_back(*connection);
  EXPECT_TRUE(pair.establish());
}

TEST(Connection, holds_as_many_streams_as_allowed_and_gives_places_back) {
  LoopbackPair pair([](EndpointConfig& config) { config.transport.initial_streams_bidi = 1; });
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Stream* first = connection.open_stream();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(connection.open_stream(), nullptr);
  int available = 0;
  pair.client.on_event = [&](Connection&, Event& event) {
    if (std::holds_alternative<StreamsAvailable>(event)) ++available;
  };
  pair.client.on_readable = [&](Connection& c, Stream& s) { take(c, s); };
  connection.finish(*first);
  ASSERT_TRUE(pair.run_until([&] { return available == 1; }));
  Stream* second = connection.open_stream();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(connection.open_stream(), nullptr);
  pair.server.connections[0]->allow_streams(3);
  ASSERT_TRUE(pair.run_until([&] { return available == 2; }));
  EXPECT_NE(connection.open_stream(), nullptr);
  EXPECT_NE(connection.open_stream(), nullptr);
  EXPECT_EQ(connection.open_stream(), nullptr);
}

TEST(Connection, ten_thousand_open_streams_cost_nothing_while_idle) {
  constexpr std::size_t kStreams = 10'000;
  LoopbackPair pair([](EndpointConfig& config) { config.transport.initial_streams_bidi = 1; });
  make_echo(pair.server);
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  pair.server.connections[0]->allow_streams(kStreams);
  std::size_t echoed = 0;
  pair.client.on_readable = [&](Connection& c, Stream& s) { echoed += take(c, s).size(); };
  std::size_t opened = 0;
  const auto open_more = [&] {
    while (Stream* stream = connection.open_stream()) {
      ++opened;
      stream->output.append(as_bytes("hi"));
      connection.submit(*stream);
    }
  };
  open_more();
  pair.client.on_event = [&](Connection&, Event& event) {
    if (std::holds_alternative<StreamsAvailable>(event)) open_more();
  };
  ASSERT_TRUE(pair.run_until([&] { return echoed == 2 * kStreams; }, 60s));
  EXPECT_EQ(opened, kStreams);
  pair.run_for(1s);  // the last acknowledgements
  EXPECT_EQ(pair.chunks.chunks_in_use(), 0U);
  EXPECT_LT(sizeof(Stream), 450U);
  // All of them still work.
  const std::uint64_t before = connection.stats().packets_sent;
  pair.run_for(60s);
  EXPECT_LT(connection.stats().packets_sent - before, 100U);
}

TEST(Connection, streams_share_the_connection_fairly) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::map<StreamId, std::size_t> received;
  pair.server.on_readable = [&](Connection& c, Stream& s) { received[s.id] += take(c, s).size(); };
  for (int i = 0; i < 4; ++i) {
    Stream* stream = connection.open_stream();
    stream->output.append(pattern(1 << 20));
    connection.submit(*stream);
  }
  pair.run_until([&] { return received[0] > 150'000; });
  for (const auto& [id, bytes] : received) EXPECT_GT(bytes, 75'000U) << id;
  EXPECT_EQ(received.size(), 4U);
}

TEST(Connection, send_buffers_grow_with_the_congestion_window) {
  LoopbackPair pair;
  pair.delay = 50ms;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  std::size_t received = 0;
  pair.server.on_readable = [&](Connection& c, Stream& s) { received += take(c, s).size(); };
  Sender sender{.data = pattern(64 << 20)};
  std::size_t largest_limit = 0;
  pair.client.on_writable = [&](Connection& c, Stream& s) {
    largest_limit = std::max(largest_limit, s.output.limit());
    sender.pump(c, s);
  };
  sender.pump(connection, *connection.open_stream());
  ASSERT_TRUE(pair.run_until([&] { return received == sender.data.size(); }, 60s));
  EXPECT_GT(largest_limit, 4U << 20);
  EXPECT_LE(largest_limit, limits::kSendBufferMax);
}

TEST(Connection, key_log_has_the_secrets_of_the_handshake_and_of_traffic) {
  std::string log;
  LoopbackPair pair([&](EndpointConfig& config) {
    if (!config.accepts_connections) {
      config.key_log = [&](std::string_view line) { log += line; };
    }
  });
  pair.connect();
  ASSERT_TRUE(pair.establish());
  for (const char* label : {"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
                            "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "}) {
    EXPECT_NE(log.find(label), std::string::npos) << label;
  }
  EXPECT_EQ(log.back(), '\n');
}

TEST(Connection, qlog_names_the_connection_and_begins_with_its_header) {
  std::map<std::string, std::string> logs;
  {
    LoopbackPair pair([&](EndpointConfig& config) {
      config.qlog = [&](std::string_view id, std::string_view chunk) {
        logs[std::string(id)] += chunk;
      };
    });
    pair.connect();
    ASSERT_TRUE(pair.establish());
  }
  ASSERT_EQ(logs.size(), 1U);  // both ends use the original destination id
  EXPECT_NE(logs.begin()->second.find("qlog_version"), std::string::npos);
}

// Both ends open, write, read, finish, reset and stop streams at random over a lossy path.
// Whatever the order of events, every stream ends at both and all memory comes back.
class RandomLife {
 public:
  explicit RandomLife(std::uint64_t seed) : chance_(seed), pair_([](EndpointConfig&) {}, seed) {
    for (Actor& actor : actors_) {
      LoopbackPair::Side& side = actor.is_client ? pair_.client : pair_.server;
      side.on_event = [&](Connection&, Event& event) { note(actor, event); };
      side.on_readable = [&](Connection& connection, Stream& stream) {
        EXPECT_TRUE(actor.live.contains(&stream));
        if (chance_.below(2) == 0) take(connection, stream);
      };
      side.on_writable = [&](Connection&, Stream& stream) {
        EXPECT_TRUE(actor.live.contains(&stream));
      };
    }
    pair_.filter = [&](LoopbackPair::Packet& packet) {
      if (chance_.below(30) == 0) pair_.wire.emplace(pair_.now + 9ms, packet);
      return chance_.below(20) != 0;
    };
  }

  void run() {
    actors_[0].connection = &pair_.connect();
    ASSERT_TRUE(pair_.establish());
    actors_[1].connection = pair_.server.connections[0];
    for (int step = 0; step < 300; ++step) {
      for (Actor& actor : actors_) act(actor);
      pair_.run_for(std::chrono::milliseconds(chance_.below(4)));
    }
    for (int round = 0; round < 100 && !(actors_[0].live.empty() && actors_[1].live.empty());
         ++round) {
      for (Actor& actor : actors_) {
        for (Stream* stream : std::vector(actor.live.begin(), actor.live.end())) {
          actor.connection->finish(*stream);
          actor.connection->stop_sending(*stream, 3);
        }
      }
      pair_.run_for(500ms);
    }
    EXPECT_TRUE(actors_[0].live.empty());
    EXPECT_TRUE(actors_[1].live.empty());
    EXPECT_TRUE(pair_.client.closed.empty());
    EXPECT_TRUE(pair_.server.closed.empty());
    EXPECT_EQ(pair_.chunks.chunks_in_use(), 0U);
  }

 private:
  struct ById {  // not by address: that would differ from run to run
    bool operator()(const Stream* a, const Stream* b) const { return a->id < b->id; }
  };
  struct Actor {
    bool is_client;
    Connection* connection = nullptr;
    std::set<Stream*, ById> live;
  };

  static void note(Actor& actor, const Event& event) {
    if (const auto* opened = std::get_if<StreamOpened>(&event)) {
      EXPECT_TRUE(actor.live.insert(opened->stream).second);
    } else if (const auto* closed = std::get_if<StreamClosed>(&event)) {
      EXPECT_EQ(actor.live.erase(closed->stream), 1U) << "closed twice";
    } else if (const auto* reset = std::get_if<StreamReset>(&event)) {
      EXPECT_TRUE(actor.live.contains(reset->stream));
    } else if (const auto* stop = std::get_if<StopSending>(&event)) {
      EXPECT_TRUE(actor.live.contains(stop->stream));
    }
  }

  void act(Actor& actor) {
    Connection& connection = *actor.connection;
    if (actor.live.size() < 20 && chance_.below(3) == 0) {
      if (Stream* stream = connection.open_stream()) actor.live.insert(stream);
    }
    if (actor.live.empty()) return;
    auto picked = actor.live.begin();
    std::advance(picked, chance_.below(actor.live.size()));
    Stream& stream = **picked;
    switch (chance_.below(12)) {
      case 0:
        connection.finish(stream);
        break;
      case 1:
        connection.reset(stream, 1);
        break;
      case 2:
        connection.stop_sending(stream, 2);
        break;
      case 3:
      case 4:
        take(connection, stream);
        break;
      default:
        if (stream.is_fin_queued) break;
        stream.output.append(Bytes(std::min(stream.output.space(), chance_.below(60'000))));
        stream.wants_space = chance_.below(2) == 0;
        connection.submit(stream);
    }
  }

  SeededRng chance_;
  LoopbackPair pair_;
  std::array<Actor, 2> actors_{{{.is_client = true, .connection = nullptr, .live = {}},
                                {.is_client = false, .connection = nullptr, .live = {}}}};
};

TEST(Connection, streams_end_and_free_their_memory_whatever_happens_to_them) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    RandomLife(seed).run();
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(Connection, same_seed_same_packets) {
  const auto trace = [](std::uint64_t seed) {
    LoopbackPair pair([](EndpointConfig&) {}, seed);
    make_echo(pair.server);
    std::string trace;
    SeededRng chance(seed);
    pair.filter = [&](LoopbackPair::Packet& packet) {
      trace += fmt::format("{}:{}:{} ", pair.now.time_since_epoch().count(), packet.to_server,
                           packet.bytes.size());
      return chance.below(20) != 0;
    };
    Connection& connection = pair.connect();
    pair.establish();
    if (Stream* stream = connection.open_stream()) {
      stream->output.append(pattern(100'000));
      connection.submit(*stream);
    }
    pair.run_for(5s);
    return trace;
  };
  EXPECT_EQ(trace(3), trace(3));
  EXPECT_NE(trace(3), trace(4));
}

}  // namespace
}  // namespace culvert::quic
