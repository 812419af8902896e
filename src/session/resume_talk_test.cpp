#include "session/resume_talk.h"

#include "base/limits.h"
#include "session/control_pair.h"
#include "session/culvert1_fields.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::session {
namespace {

constexpr ResumeTerms kResumeTerms{.grace = std::chrono::seconds(60), .worker = 3};

// Both sides of a session; what the server has heard.
struct Resuming : ControlPair {
  explicit Resuming(bool is_resumed = true) : at_server(server, is_resumed) {}
  void run() {
    exchange([&] {
      if (auto event = at_server.poll_event()) heard.push_back(std::move(*event));
    });
  }

  ClientResumeTalk at_client{client};
  ServerResumeTalk at_server;
  std::vector<ServerResumeTalk::Event> heard;
};

TEST(ResumeTalk, names_flows_that_are_gone_and_how_many_were_named) {
  Resuming talk;
  const std::vector<std::uint64_t> gone{1, 70'000};
  talk.at_client.announce_gone({});
  talk.at_client.announce_gone(gone);
  talk.at_client.announce_done(9);
  talk.run();
  ASSERT_EQ(talk.heard.size(), 2U);
  EXPECT_EQ(std::get<FlowsGone>(talk.heard[0]).ids, gone);
  EXPECT_EQ(std::get<ResumeDone>(talk.heard[1]).count, 9U);
}

TEST(ResumeTalk, names_any_number_of_flows) {
  Resuming talk;
  std::vector<std::uint64_t> gone;
  for (std::uint64_t i = 0; i < 2 * limits::kMaxGoneIds + 1; ++i) {
    gone.push_back((std::uint64_t{1} << 61) + i);
  }
  talk.at_client.announce_gone(gone);
  talk.run();
  ASSERT_EQ(talk.heard.size(), 3U);
  std::vector<std::uint64_t> named;
  for (const auto& event : talk.heard) {
    const auto& ids = std::get<FlowsGone>(event).ids;
    named.insert(named.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(named, gone);
}

// Flows may be named at any time, all of them only after a Resume.
TEST(ResumeTalk, counts_only_where_a_session_goes_on) {
  Resuming talk(false);
  talk.at_client.announce_gone(std::vector<std::uint64_t>{7});
  talk.run();
  EXPECT_EQ(talk.heard.size(), 1U);
  EXPECT_FALSE(talk.server.failure());
  talk.at_client.announce_done(1);
  talk.run();
  EXPECT_TRUE(talk.server.failure());
  EXPECT_EQ(talk.heard.size(), 1U);
}

TEST(ResumeTalk, hears_that_the_session_goes_on_once_and_only_as_asked_for) {
  const SessionId session{7};
  for (const bool is_asked_for : {true, false}) {
    Resuming talk(false);
    if (is_asked_for) talk.at_client.expect_resumed(session);
    talk.at_server.answer_resumed(session, kResumeTerms);
    talk.run();
    const auto resumed = talk.at_client.poll_resumed();
    EXPECT_EQ(resumed.has_value(), is_asked_for);
    EXPECT_EQ(talk.client.failure().has_value(), !is_asked_for);
    if (!is_asked_for) continue;
    EXPECT_EQ(resumed->session_id, session);
    EXPECT_EQ(resumed->terms.worker, 3);
    EXPECT_EQ(resumed->terms.grace, std::chrono::seconds(60));
    EXPECT_TRUE(resumed->terms.is_multipath);
    talk.at_client.announce_done(3);  // which the server now expects
    talk.run();
    EXPECT_EQ(talk.heard.size(), 1U);
    talk.at_server.answer_resumed(session, kResumeTerms);
    talk.run();
    EXPECT_TRUE(talk.client.failure()) << "a second answer to one question";
  }
}

TEST(ResumeTalk, is_not_answered_with_another_session_or_without_terms) {
  const SessionId session{7};
  const SessionId other{8};
  Bytes without_terms;
  MessageBuilder(MessageType::resumed).bytes(kResumedId, session).append_to(without_terms);
  Bytes of_another;
  resumed_message(other, kResumeTerms).append_to(of_another);
  for (const Bytes& answer : {without_terms, of_another}) {
    Resuming talk;
    talk.at_client.expect_resumed(session);
    talk.client.handle_data(answer);
    EXPECT_TRUE(talk.client.failure());
    EXPECT_FALSE(talk.at_client.poll_resumed());
  }
}

TEST(ResumeTalk, breaks_off_over_ids_and_counts_that_cannot_be_read) {
  const Bytes too_many(limits::kMaxGoneIds + 1, 1);
  std::vector<MessageBuilder> broken(5, MessageBuilder(MessageType::flows_gone));
  broken[1].bytes(kGoneIds, Bytes{0x40});
  broken[2].bytes(kGoneIds, too_many);
  broken[3] = MessageBuilder(MessageType::resume_done);
  broken[4] = MessageBuilder(MessageType::resume_done);
  broken[4].bytes(kDoneCount, Bytes{1, 1});
  for (const MessageBuilder& message : broken) {
    Resuming talk;
    Bytes bytes;
    message.append_to(bytes);
    talk.server.handle_data(bytes);
    EXPECT_TRUE(talk.server.failure());
    EXPECT_FALSE(talk.at_server.poll_event());
  }
}

// Of another direction, of a later release, or of the handshake that is over.
TEST(ResumeTalk, knows_what_it_is_told_at_its_end) {
  for (const std::uint64_t type : {16, 17, 18, 19, 20, 21, 22, 23}) {
    Resuming talk(false);
    Bytes bytes;
    MessageBuilder(static_cast<MessageType>(type)).number(9, 1).append_to(bytes);
    talk.server.handle_data(bytes);
    talk.client.handle_data(bytes);
    EXPECT_EQ(talk.server.failure().has_value(), type == 16 || type == 19 || type == 20) << type;
    EXPECT_EQ(talk.client.failure().has_value(), type == 17 || type == 18) << type;
  }
}

}  // namespace
}  // namespace culvert::session
