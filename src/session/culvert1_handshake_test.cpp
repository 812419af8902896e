#include "session/culvert1_handshake.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "session/handshake_pair.h"
#include "session/message.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::session {
namespace {

TEST(Culvert1Handshake, binds_its_proof_to_the_connection) {
  for (const bool uses_key : {false, true}) {
    Pair pair(Dialect::culvert_1);
    const Token token = generate_token(pair.rng);
    (void)pair.policy.tokens.add(token);
    pair.policy.keys.add(key_of(1).public_key(), "alice");
    if (uses_key) {
      pair.credentials.key = key_of(1);
    } else {
      pair.credentials.token = token;
    }
    // As when a server that the client trusts passes the proof on to another.
    pair.server_exporter[31] ^= 1;
    pair.run();
    EXPECT_NE(pair.client_verdict_as<Refused>(), nullptr);
  }
}

TEST(Culvert1Handshake, never_shows_the_token) {
  Pair pair(Dialect::culvert_1);
  pair.credentials.token = generate_token(pair.rng);
  (void)pair.policy.tokens.add(*pair.credentials.token);
  pair.start();
  Bytes said;
  for (int round = 0; round < 4; ++round) {
    const Bytes up = pair.client->take_output();
    said.insert(said.end(), up.begin(), up.end());
    pair.server->handle_data(kStart, up);
    pair.client->handle_data(kStart, pair.server->take_output());
  }
  EXPECT_EQ(as_text(said).find(pair.credentials.token->reveal().substr(1, 20)),
            std::string_view::npos);
}

TEST(Culvert1Handshake, skips_messages_from_the_future_and_goodbyes) {
  Pair pair(Dialect::culvert_1);
  pair.policy.allows_anyone = true;
  pair.start();
  pair.server->handle_data(kStart, hex_decode("7fff03010100").value());
  Bytes goodbye;
  MessageBuilder(MessageType::goodbye).number(1, 0).append_to(goodbye);
  pair.client->handle_data(kStart, goodbye);
  pair.exchange();
  EXPECT_NE(pair.server_verdict_as<Authenticated>(), nullptr);
}

TEST(Culvert1Handshake, refuses_an_early_proof) {
  Pair pair(Dialect::culvert_1);
  pair.policy.allows_anyone = true;
  pair.start();
  Bytes proof;
  MessageBuilder(MessageType::proof).number(1, 3).append_to(proof);
  pair.server->handle_data(kStart, proof);  // before the challenge
  const auto event = pair.server->poll_verdict();
  ASSERT_TRUE(event && std::holds_alternative<Failed>(*event));
}

TEST(Culvert1Handshake, refuses_versions_it_does_not_speak) {
  Pair pair(Dialect::culvert_1);
  pair.policy.allows_anyone = true;
  pair.start();
  (void)pair.client->take_output();
  Bytes hello;
  MessageBuilder(MessageType::hello).bytes(1, Bytes{2, 3}).append_to(hello);
  pair.server->handle_data(kStart, hello);
  const auto event = pair.server->poll_verdict();
  ASSERT_TRUE(event && std::holds_alternative<Refused>(*event));
  EXPECT_NE(std::get<Refused>(*event).reason.find("version 1"), std::string::npos);
}

// What a hostile client sends behind its proof is read by whoever comes next.
TEST(Culvert1Handshake, takes_nothing_behind_its_verdict) {
  const Bytes more = hex_decode("1405010307412c1303010105").value();
  for (const bool is_dripping : {false, true}) {
    Pair pair(Dialect::culvert_1);
    pair.policy.allows_anyone = true;
    pair.start();
    pair.server->handle_data(kStart, pair.client->take_output());
    pair.client->handle_data(kStart, pair.server->take_output());
    Bytes said = pair.client->take_output();
    const std::size_t proof = said.size();
    said.insert(said.end(), more.begin(), more.end());
    std::size_t taken = 0;
    while (taken < said.size()) {
      const ByteView rest = ByteView(said).subspan(taken);
      const std::size_t took = pair.server->handle_data(kStart, is_dripping ? rest.first(1) : rest);
      if (took == 0) break;
      taken += took;
    }
    EXPECT_EQ(taken, proof);
    const auto verdict = pair.server->poll_verdict();
    ASSERT_TRUE(verdict && std::holds_alternative<Authenticated>(*verdict));
    pair.server->handle_fin(kStart);
    pair.server->handle_timeout(kStart + 2 * limits::kHandshakeTimeout);
    EXPECT_FALSE(pair.server->poll_verdict());
  }
}

// --- resume ----------------------------------------------------------------------------------

ResumeKey resume_key_of(std::uint8_t value) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(value);
  return ResumeKey(bytes);
}

