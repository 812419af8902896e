#include "peer/parked_streams.h"

#include "base/limits.h"
#include "quic/loopback_pair.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

namespace culvert::peer {
namespace {

struct ParkedUser final : StreamUser {
  void on_quic_readable(Instant) override {}
  void on_quic_writable(Instant) override {}
  void on_quic_reset(Instant, std::uint64_t) override {}
  void on_quic_stop_sending(Instant, std::uint64_t) override {}
  void on_quic_closed(Instant) override {}
};

// A client whose connection ends with streams on it.
class ParkedStreamsTest : public testing::Test {
 protected:
  void SetUp() override {
    pair_.connect();
    ASSERT_TRUE(pair_.establish());
  }

  quic::Connection& connection() { return *pair_.client.connections.front(); }

  // One of ours, which has `unsent` bytes to say and of whose peer `waiting` have come.
  quic::Stream& open(std::uint64_t flow_id, std::size_t unsent, std::size_t waiting) {
    quic::Stream& stream = *connection().open_stream();
    stream.flow_id = flow_id;
    stream.context = &users_.emplace_back();
    stream.output.append(Bytes(unsent, 'u'));
    stream.input.append(Bytes(waiting, 'w'));
    return stream;
  }

  void park() {
    connection().close(pair_.now, 0, "");
    parked_.take(connection(), budget_, [this](StreamUser& user) { ended_.push_back(&user); });
  }

  quic::LoopbackPair pair_;
  std::deque<ParkedUser> users_;
  std::shared_ptr<buffers::SessionBudget> budget_ =
      std::make_shared<buffers::SessionBudget>(std::size_t{64} << 20);
  ParkedStreams parked_;
  std::vector<StreamUser*> ended_;
};

TEST_F(ParkedStreamsTest, keep_what_has_a_flow_id_and_end_what_has_none) {
  quic::Stream& second = open(7, 10, 20);
  quic::Stream& nameless = open(0, 0, 0);
  quic::Stream& first = open(5, 1, 0);
  StreamUser* const user = user_of(nameless);
  park();
  EXPECT_EQ(ended_, std::vector<StreamUser*>{user});
  EXPECT_EQ(parked_.size(), 2U);
  EXPECT_EQ(&parked_.front(), &first);  // by id, whichever stream was opened first
  EXPECT_EQ(parked_.find(7), &second);
  EXPECT_EQ(parked_.find(6), nullptr);
  EXPECT_TRUE(second.is_parked);
  EXPECT_EQ(second.output.unacked_bytes(), 10U);
  EXPECT_EQ(second.input.size(), 20U);
}

TEST_F(ParkedStreamsTest, are_given_back_one_by_one) {
  quic::Stream& stream = open(5, 1, 2);
  open(6, 0, 0);
  park();
  const auto taken = parked_.remove(5);
  EXPECT_EQ(taken.get(), &stream);
  EXPECT_EQ(parked_.find(5), nullptr);
  EXPECT_EQ(parked_.size(), 1U);
  parked_.clear();
  EXPECT_TRUE(parked_.is_empty());
}

TEST_F(ParkedStreamsTest, name_the_one_with_most_once_all_are_beyond_their_share) {
  budget_ = std::make_shared<buffers::SessionBudget>(std::size_t{4} << 20);
  const std::size_t limit = budget_->parked_limit();
  open(1, 0, limit / 4);
  quic::Stream& largest = open(2, 0, limit / 2);
  open(3, 0, limit / 4);
  open(4, 0, 0);
  park();
  // With a first window each they are more than the limit; one that has nothing waiting needs none.
  EXPECT_EQ(parked_.largest_beyond_share(), &largest);
  largest.consume(limit / 2);
  EXPECT_EQ(parked_.largest_beyond_share(), nullptr);
}

TEST_F(ParkedStreamsTest, let_a_flow_that_the_peer_has_whole_take_the_rest_by_itself) {
  quic::Stream& stream = open(5, 0, 100);
  quic::Stream& left = open(6, 0, 100);
  park();
  parked_.let_finish(5);
  EXPECT_TRUE(parked_.find(5) == nullptr);
  EXPECT_EQ(stream.input.size(), 100U);  // still there, for its user
  stream.consume(100);
  stream.context = nullptr;  // it has left
  left.context = nullptr;    // before the peer said that it has it whole
  parked_.let_finish(6);
  EXPECT_TRUE(parked_.is_empty());
}

// What is parked counts in the session's budget for as long as it is.
TEST_F(ParkedStreamsTest, count_in_the_budget_and_are_taken_off) {
  open(5, 10, 1 << 20);
  park();
  EXPECT_EQ(budget_->committed_bytes(), std::size_t{1} << 20);
  EXPECT_EQ(budget_->held_bytes(), 10U);
  static_cast<void>(parked_.remove(5));
  EXPECT_EQ(budget_->committed_bytes(), 0U);
  EXPECT_EQ(budget_->held_bytes(), 0U);
}

}  // namespace
}  // namespace culvert::peer
