#include "flow/datagram_frames.h"

#include "base/rng.h"
#include "session/flow_open.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::flow {
namespace {

// Buffers give back to it to their end, so it comes before them.
struct OwnChunks {
  buffers::ChunkPool chunks;
};

// Keeps what is said on it.
class Mirror final : private OwnChunks, public buffers::ByteStream {
 public:
  explicit Mirror(std::size_t send_limit) : ByteStream(chunks, send_limit) {}
  void submit() override {
    std::array<ByteView, 64> views;
    while (output.has_unsent()) {
      const std::size_t count = output.unsent(1 << 20, views);
      std::size_t size = 0;
      for (const ByteView& view : std::span(views).first(count)) {
        sent.insert(sent.end(), view.begin(), view.end());
        size += view.size();
      }
      output.mark_sent(size);
    }
  }
  void finish() override {}
  void reset(std::uint64_t) override {}
  void stop_sending(std::uint64_t) override {}
  void consume(std::size_t count) override { input.consume(count); }
  Bytes sent;
};

std::vector<Bytes> taken_from(buffers::ByteStream& stream) {
  std::vector<Bytes> taken;
  take_datagram_frames(
      stream, [&](ByteView payload) { taken.emplace_back(payload.begin(), payload.end()); });
  return taken;
}

Bytes payload_of(std::size_t size, Rng& rng) {
  Bytes bytes(size);
  rng.fill(bytes);
  return bytes;
}

TEST(DatagramFrames, come_out_whole_however_they_were_cut) {
  SeededRng rng(1);
  for (int round = 0; round < 50; ++round) {
    Mirror from(4 << 20);
    std::vector<Bytes> said;
    for (int i = 0; i < 10; ++i) {
      const std::size_t size = i == 3 ? 0 : i == 7 ? 65'535 : rng.below(20'000);
      said.push_back(payload_of(size, rng));
      ASSERT_TRUE(append_datagram_frame(from, said.back()));
    }
    Mirror to(0);
    std::vector<Bytes> heard;
    for (std::size_t at = 0; at < from.sent.size();) {
      const std::size_t size = std::min<std::size_t>(1 + rng.below(30'000), from.sent.size() - at);
      to.input.append(ByteView(from.sent).subspan(at, size));
      at += size;
      for (Bytes& payload : taken_from(to)) heard.push_back(std::move(payload));
    }
    EXPECT_EQ(heard, said);
    EXPECT_EQ(to.input.size(), 0U);
  }
}

TEST(DatagramFrames, wait_for_their_last_byte) {
  SeededRng rng(2);
  Mirror from(1 << 20);
  const Bytes payload = payload_of(300, rng);
  ASSERT_TRUE(append_datagram_frame(from, payload));
  Mirror to(0);
  for (std::size_t at = 0; at + 1 < from.sent.size(); ++at) {
    to.input.append(ByteView(from.sent).subspan(at, 1));
    EXPECT_TRUE(taken_from(to).empty()) << at;
  }
  to.input.append(ByteView(from.sent).last(1));
  EXPECT_EQ(taken_from(to), std::vector<Bytes>{payload});
}

// Half a frame would be the end of the flow; a datagram may be lost.
TEST(DatagramFrames, are_lost_whole_where_there_is_no_room) {
  SeededRng rng(3);
  Mirror stream(session::kDatagramFrameHeaderBytes + 100);
  EXPECT_FALSE(append_datagram_frame(stream, payload_of(101, rng)));
  EXPECT_TRUE(stream.sent.empty());
  EXPECT_TRUE(append_datagram_frame(stream, payload_of(100, rng)));
  EXPECT_EQ(stream.sent.size(), session::kDatagramFrameHeaderBytes + 100);
}

TEST(DatagramFrames, are_lost_where_the_stream_takes_no_more) {
  SeededRng rng(4);
  Mirror stream(1 << 20);
  EXPECT_FALSE(append_datagram_frame(stream, payload_of(65'536, rng)));
  stream.is_parked = true;
  EXPECT_FALSE(append_datagram_frame(stream, payload_of(1, rng)));
  stream.is_parked = false;
  stream.is_fin_queued = true;
  EXPECT_FALSE(append_datagram_frame(stream, payload_of(1, rng)));
  EXPECT_TRUE(stream.sent.empty());
}

}  // namespace
}  // namespace culvert::flow
