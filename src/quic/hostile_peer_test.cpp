// A peer that holds its keys and writes what ngtcp2 never would: frames of our choice in 1-RTT
// packets that are forged with the secrets of its key log.
#include "base/assert.h"
#include "base/encoding.h"
#include "quic/connection_id.h"
#include "quic/connection_impl.h"
#include "quic/endpoint_impl.h"
#include "quic/loopback_pair.h"
#include "quic/packet_protection.h"

#include <gnutls/crypto.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kAesKeyBytes = 16;  // our server prefers AES-128-GCM
constexpr std::size_t kAesBlockBytes = 16;

constexpr std::string_view kOfClient = "CLIENT_TRAFFIC_SECRET_0 ";
constexpr std::string_view kOfServer = "SERVER_TRAFFIC_SECRET_0 ";

// Writes 1-RTT packets in the name of the end whose secret the label names.
class Forger {
 public:
  explicit Forger(std::string_view label) : label_(label) {}

  void hear(std::string_view key_log_line) {
    if (!key_log_line.starts_with(label_)) return;
    std::string_view secret = key_log_line.substr(key_log_line.rfind(' ') + 1);
    while (secret.ends_with('\n')) secret.remove_suffix(1);
    const auto bytes = hex_decode(secret);
    CULVERT_ASSERT(bytes.has_value() && bytes->size() == 32);
    CULVERT_ASSERT(derive_packet_keys(GNUTLS_MAC_SHA256, *bytes, kAesKeyBytes, keys_));
    has_keys_ = true;
  }
  [[nodiscard]] bool has_keys() const { return has_keys_; }

  // RFC 9001 5: `frames` in a packet with a short header.
  [[nodiscard]] Bytes packet(ByteView destination, std::uint32_t number, ByteView frames) const {
    Bytes packet;
    ByteWriter writer(packet);
    writer.u8(0x43);  // fixed bit, packet number of four bytes
    writer.raw(destination);
    writer.u32(number);
    const std::size_t header = packet.size();
    std::array<std::uint8_t, PacketKeys::kIvSize> nonce = keys_.iv;
    for (std::size_t i = 0; i < 4; ++i)
      nonce[8 + i] ^= static_cast<std::uint8_t>(number >> (24 - 8 * i));
    packet.resize(header + frames.size() + kAesBlockBytes);
    std::size_t size = packet.size() - header;
    const gnutls_datum_t key = datum(keys_.key());
    gnutls_aead_cipher_hd_t aead = nullptr;
    CULVERT_ASSERT(gnutls_aead_cipher_init(&aead, GNUTLS_CIPHER_AES_128_GCM, &key) == 0);
    CULVERT_ASSERT(gnutls_aead_cipher_encrypt(aead, nonce.data(), nonce.size(), packet.data(),
                                              header, kAesBlockBytes, frames.data(), frames.size(),
                                              packet.data() + header, &size) == 0);
    gnutls_aead_cipher_deinit(aead);
    const auto mask = header_mask(ByteView(packet).subspan(header - 4 + 4, kAesBlockBytes));
    packet[0] ^= mask[0] & 0x1FU;
    for (std::size_t i = 0; i < 4; ++i) packet[header - 4 + i] ^= mask[1 + i];
    return packet;
  }

 private:
  static gnutls_datum_t datum(ByteView bytes) {
    // GnuTLS only reads it; its type just lacks the const.
    return {.data = const_cast<unsigned char*>(bytes.data()),
            .size = static_cast<unsigned>(bytes.size())};
  }
  // One block of AES, as CBC from a block of zeros.
  [[nodiscard]] std::array<std::uint8_t, kAesBlockBytes> header_mask(ByteView sample) const {
    std::array<std::uint8_t, kAesBlockBytes> zeros{};
    std::array<std::uint8_t, kAesBlockBytes> mask{};
    const gnutls_datum_t key = datum(keys_.header_key());
    const gnutls_datum_t iv = datum(zeros);
    gnutls_cipher_hd_t cipher = nullptr;
    CULVERT_ASSERT(gnutls_cipher_init(&cipher, GNUTLS_CIPHER_AES_128_CBC, &key, &iv) == 0);
    CULVERT_ASSERT(gnutls_cipher_encrypt2(cipher, sample.data(), sample.size(), mask.data(),
                                          mask.size()) == 0);
    gnutls_cipher_deinit(cipher);
    return mask;
  }

