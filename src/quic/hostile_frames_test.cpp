// A peer that writes its own packets: after a real handshake it takes the keys and sends frames
// that ngtcp2 would never send.
#include "base/encoding.h"
#include "base/limits.h"
#include "quic/connection_impl.h"
#include "quic/loopback_pair.h"
#include "quic/packet_protection.h"

#include <gnutls/crypto.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace culvert::quic {
namespace {

constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kBlockBytes = 16;

gnutls_datum_t datum(ByteView bytes) {
  return {.data = const_cast<std::uint8_t*>(bytes.data()),
          .size = static_cast<unsigned>(bytes.size())};
}

// 1-RTT packets of a client (RFC 9001 5), AES-GCM.
class PacketWriter {
 public:
  PacketWriter(ByteView secret, ByteView destination)
      : destination_(destination.begin(), destination.end()) {
    const bool is_aes256 = secret.size() == 48;
    EXPECT_TRUE(derive_packet_keys(is_aes256 ? GNUTLS_MAC_SHA384 : GNUTLS_MAC_SHA256, secret,
                                   is_aes256 ? 32 : 16, keys_));
    const gnutls_datum_t key = datum(keys_.key());
    EXPECT_EQ(gnutls_aead_cipher_init(
                  &aead_, is_aes256 ? GNUTLS_CIPHER_AES_256_GCM : GNUTLS_CIPHER_AES_128_GCM, &key),
              0);
    block_ = is_aes256 ? GNUTLS_CIPHER_AES_256_CBC : GNUTLS_CIPHER_AES_128_CBC;
  }
  ~PacketWriter() { gnutls_aead_cipher_deinit(aead_); }
  PacketWriter(const PacketWriter&) = delete;
  PacketWriter& operator=(const PacketWriter&) = delete;

  Bytes write(ByteView frames) {
    const std::uint32_t number = next_++;
    Bytes packet;
    ByteWriter writer(packet);
    writer.u8(0x43);  // short header, a packet number of four bytes
    writer.raw(destination_);
    writer.u32(number);
    const std::size_t head = packet.size();
    std::array<std::uint8_t, PacketKeys::kIvSize> nonce = keys_.iv;
    for (std::size_t i = 0; i < 4; ++i) {
      nonce[nonce.size() - 1 - i] ^= static_cast<std::uint8_t>(number >> (8 * i));
    }
    std::size_t size = frames.size() + kTagBytes;
    packet.resize(head + size);
    EXPECT_EQ(gnutls_aead_cipher_encrypt(aead_, nonce.data(), nonce.size(), packet.data(), head,
                                         kTagBytes, frames.data(), frames.size(),
                                         packet.data() + head, &size),
              0);
    const std::array<std::uint8_t, kBlockBytes> mask = mask_of(ByteView(packet).subspan(head));
    packet[0] ^= mask[0] & 0x1F;
    for (std::size_t i = 0; i < 4; ++i) packet[head - 4 + i] ^= mask[1 + i];
    return packet;
  }

 private:
  // The first block behind the packet number enciphered by itself, which is CBC without an IV.
  std::array<std::uint8_t, kBlockBytes> mask_of(ByteView sample) {
    std::array<std::uint8_t, kBlockBytes> mask{};
    const std::array<std::uint8_t, kBlockBytes> zero{};
    const gnutls_datum_t key = datum(keys_.header_key());
    const gnutls_datum_t iv = datum(zero);
    gnutls_cipher_hd_t cipher = nullptr;
    EXPECT_EQ(gnutls_cipher_init(&cipher, block_, &key, &iv), 0);
    EXPECT_EQ(gnutls_cipher_encrypt2(cipher, sample.data(), mask.size(), mask.data(), mask.size()),
              0);
    gnutls_cipher_deinit(cipher);
    return mask;
  }

