#include "buffers/receive_credit.h"

#include <gtest/gtest.h>

#include <deque>

namespace culvert::buffers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// A peer that sends all it may on every stream, and readers as each test wants them.
class ReceiveCreditTest : public ::testing::Test {
 protected:
  ReceiveCreditTest() : budget_(std::make_shared<SessionBudget>(64 * kMiB)), credit_(budget_) {
    credit_.share(budget_);
    credit_.set_round_trip(milliseconds(20));
    allowed_ = limits::kConnectionWindowFirst + credit_.extend(now_);
  }

  StreamCredit& open() {
    StreamCredit& stream = streams_.emplace_back();
    static_cast<void>(credit_.on_opened(now_, stream));
    return stream;
  }
  // Lets the peer send what it may on the stream, as packets; returns how much that was.
  std::size_t fill(StreamCredit& stream) {
    std::size_t sent = 0;
    while (stream.received < stream.granted && sent_ < allowed_) {
      const auto size = static_cast<std::size_t>(
          std::min<std::uint64_t>({1'200, stream.granted - stream.received, allowed_ - sent_}));
      sent_ += size;
      sent += size;
      // The credit itself is inside `granted` already.
      static_cast<void>(credit_.on_received(now_, stream, size));
      allowed_ += credit_.extend(now_);
    }
    return sent;
  }
  void read(StreamCredit& stream, std::size_t count) {
    static_cast<void>(credit_.on_consumed(now_, stream, count));
    allowed_ += credit_.extend(now_);
  }

  std::shared_ptr<SessionBudget> budget_;
  std::deque<StreamCredit> streams_;
  ReceiveCredit credit_;
  Instant now_{seconds(1)};
  std::uint64_t allowed_ = 0;  // MAX_DATA
  std::uint64_t sent_ = 0;
};

TEST_F(ReceiveCreditTest, a_thousand_streams_that_nobody_reads_leave_room_for_one_that_is_read) {
  for (int i = 0; i < 1'000; ++i) fill(open());
  EXPECT_LE(budget_->committed_bytes(), 48 * kMiB);
  StreamCredit& quick = open();
  std::size_t carried = 0;
  for (int i = 0; i < 1'000; ++i) {
    const std::size_t got = fill(quick);
    ASSERT_GT(got, 0U) << "after " << carried;
    carried += got;
    read(quick, quick.unread());
    now_ += milliseconds(20);
  }
  EXPECT_GE(carried, 100 * kMiB) << "5 MB/s at a round trip of 20 ms";
}

TEST_F(ReceiveCreditTest, streams_that_were_fast_and_then_stop_leave_room_as_well) {
  std::vector<StreamCredit*> fast;
  for (int i = 0; i < 200; ++i) fast.push_back(&open());
  for (int round = 0; round < 50; ++round) {
    for (StreamCredit* stream : fast) {
      fill(*stream);
      read(*stream, stream->unread());
    }
    now_ += milliseconds(5);
  }
  for (StreamCredit* stream : fast) fill(*stream);
  EXPECT_LE(budget_->committed_bytes(), 48 * kMiB);
  StreamCredit& quick = open();
  for (int i = 0; i < 100; ++i) {
    ASSERT_GT(fill(quick), 0U);
    read(quick, quick.unread());
    now_ += milliseconds(20);
  }
}

TEST_F(ReceiveCreditTest, who_reads_further_than_a_thousand_that_have_stopped_gets_a_window) {
  for (const std::size_t fast : {0U, 30'000U, 300'000U, 1'000'000U}) {
    std::deque<StreamCredit> stopped;
    for (int i = 0; i < 1'000; ++i) {
      StreamCredit& stream = stopped.emplace_back();
      static_cast<void>(credit_.on_opened(now_, stream));
      while (stream.consumed < fast) {
        ASSERT_GT(fill(stream), 0U);
        read(stream, stream.unread());
        now_ += milliseconds(1);
      }
      fill(stream);
    }
    EXPECT_LE(budget_->committed_bytes(), 48 * kMiB);
    StreamCredit& quick = open();
    while (quick.consumed < std::max<std::size_t>(2 * fast, 64 * 1024) + kMiB) {
      ASSERT_GT(fill(quick), 0U);
      read(quick, quick.unread());
      now_ += milliseconds(20);
    }
    EXPECT_GE(quick.window, 256 * 1024U) << fast;
    EXPECT_GE(fill(quick), 192 * 1024U) << fast;
    credit_.on_stream_over(quick);
    for (StreamCredit& stream : stopped) credit_.on_stream_over(stream);
  }
}

// All of a window is sent at once, read at once and granted again: that takes a round trip and as
// long as sending it.
TEST_F(ReceiveCreditTest, a_window_that_is_used_up_at_once_grows) {
  StreamCredit& stream = open();
  for (int i = 0; i < 20; ++i) {
    const std::size_t sent = fill(stream);
    now_ += milliseconds(20) + std::chrono::nanoseconds(80 * sent);  // 100 Mbit/s
    read(stream, stream.unread());
  }
  EXPECT_GE(stream.window, kMiB);
}

TEST_F(ReceiveCreditTest,
       what_waits_from_before_leaves_a_stream_its_first_window_until_it_is_read) {
  StreamCredit stream;
  credit_.on_inherited(now_, stream, 200'000, 1'000'000);
  EXPECT_EQ(budget_->grown_bytes(), 0U);
  EXPECT_EQ(fill(stream), limits::kStreamWindowFirst);
  EXPECT_EQ(stream.window, limits::kStreamWindowFirst);
  EXPECT_EQ(credit_.on_inherited_consumed(now_, stream, 199'999), 0U);
  EXPECT_EQ(credit_.on_inherited_consumed(now_, stream, 1),
            limits::kStreamWindowStart - limits::kStreamWindowFirst);
  read(stream, stream.unread());
  // It is known to be read.
  EXPECT_EQ(stream.read_before, 1'200'000U);
  credit_.on_stream_over(stream);
}

// Each keeps what it had and gets a first window more. The others need some, too.
TEST_F(ReceiveCreditTest, what_waits_from_before_takes_from_what_windows_grow_into) {
  std::deque<StreamCredit> resumed(800);
  for (StreamCredit& stream : resumed) {
    credit_.on_inherited(now_, stream, 40'000, 0);
    fill(stream);
  }
  EXPECT_LE(budget_->committed_bytes(), 48 * kMiB);
  for (int i = 0; i < 100; ++i) fill(open());
  StreamCredit& quick = open();
  for (int i = 0; i < 100; ++i) {
    ASSERT_GT(fill(quick), 0U);
    read(quick, quick.unread());
    now_ += milliseconds(20);
  }
  for (StreamCredit& stream : resumed) credit_.on_stream_over(stream);
}

TEST_F(ReceiveCreditTest, a_reader_that_keeps_up_gets_a_large_window) {
  StreamCredit& stream = open();
  for (int i = 0; i < 40; ++i) {
    fill(stream);
    read(stream, stream.unread());
    now_ += milliseconds(5);
  }
  EXPECT_EQ(stream.window, limits::kStreamWindowMax);
}

// All that comes after a lost packet waits for it, and then comes in order at once. The peer is not
// to wait for us meanwhile, nor the window to shrink because a reader cannot take it all at once.
TEST_F(ReceiveCreditTest, a_path_that_loses_packets_gets_a_large_window_in_few_round_trips) {
  StreamCredit& stream = open();
  for (int i = 0; i < 4; ++i) {
    fill(stream);  // the first packet was lost; now it is here
    now_ += milliseconds(1);
    while (stream.unread() > 0) {
      const std::size_t window = stream.window;
      read(stream, std::min<std::size_t>(stream.unread(), 48 << 10));
      EXPECT_GE(stream.window, window);
      now_ += std::chrono::microseconds(100);
    }
    now_ += milliseconds(30);
  }
  EXPECT_GE(stream.window, 4 * kMiB);
  EXPECT_GE(fill(stream), 4 * kMiB);
}

TEST_F(ReceiveCreditTest, a_reader_that_falls_behind_gets_a_small_one) {
  StreamCredit& stream = open();
  for (int i = 0; i < 40; ++i) {
    fill(stream);
    read(stream, stream.unread());
    now_ += milliseconds(5);
  }
  for (int i = 0; i < 20'000; ++i) {  // 200 kB/s
    fill(stream);
    read(stream, std::min<std::size_t>(stream.unread(), 4'000));
    now_ += milliseconds(20);
  }
  EXPECT_EQ(stream.window, limits::kStreamWindowFirst);
  EXPECT_LE(stream.unread(), 2 * limits::kStreamWindowFirst);
}

// The window of a reader that falls behind is smaller at once; what was granted is out all the
// same.
TEST_F(ReceiveCreditTest, what_was_granted_counts_until_it_is_read) {
  std::deque<StreamCredit> stopped;
  for (int i = 0; i < 1'000; ++i) {
    StreamCredit& stream = stopped.emplace_back();
    static_cast<void>(credit_.on_opened(now_, stream));
    for (int round = 0; round < 3; ++round) {
      fill(stream);
      read(stream, stream.unread());
      now_ += milliseconds(5);
    }
    fill(stream);
    for (int round = 0; round < 5; ++round) {
      now_ += milliseconds(30);
      read(stream, stream.unread() / 3);
    }
  }
  std::size_t waiting = 0;
  for (StreamCredit& stream : stopped) {
    fill(stream);
    waiting += stream.unread();
  }
  EXPECT_LE(waiting, budget_->grown_bytes() + 1'000 * limits::kStreamWindowFirst);
  EXPECT_LE(budget_->committed_bytes(), 48 * kMiB);
  EXPECT_EQ(fill(open()), limits::kStreamWindowFirst) << "as they were read, it was not yet";
  for (StreamCredit& stream : stopped) credit_.on_stream_over(stream);
}

TEST_F(ReceiveCreditTest, silent_streams_do_not_hold_the_windows_they_once_needed) {
  for (int i = 0; i < 200; ++i) {
    StreamCredit& stream = open();
    for (int round = 0; round < 20; ++round) {
      fill(stream);
      read(stream, stream.unread());
      now_ += milliseconds(2);
    }
    now_ += seconds(1);
  }
  now_ += 2 * limits::kStreamIdle;
  StreamCredit& stream = open();
  for (int round = 0; round < 400; ++round) {
    fill(stream);
    read(stream, stream.unread());
    now_ += milliseconds(2);
  }
  EXPECT_GE(stream.window, 4 * kMiB);
}

TEST_F(ReceiveCreditTest, everything_is_given_back) {
  {
    StreamCredit stream;  // streams go after what counts them
    StreamCredit resumed;
    ReceiveCredit other(budget_);
    static_cast<void>(other.on_opened(now_, stream));
    static_cast<void>(other.on_received(now_, stream, 10'000));
    other.on_inherited(now_, resumed, 5'000, 70'000);
    static_cast<void>(other.extend(now_));
    EXPECT_EQ(other.on_inherited_consumed(now_, resumed, 1'000), 0U);
    other.on_stream_over(stream);
  }
  for (int i = 0; i < 10; ++i) fill(open());
  for (StreamCredit& stream : streams_) credit_.on_stream_over(stream);
  EXPECT_EQ(budget_->grown_bytes(), 0U);
  EXPECT_EQ(budget_->committed_bytes(), allowed_ - sent_);
}

TEST_F(ReceiveCreditTest, asks_again_where_others_have_taken_everything) {
  ASSERT_TRUE(budget_->commit(48 * kMiB - budget_->committed_bytes()));
  StreamCredit& stream = open();
  while (fill(stream) > 0) {
  }
  EXPECT_NE(credit_.next_timeout(), kNever);
  budget_->release(40 * kMiB);
  now_ = credit_.next_timeout();
  EXPECT_GT(credit_.extend(now_), 0U);
  EXPECT_EQ(credit_.next_timeout(), kNever);
  budget_->commit_anyway(40 * kMiB);
  budget_->release(48 * kMiB - 40 * kMiB);
}

}  // namespace
}  // namespace culvert::buffers