  std::string_view label_;
  PacketKeys keys_;
  bool has_keys_ = false;
};

// RFC 9000 19.15, with a made-up id of eight bytes.
Bytes new_connection_id_frame(std::uint8_t sequence, std::uint8_t retire_prior_to) {
  Bytes frame;
  ByteWriter writer(frame);
  writer.u8(0x18);
  writer.u8(sequence);
  writer.u8(retire_prior_to);
  writer.u8(8);
  writer.raw(Bytes(8, static_cast<std::uint8_t>(0xA0 + sequence)));
  writer.raw(Bytes(16, static_cast<std::uint8_t>(0xB0 + sequence)));  // reset token
  return frame;
}

Bytes long_destination(ByteView packet) {
  const ByteView id = packet.subspan(6, packet[5]);
  return {id.begin(), id.end()};
}

// Where the packets with long headers end (RFC 9000 17.2).
std::size_t long_packets_size(ByteView datagram) {
  ByteReader reader(datagram);
  while (!reader.is_empty() && (reader.rest()[0] & 0x80U) != 0) {
    const bool is_initial = (*reader.u8() & 0x30U) == 0;
    CULVERT_ASSERT(reader.u32().has_value());  // version
    for (int id = 0; id < 2; ++id) CULVERT_ASSERT(reader.take(*reader.u8()).has_value());
    if (is_initial) CULVERT_ASSERT(reader.take(*reader.varint()).has_value());
    CULVERT_ASSERT(reader.take(*reader.varint()).has_value());
  }
  return datagram.size() - reader.rest().size();
}

// A server that speaks for itself before its client has answered: each of its datagrams of the
// handshake carries `frames` in place of its own 1-RTT packets, and it may have other transport
// parameters than ours.
class HostileServer {
 public:
  Bytes frames;
  std::function<void(ngtcp2_transport_params&)> bend = [](ngtcp2_transport_params&) {};
  std::function<void(const LoopbackPair::Packet&)> on_packet = [](const LoopbackPair::Packet&) {};
  int forged = 0;

 private:
  Bytes first_id_;  // the client's first destination
  Forger forger_{kOfServer};

  void hear(std::string_view line) {
    forger_.hear(line);
    // The first secrets are derived before the parameters are written.
    if (!line.starts_with("SERVER_HANDSHAKE_TRAFFIC_SECRET ")) return;
    ConnectionImpl* own = dynamic_cast<EndpointImpl&>(*pair.server.endpoint).find(first_id_);
    CULVERT_ASSERT(own != nullptr);
    // The object is the connection's own and not const.
    bend(const_cast<ngtcp2_transport_params&>(*ngtcp2_conn_get_local_transport_params(own->raw())));
  }

  bool handle(LoopbackPair::Packet& packet) {
    on_packet(packet);
    const bool is_long = (packet.bytes[0] & 0x80U) != 0;
    if (packet.to_server && is_long && first_id_.empty())
      first_id_ = long_destination(packet.bytes);
    if (packet.to_server || !is_long || frames.empty() || !forger_.has_keys()) return true;
    packet.bytes.resize(long_packets_size(packet.bytes));
    const Bytes own = forger_.packet(long_destination(packet.bytes), 1000, frames);
    packet.bytes.insert(packet.bytes.end(), own.begin(), own.end());
    ++forged;
    return true;
  }

 public:
  explicit HostileServer(const LoopbackPair::Tweak& tweak = [](EndpointConfig&) {})
      : pair([&, this](EndpointConfig& config) {
          tweak(config);
          if (!config.accepts_connections) return;
          config.key_log = [this](std::string_view line) { hear(line); };
        }) {
    pair.filter = [this](LoopbackPair::Packet& packet) { return handle(packet); };
  }
  LoopbackPair pair;
};

// Frames that can be read and mostly may be said (RFC 9000 19, RFC 9221), of an end that does not
// care what they do.
class RandomFrames {
 public:
  RandomFrames(Rng& rng, bool is_server) : rng_(rng), is_server_(is_server) {}