// A pair whose server knows session 7 with the given keys.
Pair resuming_pair(const std::vector<std::uint8_t>& known_keys) {
  Pair pair(Dialect::culvert_1);
  const Token token = generate_token(pair.rng);
  (void)pair.policy.tokens.add(token);
  pair.credentials.token = token;
  pair.client_offers_resume = true;
  pair.terms = ResumeTerms{.grace = std::chrono::seconds(60), .worker = 3};
  pair.ticket = ResumeTicket{.session_id = SessionId{7}, .key = resume_key_of(1)};
  pair.resume_keys = [known_keys](const SessionId& id) {
    std::vector<ResumeKey> keys;
    for (const std::uint8_t value : known_keys) {
      if (id == SessionId{7}) keys.push_back(resume_key_of(value));
    }
    return keys;
  };
  return pair;
}

TEST(Resume, goes_on_when_the_key_is_the_present_or_the_previous_one) {
  for (const auto& known : {std::vector<std::uint8_t>{1}, {2, 1}}) {
    Pair pair = resuming_pair(known);
    pair.run();
    const auto* at_client = pair.client_verdict_as<Resumed>();
    const auto* at_server = pair.server_verdict_as<Resumed>();
    ASSERT_NE(at_client, nullptr);
    ASSERT_NE(at_server, nullptr);
    EXPECT_EQ(at_client->session_id, SessionId{7});
    EXPECT_EQ(at_client->terms.worker, 3);
    EXPECT_EQ(at_client->terms.grace, std::chrono::seconds(60));
    EXPECT_EQ(at_server->key_index, known.size() - 1);
  }
}

TEST(Resume, falls_back_to_a_new_session_that_still_needs_a_proof) {
  for (const bool has_credentials : {true, false}) {
    Pair pair = resuming_pair({2});  // another key: the session is another's
    if (!has_credentials) pair.credentials.token.reset();
    pair.run();
    if (has_credentials) {
      const auto* at_client = pair.client_verdict_as<Authenticated>();
      ASSERT_NE(at_client, nullptr);
      EXPECT_FALSE(at_client->resume_refusal.empty());
      EXPECT_NE(at_client->session_id, SessionId{7});
      ASSERT_TRUE(at_client->resume.has_value());
      EXPECT_EQ(at_client->resume->worker, 3);
      ASSERT_NE(pair.server_verdict_as<Authenticated>(), nullptr);
    } else {
      ASSERT_NE(pair.client_verdict_as<Refused>(), nullptr);
      ASSERT_NE(pair.server_verdict_as<Refused>(), nullptr);
    }
  }
}

TEST(Resume, is_worth_nothing_on_another_connection) {
  Pair pair = resuming_pair({1});
  pair.client_exporter = {9, 9, 9};  // somebody in the middle
  pair.run();
  EXPECT_EQ(pair.server_verdict_as<Resumed>(), nullptr);
  EXPECT_EQ(pair.client_verdict_as<Resumed>(), nullptr);
}

