#include "session/lane_talk.h"

#include "session/control_pair.h"
#include "session/culvert1_fields.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::session {
namespace {

ResumeKey lane_key(std::uint8_t value) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(value);
  return ResumeKey(bytes);
}

// A connection that has joined session 7, which has the keys 2 and, from before, 1.
struct Joining : ControlPair {
  void run() {
    exchange([&] {
      if (auto event = lane_at_server.poll_promoted()) promoted.push_back(*event);
      if (auto event = resume_at_server.poll_event()) resumed.push_back(std::move(*event));
    });
  }

  Joined joined{.session_id = {7}, .binding = {.exporter = {1}, .nonce = {2}}};
  ClientResumeTalk resume_at_client{client};
  ClientLaneTalk lane_at_client{client, resume_at_client, joined};
  ServerResumeTalk resume_at_server{server, false};
  ServerLaneTalk lane_at_server{
      server, resume_at_server, joined, {.grace = std::chrono::seconds(60), .worker = 3}, [] {
        return std::vector{lane_key(2), lane_key(1)};
      }};
  std::vector<Promoted> promoted;
  std::vector<ServerResumeTalk::Event> resumed;
};

TEST(LaneTalk, promotes_the_connection_once) {
  Joining talk;
  talk.lane_at_client.promote(lane_key(1));
  talk.run();
  ASSERT_EQ(talk.promoted.size(), 1U);
  EXPECT_EQ(talk.promoted[0].key_index, 1U);
  const auto resumed = talk.resume_at_client.poll_resumed();
  ASSERT_TRUE(resumed);
  EXPECT_EQ(resumed->session_id, SessionId{7});
  EXPECT_EQ(resumed->terms.worker, 3);
  EXPECT_TRUE(resumed->terms.is_multipath);
  talk.resume_at_client.announce_done(3);
  talk.run();
  EXPECT_EQ(talk.resumed.size(), 1U);

  talk.lane_at_client.promote(lane_key(1));
  talk.run();
  EXPECT_TRUE(talk.server.failure());
  EXPECT_EQ(talk.promoted.size(), 1U);
}

TEST(LaneTalk, promotes_nobody_without_the_key_of_the_session_for_this_connection) {
  Joining stranger;
  stranger.lane_at_client.promote(lane_key(3));
  stranger.run();
  EXPECT_TRUE(stranger.server.failure());
  EXPECT_TRUE(stranger.promoted.empty());

  const std::array<std::uint8_t, 32> nonce{2};
  for (const auto& mac :
       {resume_proof(lane_key(1), {9}, nonce), join_proof(lane_key(1), {1}, nonce)}) {
    Joining talk;
    talk.client.send(MessageBuilder(MessageType::promote).bytes(kPromoteMac, mac));
    talk.run();
    EXPECT_TRUE(talk.server.failure());
    EXPECT_TRUE(talk.promoted.empty());
  }
}

TEST(LaneTalk, wants_a_whole_proof) {
  for (const std::size_t size : {0U, 31U, 33U}) {
    Joining talk;
    talk.client.send(MessageBuilder(MessageType::promote).bytes(kPromoteMac, Bytes(size, 1)));
    talk.run();
    EXPECT_TRUE(talk.server.failure()) << size;
  }
}

// The answer has no room: the client may not wait for one that never comes.
TEST(LaneTalk, fails_where_the_answer_cannot_be_said) {
  Joining talk;
  talk.to_client.is_stopped = true;
  talk.lane_at_client.promote(lane_key(2));
  talk.run();
  ASSERT_TRUE(talk.server.failure());
  EXPECT_TRUE(talk.server.failure()->is_unread);
}

TEST(LaneTalk, knows_what_it_is_told_at_its_end) {
  for (std::uint64_t type = 24; type <= 31; ++type) {
    Joining talk;
    Bytes bytes;
    MessageBuilder(static_cast<MessageType>(type)).number(9, 1).append_to(bytes);
    talk.server.handle_data(bytes);
    talk.client.handle_data(bytes);
    EXPECT_EQ(talk.server.failure().has_value(), type == 24 || type == 26) << type;
    EXPECT_EQ(talk.client.failure().has_value(), type == 25) << type;
  }
}

}  // namespace
}  // namespace culvert::session