  Bytes some() {
    Bytes frames;
    ByteWriter writer(frames);
    for (std::uint64_t count = 1 + rng_.below(4); count > 0; --count) add(writer);
    frames.resize(std::max<std::size_t>(frames.size(), 4));  // enough for a sample
    return frames;
  }

 private:
  std::uint64_t number() {
    const std::uint64_t kind = rng_.below(200);
    if (kind == 0) return rng_.below(std::uint64_t{1} << 62);
    return kind < 10 ? rng_.below(5'000) : rng_.below(10);
  }
  std::uint64_t stream_id() {
    const std::uint64_t id = 4 * rng_.below(4);
    return rng_.below(30) == 0 ? id + rng_.below(4) : id;
  }
  void random_bytes(ByteWriter& writer, std::size_t count) {
    Bytes bytes(count);
    rng_.fill(bytes);
    writer.raw(bytes);
  }
  void data(ByteWriter& writer) {
    const std::size_t size = rng_.below(50);
    writer.varint(size);
    random_bytes(writer, size);
  }
  void numbers(ByteWriter& writer, int count) {
    for (; count > 0; --count) writer.varint(number());
  }

  void add(ByteWriter& writer) {
    const auto type = static_cast<std::uint8_t>(rng_.below(0x20));
    const bool is_rare = rng_.below(60) == 0;  // what ends most connections
    if (type >= 0x08 && type <= 0x0F) {        // STREAM, with a length
      const unsigned fin = rng_.below(8) == 0 ? 1 : 0;
      writer.u8(static_cast<std::uint8_t>((type & 0x0CU) | 0x02U | fin));
      writer.varint(stream_id());
      if ((type & 0x04U) != 0) numbers(writer, 1);
      return data(writer);
    }
    switch (type) {
      case 0x02:
      case 0x03: {  // ACK
        writer.u8(type);
        const std::uint64_t largest = rng_.below(is_rare ? 100 : 4);
        writer.varint(largest);
        numbers(writer, 1);
        writer.varint(0);
        writer.varint(rng_.below(largest + 1));
        if (type == 0x03) numbers(writer, 3);
        return;
      }
      case 0x04:  // RESET_STREAM
        writer.u8(type);
        writer.varint(stream_id());
        numbers(writer, 1);
        return writer.varint(5'000);
      case 0x05:  // STOP_SENDING
      case 0x11:  // MAX_STREAM_DATA
      case 0x15:  // STREAM_DATA_BLOCKED
        writer.u8(type);
        writer.varint(stream_id());
        return numbers(writer, 1);
      case 0x06:  // CRYPTO
        if (!is_rare) break;
        writer.u8(type);
        numbers(writer, 1);
        return data(writer);
      case 0x07:  // NEW_TOKEN
        if (!is_rare && !is_server_) break;
        writer.u8(type);
        return data(writer);
      case 0x1E:  // HANDSHAKE_DONE
        if (!is_rare && !is_server_) break;
        writer.u8(type);
        return;
      case 0x10:  // MAX_DATA
      case 0x12:  // MAX_STREAMS
      case 0x14:  // DATA_BLOCKED
      case 0x16:  // STREAMS_BLOCKED
        writer.u8(type);
        return numbers(writer, 1);
      case 0x18: {  // NEW_CONNECTION_ID
        writer.u8(type);
        const std::uint64_t sequence = rng_.below(16);
        writer.varint(sequence);
        writer.varint(rng_.below(sequence + 1));
        writer.u8(8);
        return writer.raw(Bytes(8 + 16, static_cast<std::uint8_t>(sequence)));
      }
      case 0x19:  // RETIRE_CONNECTION_ID
        writer.u8(type);
        writer.varint(1 + rng_.below(is_rare ? 20 : 5));
        return;
      case 0x1A:  // PATH_CHALLENGE
      case 0x1B:  // PATH_RESPONSE
        writer.u8(type);
        return random_bytes(writer, 8);
      default:
        break;
    }
    writer.u8(is_rare ? 0x31 : 0x01);  // DATAGRAM, PING
    if (is_rare) data(writer);
  }

  Rng& rng_;
  bool is_server_;
};

// What an application does that does not look where it goes.
void use_streams(Connection& connection, Rng& rng, std::vector<Stream*>& streams) {
  if (rng.below(3) == 0) {
    if (Stream* opened = connection.open_stream()) streams.push_back(opened);
  }
  if (streams.empty()) return;
  Stream& stream = *streams[rng.below(streams.size())];
  switch (rng.below(6)) {
    case 0:
      connection.reset(stream, 7);
      return;
    case 1:
      connection.stop_sending(stream, 7);
      return;
    case 2:
      connection.finish(stream);
      return;
    case 3:
      connection.consume(stream, stream.input.size());
      return;
    default:
      if (stream.is_fin_queued || stream.is_output_over || stream.output.space() < 3000) return;
      stream.output.append(Bytes(rng.below(3000), 1));
      connection.submit(stream);
  }
}

// Every number as large as it may be, and an address of each kind.
void make_parameters_long(ngtcp2_transport_params& params) {
  constexpr std::uint64_t kLargest = (std::uint64_t{1} << 62) - 1;
  params.initial_max_data = kLargest;
  params.initial_max_stream_data_bidi_local = kLargest;
  params.initial_max_stream_data_bidi_remote = kLargest;
  params.initial_max_stream_data_uni = kLargest;
  params.initial_max_streams_bidi = std::uint64_t{1} << 60;
  params.initial_max_streams_uni = std::uint64_t{1} << 60;
  params.max_udp_payload_size = kLargest;
  params.active_connection_id_limit = kLargest;
  params.max_datagram_frame_size = kLargest;
  params.ack_delay_exponent = 20;
  params.preferred_addr_present = 1;
  params.preferred_addr.ipv4_present = params.preferred_addr.ipv6_present = 1;
  params.preferred_addr.ipv4.sin_port = params.preferred_addr.ipv6.sin6_port = 0xFFFF;
  params.preferred_addr.cid.datalen = NGTCP2_MAX_CIDLEN;
}

// ngtcp2 1.11 asserts that the first id is in use when the client ends its handshake.
TEST(HostilePeer, a_server_withdraws_its_first_id_before_the_client_has_answered) {
  HostileServer server;
  server.frames = new_connection_id_frame(1, 1);
  int to_new_id = 0;
  server.on_packet = [&](const LoopbackPair::Packet& packet) {
    const std::size_t id_at = (packet.bytes[0] & 0x80U) != 0 ? 6 : 1;
    if (packet.to_server && packet.bytes[id_at] == 0xA1) ++to_new_id;
  };
  const Connection& connection = server.pair.connect();
  server.pair.run_for(200ms);
  EXPECT_GT(server.forged, 0);
  EXPECT_EQ(server.pair.client.completed.size(), 1U);
  EXPECT_FALSE(connection.is_drained());
  EXPECT_GT(to_new_id, 0);  // it was heard
}

// ngtcp2 asserts that it has room for the preferred address's id when the client ends its
// handshake.
TEST(HostilePeer, a_server_fills_all_ids_before_it_names_another_address) {
  HostileServer server;
  server.bend = [](ngtcp2_transport_params& params) {
    params.preferred_addr_present = 1;
    params.preferred_addr.ipv4_present = 1;
    params.preferred_addr.cid.datalen = 8;
  };
  for (std::uint8_t sequence = 1; sequence <= 8; ++sequence) {
    const Bytes frame = new_connection_id_frame(sequence, 0);
    server.frames.insert(server.frames.end(), frame.begin(), frame.end());
  }
  server.pair.connect();
  server.pair.run_for(200ms);
  EXPECT_GT(server.forged, 0);
  EXPECT_EQ(server.pair.client.completed.size(), 1U);
}

// CVE-2026-40170: ngtcp2 1.11 writes them into a buffer of 1 KiB on its stack.
TEST(HostilePeer, a_servers_parameters_are_too_long_for_qlog) {
  std::string log;
  for (const bool with_preferred_address : {true, false}) {
    SCOPED_TRACE(with_preferred_address);
    HostileServer server([&](EndpointConfig& config) {
      if (!config.accepts_connections) {
        config.qlog = [&](std::string_view, std::string_view text) { log += text; };
      }
    });
    server.bend = [&](ngtcp2_transport_params& params) {
      make_parameters_long(params);
      if (!with_preferred_address) params.preferred_addr_present = 0;
    };
    server.pair.connect();
    server.pair.run_for(200ms);
    EXPECT_EQ(server.pair.client.closed.size(), with_preferred_address ? 1U : 0U);
    EXPECT_EQ(server.pair.client.completed.size(), with_preferred_address ? 0U : 1U);
  }
  EXPECT_NE(log.find("4611686018427387903"), std::string::npos);
}

// ngtcp2 forgets the keys of the handshake, and then writes its end.
TEST(HostilePeer, a_server_confirms_the_handshake_before_the_client_has_answered) {
  HostileServer server;
  server.frames = {0x1E, 0, 0, 0};  // HANDSHAKE_DONE
  server.pair.connect();
  server.pair.run_for(200ms);
  EXPECT_GT(server.forged, 0);
  EXPECT_EQ(server.pair.client.completed.size(), 1U);
  EXPECT_EQ(server.pair.server.completed.size(), 1U);  // the client has answered
}

// Who does not write a log does not care.
TEST(HostilePeer, a_preferred_address_is_no_reason_to_refuse_a_server) {
  HostileServer server;
  server.bend = make_parameters_long;
  server.pair.connect();
  server.pair.run_for(200ms);
  EXPECT_EQ(server.pair.client.completed.size(), 1U);
}

// No end aborts, whatever the other writes once it has keys. (ngtcp2 has assertions, and Debian's
// library has them on.)
TEST(HostilePeer, says_anything_after_the_handshake) {
  int still_open = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    SeededRng rng(seed);
    const bool to_server = seed % 2 == 0;
    Forger forger(to_server ? kOfClient : kOfServer);
    LoopbackPair pair(
        [&](EndpointConfig& config) {
          config.key_log = [&](std::string_view line) { forger.hear(line); };
        },
        seed);
    Bytes destination;
    pair.filter = [&](const LoopbackPair::Packet& packet) {
      if (packet.to_server == to_server && (packet.bytes[0] & 0x80U) == 0) {
        destination.assign(packet.bytes.begin() + 1, packet.bytes.begin() + 1 + kConnectionIdBytes);
      }
      return true;
    };
    pair.connect();
    ASSERT_TRUE(pair.establish());
    pair.run_for(100ms);
    ASSERT_FALSE(destination.empty());
    pair.filter = [](LoopbackPair::Packet&) { return false; };

    LoopbackPair::Side& side = to_server ? pair.server : pair.client;
    std::vector<Stream*> streams;
    for (int i = 0; i < 4 && !to_server; ++i) {
      streams.push_back(side.connections.front()->open_stream());
    }
    side.on_event = [&](Connection&, Event& event) {
      if (const auto* opened = std::get_if<StreamOpened>(&event)) streams.push_back(opened->stream);
      if (const auto* over = std::get_if<StreamClosed>(&event)) std::erase(streams, over->stream);
    };
    RandomFrames frames(rng, !to_server);
    std::uint32_t number = 10'000;
    for (int round = 0; round < 30 && side.closed.empty(); ++round) {
      const PathId path = to_server
                              ? PathId{.local = LoopbackPair::server_address(),
                                       .remote = LoopbackPair::client_address(
                                           static_cast<std::uint16_t>(50'000 + rng.below(8) / 6))}
                              : LoopbackPair::client_path();
      pair.deliver({.path = path,
                    .bytes = forger.packet(destination, ++number, frames.some()),
                    .to_server = to_server});
      if (side.connections.empty()) break;
      use_streams(*side.connections.front(), rng, streams);
      if (rng.below(2) == 0) pair.run_for(std::chrono::milliseconds(rng.below(300)));
    }
    if (side.closed.empty()) ++still_open;
  }
  EXPECT_GT(still_open, 4);  // it is not refused at its first word
}

TEST(HostilePeer, a_server_says_anything_before_the_client_has_answered) {
  int completed = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    SeededRng rng(seed);
    HostileServer server;
    server.frames = RandomFrames(rng, true).some();
    if (rng.below(2) == 0) server.bend = make_parameters_long;
    server.pair.connect();
    server.pair.run_for(200ms);
    completed += static_cast<int>(server.pair.client.completed.size());
  }
  EXPECT_GT(completed, 100);
}

}  // namespace
}  // namespace culvert::quic
