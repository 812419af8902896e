#include "buffers/stream_buffer.h"

#include "base/limits.h"
#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>

namespace culvert::buffers {
namespace {

Bytes random_bytes(Rng& rng, std::size_t size) {
  Bytes bytes(size);
  rng.fill(bytes);
  return bytes;
}

TEST(ChunkPool, hands_out_the_warmest_chunk_first_and_counts) {
  ChunkPool pool(2);
  Chunk a = pool.take(kChunkBytes);
  Chunk b = pool.take(kChunkBytes);
  Chunk c = pool.take(kChunkBytes);
  EXPECT_EQ(pool.chunks_in_use(), 3U);
  EXPECT_EQ(pool.bytes_in_use(), 3 * kChunkBytes);
  const std::uint8_t* last = b.get();
  pool.give(std::move(a), kChunkBytes);
  pool.give(std::move(b), kChunkBytes);
  pool.give(std::move(c), kChunkBytes);  // beyond what it keeps: freed
  EXPECT_EQ(pool.chunks_in_use(), 0U);
  EXPECT_EQ(pool.take(kChunkBytes).get(), last);
}

TEST(ChunkPool, notices_when_much_less_is_in_use) {
  ChunkPool pool;
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < 2 * limits::kMemoryWorthReturning / kChunkBytes; ++i) {
    chunks.push_back(pool.take(kChunkBytes));
  }
  EXPECT_FALSE(pool.has_shrunk());
  while (!pool.has_shrunk()) {
    ASSERT_FALSE(chunks.empty());
    pool.give(std::move(chunks.back()), kChunkBytes);
    chunks.pop_back();
  }
  EXPECT_EQ(chunks.size(), limits::kMemoryWorthReturning / kChunkBytes);
  pool.give_back();
  EXPECT_FALSE(pool.has_shrunk());
  for (Chunk& chunk : chunks) pool.give(std::move(chunk), kChunkBytes);
  EXPECT_TRUE(pool.has_shrunk());
}

TEST(SendBuffer, shows_what_it_holds_again) {
  ChunkPool pool;
  SendBuffer buffer(pool, 200'000);
  SeededRng rng(3);
  const Bytes bytes = random_bytes(rng, 100'000);
  buffer.append(bytes);
  buffer.mark_sent(90'000);
  buffer.acknowledge(40'000);
  std::array<ByteView, 4> views;
  Bytes seen;
  const std::size_t count = buffer.views(50'000, 49'000, views);
  for (const ByteView& view : std::span(views).first(count)) {
    seen.insert(seen.end(), view.begin(), view.end());
  }
  EXPECT_TRUE(std::ranges::equal(seen, ByteView(bytes).subspan(50'000, 49'000)));
  EXPECT_EQ(buffer.sent_offset(), 90'000U);
}

TEST(ChunkRing, keeps_order_while_growing_and_wrapping) {
  ChunkPool pool;
  ChunkRing ring(pool);
  std::deque<std::uint8_t> model;
  SeededRng rng(1);
  for (int i = 0; i < 5000; ++i) {
    const auto mark = static_cast<std::uint8_t>(i);
    switch (rng.below(i % 500 < 250 ? 4 : 6)) {
      case 0:
      case 1:
      case 2:
        ring.push_back();
        model.push_back(mark);
        ring.from(ring.end_position() - 1)[0] = mark;
        break;
      case 3:
        if (model.empty()) break;
        model.pop_back();
        ring.pop_back();
        break;
      default:
        if (model.empty()) break;
        model.pop_front();
        ring.pop_front();
    }
    ASSERT_EQ(ring.size(), model.size());
    std::uint64_t position = ring.begin_position();
    for (const std::uint8_t expected : model) {
      const ByteSpan chunk = ring.from(position);
      ASSERT_EQ(chunk.back(), expected);
      position += chunk.size();
    }
    ASSERT_EQ(position, ring.end_position());
    ASSERT_EQ(pool.bytes_in_use(), ring.memory_bytes());
  }
  ring.clear();
  EXPECT_EQ(pool.chunks_in_use(), 0U);
}

TEST(ChunkRing, doubles_from_small_chunks_and_begins_anew_when_empty) {
  ChunkPool pool;
  ChunkRing ring(pool);
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 9; ++i) {
    const std::uint64_t end = ring.end_position();
    ring.push_back();
    sizes.push_back(ring.from(end).size() / 1024);
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{1, 1, 2, 4, 8, 16, 32, 32, 32}));
  ring.trim(1024);
  EXPECT_EQ(ring.size(), 1U);
  ring.pop_front();
  ring.push_back();
  EXPECT_EQ(ring.memory_bytes(), kSmallChunkBytes);
}

// A SendBuffer beside the plainest thing that does the same.
class SendModel {
 public:
  explicit SendModel(std::uint64_t seed) : rng_(seed), buffer_(pool_, 200'000) {}

  void step() {
    switch (rng_.below(6)) {
      case 0:
        write_reserved();
        break;
      case 1: {
        const Bytes bytes = random_bytes(rng_, rng_.below(buffer_.space() + 1));
        buffer_.append(bytes);
        all_.insert(all_.end(), bytes.begin(), bytes.end());
        break;
      }
      case 2:
      case 3: {
        const std::size_t count = rng_.below(all_.size() - sent_ + 1);
        remember_sent(count);
        buffer_.mark_sent(count);
        sent_ += count;
        break;
      }
      case 4: {
        const std::size_t count = rng_.below(sent_ - acked_ + 1);
        buffer_.acknowledge(count);
        acked_ += count;
        break;
      }
      default:
        if (rng_.below(20) == 0) buffer_.set_limit(rng_.below(300'000));
    }
    check();
  }

  void finish() {
    buffer_.mark_sent(all_.size() - sent_);
    buffer_.acknowledge(all_.size() - acked_);
    EXPECT_EQ(pool_.chunks_in_use(), 0U) << "an idle stream holds memory";
  }

 private:
  void write_reserved() {
    std::array<ByteSpan, 4> spans;
    const std::size_t wanted = rng_.below(100'000);
    const std::size_t count = buffer_.reserve(wanted, spans);
    std::size_t room = 0;
    for (std::size_t i = 0; i < count; ++i) room += spans[i].size();
    EXPECT_LE(room, std::min(wanted, buffer_.space()));
    const Bytes bytes = random_bytes(rng_, rng_.below(room + 1));
    std::size_t at = 0;
    for (std::size_t i = 0; i < count && at < bytes.size(); ++i) {
      const std::size_t size = std::min(spans[i].size(), bytes.size() - at);
      std::copy_n(bytes.data() + at, size, spans[i].data());
      at += size;
    }
    buffer_.commit(bytes.size());
    all_.insert(all_.end(), bytes.begin(), bytes.end());
  }

  // What was given to ngtcp2 stays where it is until acknowledged.
  void remember_sent(std::size_t count) {
    std::array<ByteView, 16> views;
    const std::size_t pieces = buffer_.unsent(SIZE_MAX, views);
    std::size_t offset = sent_;
    for (std::size_t i = 0; i < pieces && offset < sent_ + count; ++i) {
      const std::size_t size = std::min(views[i].size(), sent_ + count - offset);
      lent_.push_back({offset, views[i].first(size)});
      offset += size;
    }
  }

  void check() {
    ASSERT_EQ(buffer_.end_offset(), all_.size());
    ASSERT_EQ(buffer_.sent_offset(), sent_);
    ASSERT_EQ(buffer_.acked_offset(), acked_);
    ASSERT_EQ(buffer_.has_unsent(), sent_ != all_.size());
    ASSERT_EQ(buffer_.space(), buffer_.limit() > all_.size() - acked_
                                   ? buffer_.limit() - (all_.size() - acked_)
                                   : 0U);
    std::array<ByteView, 16> views;
    const std::size_t count = buffer_.unsent(SIZE_MAX, views);
    std::size_t at = sent_;
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(std::equal(views[i].begin(), views[i].end(),
                             all_.begin() + static_cast<std::ptrdiff_t>(at)));
      at += views[i].size();
    }
    ASSERT_EQ(at, all_.size());
    constexpr std::size_t kPacket = 1500;
    std::size_t in_packet = 0;
    for (const ByteView view : std::span(views).first(buffer_.unsent(kPacket, views))) {
      in_packet += view.size();
    }
    ASSERT_EQ(in_packet, std::min(kPacket, all_.size() - sent_));
    std::erase_if(lent_, [&](const Lent& lent) { return lent.offset < acked_; });
    for (const Lent& lent : lent_) {
      ASSERT_TRUE(std::equal(lent.bytes.begin(), lent.bytes.end(),
                             all_.begin() + static_cast<std::ptrdiff_t>(lent.offset)));
    }
    if (all_.size() == acked_) {
      ASSERT_EQ(pool_.chunks_in_use(), 0U);
    }
  }

  struct Lent {
    std::size_t offset;
    ByteView bytes;
  };
  SeededRng rng_;
  ChunkPool pool_;
  SendBuffer buffer_;
  Bytes all_;
  std::size_t sent_ = 0;
  std::size_t acked_ = 0;
  std::vector<Lent> lent_;
};

TEST(SendBuffer, behaves_like_a_plain_buffer_and_never_moves_a_byte) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    SendModel model(seed);
    for (int i = 0; i < 200; ++i) {
      model.step();
      if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed;
    }
    model.finish();
  }
}

TEST(SendBuffer, reserving_without_filling_keeps_nothing) {
  ChunkPool pool;
  SendBuffer buffer(pool, 1 << 20);
  std::array<ByteSpan, 16> spans;
  EXPECT_EQ(buffer.reserve(2 * kChunkBytes, spans), 7U);  // each as large as all before it
  EXPECT_EQ(pool.chunks_in_use(), 7U);
  EXPECT_EQ(buffer.memory_bytes(), 2 * kChunkBytes);
  buffer.commit(0);
  EXPECT_EQ(pool.chunks_in_use(), 0U);
  EXPECT_EQ(buffer.reserve(2 * kChunkBytes, spans), 7U);
  buffer.commit(kSmallChunkBytes + 1);
  EXPECT_EQ(pool.chunks_in_use(), 2U);
  EXPECT_EQ(buffer.memory_bytes(), 2 * kSmallChunkBytes);
}

// As of a flow whose peer has closed its window.
TEST(SendBuffer, holds_little_memory_for_the_little_that_was_not_sent) {
  ChunkPool pool;
  SendBuffer buffer(pool, 1 << 20);
  SeededRng rng(3);
  const Bytes bytes = random_bytes(rng, 200'000);
  buffer.append(bytes);
  buffer.mark_sent(198'500);
  buffer.acknowledge(198'000);
  EXPECT_GT(buffer.memory_bytes(), kChunkBytes / 2) << "some of it is under way";
  buffer.acknowledge(500);
  EXPECT_LE(buffer.memory_bytes(), 2 * kSmallChunkBytes);
  EXPECT_EQ(buffer.sent_offset(), 198'500U);
  std::array<ByteView, 4> views;
  Bytes shown;
  for (const ByteView& view : std::span(views).first(buffer.unsent(SIZE_MAX, views))) {
    shown.insert(shown.end(), view.begin(), view.end());
  }
  EXPECT_EQ(shown, Bytes(bytes.begin() + 198'500, bytes.end()));
  buffer.mark_sent(1'500);
  buffer.acknowledge(1'500);
  EXPECT_EQ(buffer.memory_bytes(), 0U);
}

TEST(SendBuffer, discard_forgets_all_and_ignores_late_acknowledgements) {
  ChunkPool pool;
  SendBuffer buffer(pool, 1 << 20);
  buffer.append(Bytes(100'000));
  buffer.mark_sent(50'000);
  buffer.discard();
  EXPECT_EQ(pool.chunks_in_use(), 0U);
  EXPECT_FALSE(buffer.has_unsent());
  buffer.acknowledge(50'000);
  EXPECT_EQ(buffer.unacked_bytes(), 0U);
  EXPECT_EQ(buffer.space(), 1U << 20);
}

TEST(RecvBuffer, gives_back_what_came_in_order_and_holds_nothing_when_empty) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    SeededRng rng(seed);
    ChunkPool pool;
    {
      RecvBuffer buffer(pool);
      std::deque<std::uint8_t> model;
      for (int i = 0; i < 300; ++i) {
        if (rng.below(2) == 0) {
          const Bytes bytes = random_bytes(rng, rng.below(50'000));
          buffer.append(bytes);
          model.insert(model.end(), bytes.begin(), bytes.end());
        } else {
          const std::size_t count = rng.below(model.size() + 1);
          buffer.consume(count);
          model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(count));
        }
        ASSERT_EQ(buffer.size(), model.size());
        std::array<ByteView, 4> views;
        const std::size_t pieces = buffer.views(views);
        auto expected = model.begin();
        for (std::size_t k = 0; k < pieces; ++k) {
          ASSERT_TRUE(std::equal(views[k].begin(), views[k].end(), expected));
          expected += static_cast<std::ptrdiff_t>(views[k].size());
        }
        if (model.empty()) {
          ASSERT_EQ(pool.chunks_in_use(), 0U);
        }
      }
    }
    EXPECT_EQ(pool.chunks_in_use(), 0U);
  }
}

// Thousands of streams with little in them hold little memory, whatever went through them.
TEST(RecvBuffer, holds_no_more_than_a_few_times_what_is_in_it) {
  ChunkPool pool;
  RecvBuffer buffer(pool);
  SeededRng rng(5);
  for (int i = 0; i < 2'000; ++i) {
    buffer.append(Bytes(rng.below(rng.below(4) == 0 ? 100'000 : 3'000)));
    buffer.consume(std::min<std::size_t>(buffer.size(), rng.below(120'000)));
    ASSERT_LE(buffer.memory_bytes(), 2 * buffer.size() + kSmallChunkBytes);
    ASSERT_EQ(buffer.memory_bytes(), pool.bytes_in_use());
  }
  buffer.append(Bytes(100'000));
  buffer.consume(buffer.size() - 1);
  EXPECT_EQ(buffer.memory_bytes(), kSmallChunkBytes);
  for (std::size_t i = 0; i < 100; ++i) {
    buffer.append(Bytes(kSmallChunkBytes - buffer.size()));
    EXPECT_EQ(buffer.memory_bytes(), kSmallChunkBytes);
    buffer.consume(100 + i);
  }
}

// --- resume ----------------------------------------------------------------------------------

Bytes numbered(std::size_t from, std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>((from + i) * 7 / 5);
  return bytes;
}

Bytes unsent_of(const SendBuffer& buffer) {
  std::array<ByteView, 64> views;
  const std::size_t count = buffer.unsent(SIZE_MAX, views);
  Bytes out;
  for (const ByteView& view : std::span(views).first(count)) {
    out.insert(out.end(), view.begin(), view.end());
  }
  return out;
}

// Every relation of head, acknowledged bytes and chunk borders.
TEST(SendBuffer, goes_on_where_another_stopped_behind_a_head) {
  constexpr std::size_t kTotal = 3 * kChunkBytes + 100;
  for (const std::size_t first_head : {std::size_t{5}, std::size_t{400}}) {
    for (const std::size_t acked : {std::size_t{0}, std::size_t{1}, std::size_t{399},
                                    kChunkBytes - 1, kChunkBytes, kChunkBytes + 10, kTotal}) {
      for (const std::size_t from : {acked, std::min(acked + 1'000, kTotal), kTotal}) {
        for (const std::size_t head_bytes : {std::size_t{0}, std::size_t{3}, std::size_t{16'384}}) {
          ChunkPool pool;
          SendBuffer old(pool, 1 << 20);
          old.append(Bytes(first_head, 0xee));
          old.set_origin();
          EXPECT_EQ(old.delivered_offset(), 0U);
          old.append(numbered(0, kTotal));
          old.mark_sent(first_head + kTotal);
          old.acknowledge(first_head + acked);
          ASSERT_EQ(old.delivered_offset(), acked);

          const Bytes head(head_bytes, 0xdd);
          SendBuffer fresh(pool, 1 << 20);
          fresh.inherit(old, from, head);
          EXPECT_EQ(old.unacked_bytes(), 0U);
          Bytes want = head;
          const Bytes data = numbered(from, kTotal - from);
          want.insert(want.end(), data.begin(), data.end());
          ASSERT_EQ(unsent_of(fresh), want) << acked << ' ' << from << ' ' << head_bytes;
          EXPECT_EQ(fresh.delivered_offset(), from);
          EXPECT_EQ(fresh.end_offset(), kTotal);
          EXPECT_EQ(fresh.is_head_acked(), head_bytes == 0);
          fresh.append(numbered(kTotal, 10));
          fresh.mark_sent(head_bytes + kTotal - from);
          fresh.acknowledge(head_bytes / 2);
          EXPECT_EQ(fresh.delivered_offset(), from);  // part of a head is no data
          fresh.acknowledge(head_bytes - head_bytes / 2 + kTotal - from);
          EXPECT_EQ(fresh.delivered_offset(), kTotal);
          EXPECT_EQ(unsent_of(fresh), numbered(kTotal, 10));
          fresh.mark_sent(10);
          fresh.acknowledge(10);
          EXPECT_EQ(pool.chunks_in_use(), 0U);
        }
      }
    }
  }
}

TEST(SendBuffer, sends_no_bytes_of_a_head_whose_connection_was_lost) {
  ChunkPool pool;
  SendBuffer first(pool, 1 << 20);
  first.append(Bytes(20, 0xee));
  first.set_origin();
  first.append(numbered(0, 50));
  first.mark_sent(70);
  first.acknowledge(7);  // within the head
  SendBuffer second(pool, 1 << 20);
  second.inherit(first, first.delivered_offset(), Bytes(30, 0xdd));
  second.mark_sent(60);
  second.acknowledge(15);
  SendBuffer third(pool, 1 << 20);
  third.inherit(second, second.delivered_offset(), Bytes(4, 0xcc));
  Bytes want(4, 0xcc);
  const Bytes data = numbered(0, 50);
  want.insert(want.end(), data.begin(), data.end());
  EXPECT_EQ(unsent_of(third), want);
}

TEST(RecvBuffer, puts_what_another_held_before_its_own) {
  for (const std::size_t held : {std::size_t{0}, std::size_t{10}, kChunkBytes + 10}) {
    ChunkPool pool;
    RecvBuffer old(pool);
    old.append(Bytes(30, 0xee));
    old.consume(30);
    old.set_origin();
    old.append(numbered(0, 100 + held));
    old.consume(100);
    RecvBuffer fresh(pool);
    fresh.append(Bytes(12, 0xdd));
    fresh.consume(12);
    fresh.set_origin();
    fresh.append(numbered(100 + held, 40'000));
    fresh.inherit(old);
    EXPECT_EQ(old.size(), 0U);
    EXPECT_EQ(fresh.size(), held + 40'000);
    EXPECT_EQ(fresh.end_offset(), 100 + held + 40'000);
    std::array<ByteView, 8> views;
    const std::size_t count = fresh.views(views);
    Bytes got;
    for (const ByteView& view : std::span(views).first(count)) {
      got.insert(got.end(), view.begin(), view.end());
    }
    EXPECT_EQ(got, numbered(100, held + 40'000));
    fresh.consume(fresh.size());
    EXPECT_EQ(pool.chunks_in_use(), 0U);
  }
}

}  // namespace
}  // namespace culvert::buffers