TEST(Resume, needs_the_feature_on_both_sides) {
  for (const bool client_has_it : {true, false}) {
    Pair pair = resuming_pair({1});
    pair.client_offers_resume = client_has_it;
    if (client_has_it) pair.terms.reset();
    pair.run();
    const auto* at_client = pair.client_verdict_as<Authenticated>();
    ASSERT_NE(at_client, nullptr);
    EXPECT_FALSE(at_client->resume.has_value());
    ASSERT_NE(pair.server_verdict_as<Authenticated>(), nullptr);
    EXPECT_FALSE(pair.server_verdict_as<Authenticated>()->resume.has_value());
  }
}

TEST(Resume, has_one_try_a_connection_and_no_words_before_it) {
  Pair pair = resuming_pair({2});
  pair.start();
  pair.server->handle_data(kStart, pair.client->take_output());
  pair.client->handle_data(kStart, pair.server->take_output());
  const Bytes resume = pair.client->take_output();
  pair.server->handle_data(kStart, resume);
  EXPECT_FALSE(pair.server->poll_verdict().has_value());
  pair.server->handle_data(kStart, resume);
  const auto event = pair.server->poll_verdict();
  ASSERT_TRUE(event && std::holds_alternative<Failed>(*event));

  for (const MessageType type :
       {MessageType::resume_done, MessageType::flows_gone, MessageType::promote}) {
    Pair early = resuming_pair({1});
    early.start();
    early.server->handle_data(kStart, early.client->take_output());
    Bytes word;
    MessageBuilder(type).number(1, 0).append_to(word);
    early.server->handle_data(kStart, word);
    const auto failed = early.server->poll_verdict();
    ASSERT_TRUE(failed && std::holds_alternative<Failed>(*failed));
  }
}

// --- several connections -----------------------------------------------------------------------

Pair joining_pair(const std::vector<std::uint8_t>& known_keys) {
  Pair pair = resuming_pair(known_keys);
  pair.joins = true;
  return pair;
}

TEST(Join, adds_the_connection) {
  for (const bool is_dripping : {false, true}) {
    Pair pair = joining_pair({2, 1});
    pair.is_dripping = is_dripping;
    pair.run();
    const auto* at_client = pair.client_verdict_as<Joined>();
    ASSERT_NE(at_client, nullptr);
    EXPECT_EQ(at_client->session_id, SessionId{7});
    ASSERT_NE(pair.server_verdict_as<Joined>(), nullptr);
    EXPECT_EQ(pair.server_verdict_as<Joined>()->session_id, SessionId{7});
    EXPECT_EQ(at_client->binding.nonce, pair.server_verdict_as<Joined>()->binding.nonce);
    EXPECT_EQ(at_client->binding.exporter, pair.client_exporter);
  }
}

TEST(Join, is_refused_without_the_key_of_the_session) {
  Pair stranger = joining_pair({2});
  stranger.run();
  const auto* refused = stranger.client_verdict_as<Refused>();
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->code, CloseCode::moved);
  EXPECT_NE(stranger.server_verdict_as<Refused>(), nullptr);

  Pair relayed = joining_pair({1});
  relayed.client_exporter = {9, 9, 9};  // somebody in the middle
  relayed.run();
  EXPECT_EQ(relayed.client_verdict_as<Joined>(), nullptr);
  EXPECT_EQ(relayed.server_verdict_as<Joined>(), nullptr);
}

// The proof for one purpose does not serve for the other.
TEST(Join, is_another_right_than_to_resume) {
  const ResumeKey key = resume_key_of(1);
  EXPECT_NE(join_proof(key, {}, {}), resume_proof(key, {}, {}));
}

TEST(Join, needs_a_server_that_takes_several_connections) {
  Pair pair = joining_pair({1});
  pair.terms.reset();
  pair.run();
  EXPECT_NE(pair.client_verdict_as<Failed>(), nullptr);
}

}  // namespace
}  // namespace culvert::session