  Bytes destination_;
  PacketKeys keys_;
  gnutls_aead_cipher_hd_t aead_ = nullptr;
  gnutls_cipher_algorithm_t block_ = GNUTLS_CIPHER_UNKNOWN;
  std::uint32_t next_ = 1'000'000;  // beyond what was used in the handshake
};

// The server with clients whose places the test has taken.
class HostileFramesTest : public ::testing::Test {
 protected:
  struct Hostile {
    std::uint16_t port;
    std::unique_ptr<PacketWriter> writer;
    ConnectionImpl* server;  // its end there
    std::uint64_t streams = 0;
    std::size_t sent = 0;
  };

  explicit HostileFramesTest(std::shared_ptr<buffers::ProcessBudget> process = nullptr)
      : pair_([this, process](EndpointConfig& config) {
          if (config.accepts_connections) {
            config.transport.initial_streams_bidi = limits::kDefaultMaxFlowsPerSession;
            config.transport.process_buffers = process;
          } else {
            config.key_log = [this](std::string_view line) { note_key(line); };
          }
        }) {}

  // From here on its own client is neither heard nor told anything.
  Hostile take_place(std::uint16_t port) {
    silent_ports_.push_back(port);
    const std::size_t before = pair_.server.completed.size();
    auto& client = dynamic_cast<ConnectionImpl&>(pair_.connect({}, "culvert/1", port));
    is_all_heard_ = true;
    EXPECT_TRUE(pair_.run_until([&] { return pair_.server.completed.size() > before; }));
    pair_.run_for(std::chrono::seconds(1));  // credit has come
    EXPECT_FALSE(secret_.empty());
    const ngtcp2_cid* destination = ngtcp2_conn_get_dcid(client.raw());
    Hostile hostile{.port = port,
                    .writer = std::make_unique<PacketWriter>(
                        secret_, ByteView(destination->data, destination->datalen)),
                    .server = dynamic_cast<ConnectionImpl*>(pair_.server.connections.back())};
    is_all_heard_ = false;
    pair_.filter = [this](const LoopbackPair::Packet& packet) {
      const std::uint16_t of = packet.to_server ? packet.path.remote.port : packet.path.local.port;
      return is_all_heard_ || std::ranges::find(silent_ports_, of) == silent_ports_.end();
    };
    return hostile;
  }

  void note_key(std::string_view line) {
    if (!line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) return;
    const std::size_t at = line.rfind(' ') + 1;
    std::string_view hex = line.substr(at);
    while (!hex.empty() && hex.back() == '\n') hex.remove_suffix(1);
    secret_ = hex_decode(hex).value_or(Bytes{});
  }

  void send(Hostile& hostile, ByteView frames) {
    pair_.now += std::chrono::microseconds(10);
    pair_.deliver({.path = {.local = LoopbackPair::server_address(),
                            .remote = LoopbackPair::client_address(hostile.port)},
                   .bytes = hostile.writer->write(frames),
                   .to_server = true});
    if (++hostile.sent % 16 == 0) pair_.run_for(std::chrono::microseconds(10));
  }

