// A peer that writes its own packets: after a real handshake it takes the keys and sends frames
// that ngtcp2 would never send.
#include "base/encoding.h"
#include "base/limits.h"
#include "quic/connection_impl.h"
#include "quic/loopback_pair.h"
#include "quic/packet_protection.h"

#include <gnutls/crypto.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

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

// The server with a client whose place the test has taken.
class HostileFramesTest : public ::testing::Test {
 protected:
  HostileFramesTest()
      : pair_([this](EndpointConfig& config) {
          if (config.accepts_connections) {
            config.transport.initial_streams_bidi = limits::kDefaultMaxFlowsPerSession;
          } else {
            config.key_log = [this](std::string_view line) { note_key(line); };
          }
        }) {}

  void SetUp() override {
    auto& client = dynamic_cast<ConnectionImpl&>(pair_.connect());
    ASSERT_TRUE(pair_.establish());
    pair_.run_for(std::chrono::seconds(1));  // credit has come
    ASSERT_FALSE(secret_.empty());
    const ngtcp2_cid* destination = ngtcp2_conn_get_dcid(client.raw());
    writer_.emplace(secret_, ByteView(destination->data, destination->datalen));
    pair_.filter = [](LoopbackPair::Packet&) { return false; };
    server_ = dynamic_cast<ConnectionImpl*>(pair_.server.connections.front());
  }

  void note_key(std::string_view line) {
    if (!line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) return;
    const std::size_t at = line.rfind(' ') + 1;
    std::string_view hex = line.substr(at);
    while (!hex.empty() && hex.back() == '\n') hex.remove_suffix(1);
    secret_ = hex_decode(hex).value_or(Bytes{});
  }

  void send(ByteView frames) {
    pair_.now += std::chrono::microseconds(10);
    pair_.deliver({.path = {.local = LoopbackPair::server_address(),
                            .remote = LoopbackPair::client_address()},
                   .bytes = writer_->write(frames),
                   .to_server = true});
    if (++sent_ % 16 == 0) pair_.run_for(std::chrono::microseconds(10));
  }

  // Of a part of a stream's first window. ngtcp2 gives up beyond 5,000 gaps in one stream.
  static constexpr std::uint64_t kPart = 9'000;
  void send_every_second_byte(std::uint64_t stream) {
    Bytes frames;
    ByteWriter writer(frames);
    for (std::uint64_t offset = 1; offset < kPart; offset += 2) {
      writer.u8(0x0E);  // STREAM, with offset and length
      writer.varint(4 * stream);
      writer.varint(offset);
      writer.varint(1);
      writer.u8('x');
      if (frames.size() < 60'000) continue;
      send(frames);
      frames.clear();
    }
    send(frames);
  }

  LoopbackPair pair_;
  Bytes secret_;
  std::optional<PacketWriter> writer_;
  ConnectionImpl* server_ = nullptr;
  std::size_t sent_ = 0;
};

TEST_F(HostileFramesTest, that_leave_gaps_are_held_within_bounds) {
  const std::size_t before = server_->library_bytes();
  std::size_t most = 0;
  std::uint64_t stream = 0;
  for (; stream < 1'000 && !server_->is_closed(); ++stream) {
    send_every_second_byte(stream);
    most = std::max(most, server_->library_bytes());
  }
  RecordProperty("streams", static_cast<int>(stream));
  RecordProperty("bytes", static_cast<int>(most - before));
  // The notes of gaps are much larger than what was sent ...
  EXPECT_GT(most - before, 10 * stream * kPart);
  // ... and end the connection where they are too many.
  ASSERT_TRUE(server_->is_closed());
  EXPECT_LE(most, limits::kLibraryBytes + limits::kConnectionAheadMax + (4 << 20));
  pair_.run_for(std::chrono::seconds(10));
  ASSERT_EQ(pair_.server.closed.size(), 1U);
  EXPECT_EQ(pair_.server.closed[0].error.kind, ErrorKind::limit);
  EXPECT_EQ(pair_.server.endpoint->connection_count(), 0U);
}

// One byte at the end of the first window of each stream there may be: the pieces in which ngtcp2
// keeps what came out of order are larger than that.
TEST_F(HostileFramesTest, that_are_each_the_last_of_a_window_are_held_within_bounds) {
  std::size_t most = 0;
  Bytes frames;
  ByteWriter writer(frames);
  for (std::uint64_t stream = 0;
       stream < limits::kDefaultMaxFlowsPerSession && !server_->is_closed(); ++stream) {
    writer.u8(0x0E);
    writer.varint(4 * stream);
    writer.varint(limits::kStreamWindowFirst - 1);
    writer.varint(1);
    writer.u8('x');
    if (frames.size() < 1'000) continue;
    send(frames);
    frames.clear();
    most = std::max(most, server_->library_bytes());
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
  send(frames);
  pair_.run_for(std::chrono::milliseconds(1));
  ASSERT_NE(stream, nullptr);
  const Bytes data(64 << 10, 7);
  std::uint64_t rounds = 0;
  const std::uint64_t before = server_->stats().packets_sent;
  std::uint64_t packets = 0;
  while (pair_.server.closed.empty() && ++rounds < 1'000) {
    while (stream->output.space() >= data.size()) stream->output.append(data);
    server_->submit(*stream);
    pair_.run_for(std::chrono::milliseconds(1));
    if (!pair_.server.closed.empty()) continue;
    // Numbers begin at zero; a few packets were of the handshake, which has others.
    constexpr std::uint64_t kOfHandshake = 4;
    packets = server_->stats().packets_sent - before;
    const std::uint64_t largest = before + packets - 1 - kOfHandshake;
    frames.clear();
    writer.u8(0x02);  // ACK
    writer.varint(largest);
    writer.varint(0);
    writer.varint(0);
    writer.varint(largest);
    send(frames);
    pair_.run_for(std::chrono::microseconds(1));
  }
  ASSERT_EQ(pair_.server.closed.size(), 1U);
  EXPECT_EQ(pair_.server.closed[0].error.text(),
            "the peer acknowledges packets that it did not get");
  // Not for what ngtcp2 finds by itself, and soon.
  EXPECT_LT(packets, 3 * Decoys::kOneIn);
}

}  // namespace
}  // namespace culvert::quic