  // Of a part of a stream's first window. ngtcp2 gives up beyond 5,000 gaps in one stream.
  static constexpr std::uint64_t kPart = 9'000;
  // Of the next stream.
  void send_every_second_byte(Hostile& hostile) {
    Bytes frames;
    ByteWriter writer(frames);
    for (std::uint64_t offset = 1; offset < kPart; offset += 2) {
      writer.u8(0x0E);  // STREAM, with offset and length
      writer.varint(4 * hostile.streams);
      writer.varint(offset);
      writer.varint(1);
      writer.u8('x');
      if (frames.size() < 60'000) continue;
      send(hostile, frames);
      frames.clear();
    }
    send(hostile, frames);
    ++hostile.streams;
  }

  LoopbackPair pair_;
  Bytes secret_;

 private:
  bool is_all_heard_ = true;
  std::vector<std::uint16_t> silent_ports_;
};

TEST_F(HostileFramesTest, that_leave_gaps_are_held_within_bounds) {
  Hostile hostile = take_place(50'000);
  const std::size_t before = hostile.server->library_bytes();
  std::size_t most = 0;
  while (hostile.streams < 1'000 && !hostile.server->is_closed()) {
    send_every_second_byte(hostile);
    most = std::max(most, hostile.server->library_bytes());
  }
  RecordProperty("streams", static_cast<int>(hostile.streams));
  RecordProperty("bytes", static_cast<int>(most - before));
  // The notes of gaps are much larger than what was sent ...
  EXPECT_GT(most - before, 10 * (hostile.streams - 1) * kPart);
  // ... and end the connection where they are too many.
  ASSERT_TRUE(hostile.server->is_closed());
  EXPECT_LE(most, limits::kLibraryBytes + limits::kConnectionAheadMax + (4 << 20));
  pair_.run_for(std::chrono::seconds(10));
  ASSERT_EQ(pair_.server.closed.size(), 1U);
  EXPECT_EQ(pair_.server.closed[0].error.kind, ErrorKind::limit);
  EXPECT_EQ(pair_.server.endpoint->connection_count(), 0U);
}

// One byte at the end of the first window of each stream there may be: the pieces in which ngtcp2
// keeps what came out of order are larger than that.
TEST_F(HostileFramesTest, that_are_each_the_last_of_a_window_are_held_within_bounds) {
  Hostile hostile = take_place(50'000);
  std::size_t most = 0;
  Bytes frames;
  ByteWriter writer(frames);
  for (std::uint64_t stream = 0;
       stream < limits::kDefaultMaxFlowsPerSession && !hostile.server->is_closed(); ++stream) {
    writer.u8(0x0E);
    writer.varint(4 * stream);
    writer.varint(limits::kStreamWindowFirst - 1);
    writer.varint(1);
    writer.u8('x');
    if (frames.size() < 1'000) continue;
    send(hostile, frames);
    frames.clear();
    most = std::max(most, hostile.server->library_bytes());
  }
  RecordProperty("bytes", static_cast<int>(most));
  EXPECT_LE(most, limits::kLibraryBytes + limits::kConnectionAheadMax + (20 << 20));
}

// A peer that wants more than its share says that all has arrived as soon as it was sent, or before
// (RFC 9000 21.4).
TEST_F(HostileFramesTest, that_acknowledge_what_has_not_arrived_end_the_connection) {
  if (!BbrControl::kIsBuiltIn) GTEST_SKIP() << "this ngtcp2 is not the one it is made for";
  Stream* stream = nullptr;
  pair_.server.on_event = [&](Connection&, Event& event) {
    if (const auto* opened = std::get_if<StreamOpened>(&event)) stream = opened->stream;
  };
  Hostile hostile = take_place(50'000);
  ConnectionImpl* server = hostile.server;
  Bytes frames;
  ByteWriter writer(frames);
  writer.u8(0x0A);  // STREAM, with length
  writer.varint(0);
  writer.varint(1);
  writer.u8('x');
  writer.u8(0x10);  // MAX_DATA
  writer.varint(1ULL << 40);
  writer.u8(0x11);  // MAX_STREAM_DATA
  writer.varint(0);
  writer.varint(1ULL << 40);
  send(hostile, frames);
  pair_.run_for(std::chrono::milliseconds(1));
  ASSERT_NE(stream, nullptr);
  const Bytes data(64 << 10, 7);
  std::uint64_t rounds = 0;
  const std::uint64_t before = server->stats().packets_sent;
  std::uint64_t packets = 0;
  while (pair_.server.closed.empty() && ++rounds < 1'000) {
    while (stream->output.space() >= data.size()) stream->output.append(data);
    server->submit(*stream);
    pair_.run_for(std::chrono::milliseconds(1));
    if (!pair_.server.closed.empty()) continue;
    // Numbers begin at zero; a few packets were of the handshake, which has others.
    constexpr std::uint64_t kOfHandshake = 4;
    packets = server->stats().packets_sent - before;
    const std::uint64_t largest = before + packets - 1 - kOfHandshake;
    frames.clear();
    writer.u8(0x02);  // ACK
    writer.varint(largest);
    writer.varint(0);
    writer.varint(0);
    writer.varint(largest);
    send(hostile, frames);
    pair_.run_for(std::chrono::microseconds(1));
  }
  ASSERT_EQ(pair_.server.closed.size(), 1U);
  EXPECT_EQ(pair_.server.closed[0].error.text(),
            "the peer acknowledges packets that it did not get");
  // Not for what ngtcp2 finds by itself, and soon.
  EXPECT_LT(packets, 3 * congestion::Decoys::kOneIn);
}

// Each alone would be let have its 16 MiB.
class HostileCrowdTest : public HostileFramesTest {
 protected:
  static constexpr std::size_t kProcess = 24 << 20;
  HostileCrowdTest() : HostileCrowdTest(std::make_shared<buffers::ProcessBudget>(kProcess)) {}
  explicit HostileCrowdTest(std::shared_ptr<buffers::ProcessBudget> process)
      : HostileFramesTest(process), process_(std::move(process)) {}

  std::shared_ptr<buffers::ProcessBudget> process_;
};

TEST_F(HostileCrowdTest, leaves_the_process_its_limit_and_others_their_connections) {
  constexpr std::size_t kHostile = 8;
  std::vector<Hostile> crowd;
  for (std::size_t i = 0; i < kHostile; ++i) {
    crowd.push_back(take_place(static_cast<std::uint16_t>(50'000 + i)));
  }
  Connection& honest = pair_.connect({}, "culvert/1", 40'000);
  ASSERT_TRUE(pair_.run_until([&] { return pair_.server.completed.size() > kHostile; }));
  const auto& honest_there = dynamic_cast<const ConnectionImpl&>(*pair_.server.connections.back());
  std::vector<const ConnectionImpl*> alive;
  for (const Hostile& hostile : crowd) alive.push_back(hostile.server);
  pair_.server.on_event = [&](Connection& connection, Event& event) {
    if (std::holds_alternative<Closed>(event)) std::erase(alive, &connection);
  };
  std::size_t most = 0;
  std::int64_t least_free = process_->free_bytes();
  for (int round = 0; round < 60 && !alive.empty(); ++round) {
    for (Hostile& hostile : crowd) {
      if (std::ranges::find(alive, hostile.server) == alive.end()) continue;
      send_every_second_byte(hostile);
      std::size_t together = 0;
      for (const ConnectionImpl* connection : alive) together += connection->library_bytes();
      most = std::max(most, together);
      least_free = std::min(least_free, process_->free_bytes());
    }
  }
  RecordProperty("bytes", static_cast<int>(most));
  EXPECT_GT(most, kProcess / 4) << "it tries";
  EXPECT_GE(least_free, -static_cast<std::int64_t>(kHostile * limits::kLibraryBytesOwn));
  EXPECT_LE(most, kProcess + kHostile * (limits::kLibraryBytesOwn + limits::kSessionBufferShare));
  EXPECT_LT(alive.size(), kHostile) << "who is in the way goes";
  std::size_t received = 0;
  pair_.server.on_readable = [&](Connection& connection, Stream& stream) {
    received += stream.input.size();
    connection.consume(stream, stream.input.size());
  };
  Stream* stream = honest.open_stream();
  ASSERT_NE(stream, nullptr);
  for (int i = 0; i < 100; ++i) {
    stream->output.append(Bytes(10'000, 'x'));
    honest.submit(*stream);
    pair_.run_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(received, 1'000'000U);
  EXPECT_FALSE(honest_there.is_closed());
}

}  // namespace
}  // namespace culvert::quic
