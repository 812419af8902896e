#include "session/handshake.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "session/auth_limiter.h"
#include "session/handshake_pair.h"
#include "session/mf4_json.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::session {
namespace {

class HandshakeTest : public testing::TestWithParam<Dialect> {};
INSTANTIATE_TEST_SUITE_P(Dialects, HandshakeTest,
                         testing::Values(Dialect::culvert_1, Dialect::mf_4));

TEST_P(HandshakeTest, lets_the_holder_of_a_token_in) {
  for (const bool is_dripping : {false, true}) {
    Pair pair(GetParam());
    const Token token = generate_token(pair.rng);
    (void)pair.policy.tokens.add(generate_token(pair.rng));
    (void)pair.policy.tokens.add(token);
    pair.credentials.token = token;
    pair.is_dripping = is_dripping;
    pair.run();
    const auto* at_server = pair.server_verdict_as<Authenticated>();
    const auto* at_client = pair.client_verdict_as<Authenticated>();
    ASSERT_NE(at_server, nullptr);
    ASSERT_NE(at_client, nullptr);
    EXPECT_EQ(at_server->identity.kind, ProofKind::token);
    EXPECT_TRUE(CredentialCheck(pair.policy).lets_in(at_server->identity));
    EXPECT_EQ(at_server->identity.credential, credential_id(std::string_view(token.reveal())));
    EXPECT_EQ(at_client->identity.kind, ProofKind::token);
    EXPECT_EQ(at_client->session_id, at_server->session_id);
    const bool is_ours = GetParam() == Dialect::culvert_1;
    EXPECT_EQ(at_client->max_flows, is_ours ? 500U : 0U);
    EXPECT_EQ(at_client->dialect, is_ours ? Dialect::culvert_1 : Dialect::mf_4_token);
    EXPECT_EQ(at_server->dialect, at_client->dialect);
    EXPECT_EQ(pair.client->next_timeout(), kNever);
    EXPECT_EQ(pair.server->next_timeout(), kNever);
  }
}

TEST_P(HandshakeTest, lets_the_holder_of_a_key_in_and_knows_whose) {
  Pair pair(GetParam());
  pair.policy.keys.add(key_of(1).public_key(), "alice");
  pair.policy.keys.add(key_of(2).public_key(), "bob");
  pair.credentials.key = key_of(2);
  pair.run();
  const auto* at_server = pair.server_verdict_as<Authenticated>();
  ASSERT_NE(at_server, nullptr);
  EXPECT_EQ(at_server->identity.kind, ProofKind::key);
  EXPECT_EQ(at_server->identity.comment, "bob");
  EXPECT_EQ(at_server->identity.credential, credential_id(key_of(2).public_key()));
  ASSERT_NE(pair.client_verdict_as<Authenticated>(), nullptr);
}

TEST_P(HandshakeTest, lets_a_known_endpoint_id_in) {
  Pair pair(GetParam());
  pair.policy.endpoint_ids[pair.client_id] = "the office";
  pair.run();
  const auto* at_server = pair.server_verdict_as<Authenticated>();
  ASSERT_NE(at_server, nullptr);
  EXPECT_EQ(at_server->identity.kind, ProofKind::endpoint_id);
  EXPECT_EQ(at_server->identity.comment, "the office");
  EXPECT_EQ(at_server->identity.credential, credential_id(pair.client_id));
}

TEST_P(HandshakeTest, keeps_everybody_else_out) {
  SeededRng rng(5);
  const Token stranger = generate_token(rng);
  const ClientCredentials strangers[] = {
      {}, {.token = stranger, .key = {}}, {.token = {}, .key = key_of(3)}};
  for (const ClientCredentials& credentials : strangers) {
    Pair pair(GetParam());
    (void)pair.policy.tokens.add(generate_token(pair.rng));
    pair.policy.keys.add(key_of(1).public_key(), "alice");
    pair.policy.endpoint_ids[key_of(8).public_key()] = "";
    pair.credentials = credentials;
    pair.run();
    const auto* at_client = pair.client_verdict_as<Refused>();
    const auto* at_server = pair.server_verdict_as<Refused>();
    ASSERT_NE(at_client, nullptr);
    ASSERT_NE(at_server, nullptr);
    EXPECT_EQ(at_server->code, CloseCode::auth_failed);
    EXPECT_FALSE(at_client->reason.empty());
    EXPECT_TRUE(pair.server->is_output_finished());
  }
}

TEST_P(HandshakeTest, lets_anyone_in_only_when_told_to) {
  Pair pair(GetParam());
  pair.policy.allows_anyone = true;
  pair.run();
  ASSERT_NE(pair.server_verdict_as<Authenticated>(), nullptr);
  EXPECT_EQ(pair.server_verdict_as<Authenticated>()->identity.kind, ProofKind::nothing);
}

TEST_P(HandshakeTest, tells_a_client_with_good_proof_that_the_server_is_full) {
  Pair pair(GetParam());
  pair.policy.allows_anyone = true;
  int asked = 0;
  pair.admits = [&](Instant, const AuthIdentity&) {
    ++asked;
    return Admittance::server_full;
  };
  pair.run();
  EXPECT_EQ(asked, 1);
  ASSERT_NE(pair.client_verdict_as<Refused>(), nullptr);
  EXPECT_NE(pair.client_verdict_as<Refused>()->reason.find("limit"), std::string::npos);
  EXPECT_EQ(pair.server_verdict_as<Refused>()->code, CloseCode::session_limit);
}

TEST_P(HandshakeTest, does_not_ask_for_a_place_for_strangers) {
  Pair pair(GetParam());
  pair.admits = [](Instant, const AuthIdentity&) {
    ADD_FAILURE() << "a stranger took a place";
    return Admittance::admitted;
  };
  pair.run();
  EXPECT_NE(pair.client_verdict_as<Refused>(), nullptr);
}

// --- limits on failures -----------------------------------------------------------------------

// A server whose limiter outlives its handshakes.
struct Guarded {
  Guarded(Dialect d, const AuthLimits& limits) : dialect(d), limiter(limits, rng) {
    (void)tokens.add(good);
  }
  // The finished handshake of one more client.
  Pair attempt(const ClientCredentials& credentials, std::uint8_t client = 9) {
    Pair pair(dialect);
    pair.policy.tokens = tokens;
    pair.policy.keys.add(key_of(1).public_key(), "alice");
    pair.credentials = credentials;
    pair.client_id = key_of(client).public_key();
    pair.gate = &limiter;
    pair.address = address;
    pair.run();
    return pair;
  }
  static CloseCode code_of(const Pair& pair) {
    const auto* refused = pair.server_verdict_as<Refused>();
    return refused == nullptr ? CloseCode::done : refused->code;
  }

  Dialect dialect;
  SeededRng rng{3};
  Token good = generate_token(rng);
  TokenSet tokens;
  AuthLimiter limiter;
  std::optional<IpAddress> address;
};

constexpr AuthLimits kByCredential{.max_address_failures = 0, .global_failures = 0};

TEST_P(HandshakeTest, refuses_the_sixth_wrong_token_for_a_while_and_still_takes_the_right_one) {
  Guarded server(GetParam(), kByCredential);
  const Token wrong = generate_token(server.rng);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Guarded::code_of(server.attempt({.token = wrong, .key = {}})),
              CloseCode::auth_failed);
  }
  const Pair locked = server.attempt({.token = wrong, .key = {}});
  ASSERT_EQ(Guarded::code_of(locked), CloseCode::rate_limited);
  EXPECT_EQ(locked.server_verdict_as<Refused>()->retry_after_s, 60U);
  EXPECT_EQ(locked.server_verdict_as<Refused>()->kind, ProofKind::token);
  EXPECT_EQ(locked.server_verdict_as<Refused>()->verdict.decision, AuthDecision::credential_locked);
  EXPECT_TRUE(locked.server->is_output_finished());
  const auto* at_client = locked.client_verdict_as<Refused>();
  ASSERT_NE(at_client, nullptr);
  EXPECT_EQ(at_client->reason, "Too many failed attempts, try again later");
  EXPECT_EQ(at_client->retry_after_s, GetParam() == Dialect::culvert_1 ? 60U : 0U);

  const Pair good = server.attempt({.token = server.good, .key = {}});
  EXPECT_NE(good.client_verdict_as<Authenticated>(), nullptr);
  EXPECT_EQ(server.limiter.metrics(kStart).accepted, 1U);
}

TEST_P(HandshakeTest, counts_wrong_keys_by_the_key_whoever_shows_them) {
  Guarded server(GetParam(), kByCredential);
  for (std::uint8_t client = 10; client < 15; ++client) {
    EXPECT_EQ(Guarded::code_of(server.attempt({.token = {}, .key = key_of(3)}, client)),
              CloseCode::auth_failed);
  }
  const Pair locked = server.attempt({.token = {}, .key = key_of(3)}, 15);
  EXPECT_EQ(Guarded::code_of(locked), CloseCode::rate_limited);
  EXPECT_EQ(locked.server_verdict_as<Refused>()->kind, ProofKind::key);
  EXPECT_EQ(Guarded::code_of(server.attempt({.token = {}, .key = key_of(4)}, 15)),
            CloseCode::auth_failed);
  EXPECT_EQ(Guarded::code_of(server.attempt({.token = {}, .key = key_of(1)}, 15)), CloseCode::done);
}

TEST_P(HandshakeTest, counts_failures_of_an_address) {
  Guarded server(GetParam(), {.global_failures = 0});
  server.address = IpAddress::v4(0xC0000201);
  const auto stranger = [&](std::uint8_t client) {
    return Guarded::code_of(
        server.attempt({.token = generate_token(server.rng), .key = {}}, client));
  };
  for (std::uint8_t client = 10; client < 18; ++client) {
    EXPECT_EQ(stranger(client), CloseCode::auth_failed);
  }
  EXPECT_EQ(stranger(18), CloseCode::rate_limited);
  EXPECT_EQ(Guarded::code_of(server.attempt({.token = server.good, .key = {}})), CloseCode::done);
  server.address = IpAddress::v4(0xC0000202);
  EXPECT_EQ(stranger(18), CloseCode::auth_failed);
}

TEST(Culvert1Handshake, counts_wrong_tokens_by_who_tries_them) {
  Guarded server(Dialect::culvert_1, kByCredential);
  const auto wrong_from = [&](std::uint8_t client) {
    return Guarded::code_of(
        server.attempt({.token = generate_token(server.rng), .key = {}}, client));
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(wrong_from(20), CloseCode::auth_failed);
  EXPECT_EQ(wrong_from(20), CloseCode::rate_limited);
  EXPECT_EQ(wrong_from(21), CloseCode::auth_failed);
}

TEST(Mf4Handshake, counts_wrong_tokens_by_the_token_and_nonsense_by_address_only) {
  Guarded server(Dialect::mf_4, kByCredential);
  const Token wrong = generate_token(server.rng);
  for (std::uint8_t client = 20; client < 25; ++client) {
    EXPECT_EQ(Guarded::code_of(server.attempt({.token = wrong, .key = {}}, client)),
              CloseCode::auth_failed);
  }
  EXPECT_EQ(Guarded::code_of(server.attempt({.token = wrong, .key = {}}, 25)),
            CloseCode::rate_limited);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(Guarded::code_of(server.attempt({.token = Token("no token"), .key = {}}, 20)),
              CloseCode::auth_failed);
  }
  EXPECT_EQ(server.limiter.metrics(kStart).credentials_tracked, 1U);
}

TEST_P(HandshakeTest, ends_in_time_with_a_silent_peer) {
  Pair pair(GetParam());
  pair.start();
  EXPECT_EQ(pair.server->next_timeout(), kStart + limits::kHandshakeTimeout);
  pair.server->handle_timeout(kStart + limits::kHandshakeTimeout - Duration(1));
  EXPECT_FALSE(pair.server->poll_verdict());
  for (Handshake* handshake : {pair.server.get(), pair.client.get()}) {
    handshake->handle_timeout(kStart + limits::kHandshakeTimeout);
    const auto event = handshake->poll_verdict();
    ASSERT_TRUE(event && std::holds_alternative<Failed>(*event));
    EXPECT_EQ(std::get<Failed>(*event).code, CloseCode::auth_timeout);
    EXPECT_EQ(std::get<Failed>(*event).error.kind, ErrorKind::authentication);
  }
}

TEST_P(HandshakeTest, ends_when_the_stream_ends_early) {
  Pair pair(GetParam());
  pair.start();
  for (Handshake* handshake : {pair.server.get(), pair.client.get()}) {
    handshake->handle_fin(kStart);
    const auto event = handshake->poll_verdict();
    EXPECT_TRUE(event && std::holds_alternative<Failed>(*event));
  }
}

TEST_P(HandshakeTest, holds_a_bounded_amount_of_an_endless_message) {
  Pair pair(GetParam());
  pair.start();
  const Bytes noise(1'000, 0x3f);
  std::optional<Verdict> event;
  for (int i = 0; i < 40 && !event; ++i) {
    pair.server->handle_data(kStart, noise);
    event = pair.server->poll_verdict();
  }
  ASSERT_TRUE(event && std::holds_alternative<Failed>(*event));
  EXPECT_EQ(std::get<Failed>(*event).code, CloseCode::protocol_error);
  pair.server->handle_data(kStart, noise);  // ignored
  EXPECT_FALSE(pair.server->poll_verdict());
}

// --- mf/4 as tunnel-rs writes it: docs/protocol/mf-4.md, vectors --------------------------------

Bytes framed(std::string_view json) {
  Bytes out;
  ByteWriter writer(out);
  writer.u32(static_cast<std::uint32_t>(json.size()));
  writer.raw(as_bytes(json));
  return out;
}

TEST(Mf4Handshake, signs_the_challenge_as_tunnel_rs) {
  std::array<std::uint8_t, 32> challenge{};
  challenge.fill(0x07);
  const Bytes message = mf4::proof_message(challenge);
  EXPECT_EQ(message.size(), 71U);
  EXPECT_EQ(hex_encode(key_of(0x2a).sign(message)),
            "74b9ad78ea8efefed1c77e24307585c48b9ffa51b99b531aecb0f97b640bb79ee8f559f1e3ac3c5c8dc716"
            "d0519ee32cf013c2d7dd60694caca32a7c7a3e6f01");
}

TEST(Mf4Handshake, reads_json_in_any_order_with_unknown_fields) {
  Pair pair(Dialect::mf_4);
  const Token token = generate_token(pair.rng);
  (void)pair.policy.tokens.add(token);
  pair.start();
  pair.server->handle_data(kStart, framed(R"({ "new": {"a": [1]}, "auth_token": ")" +
                                          token.reveal() + R"(", "version": 3 })"));
  const auto event = pair.server->poll_verdict();
  ASSERT_TRUE(event && std::holds_alternative<Authenticated>(*event));
  EXPECT_EQ(std::get<Authenticated>(*event).dialect, Dialect::mf_4_token);
}

TEST(Mf4Handshake, refuses_json_that_is_none_of_its_messages) {
  const std::string deep = std::string(8'000, '[') + std::string(8'000, ']');
  for (const std::string& json :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"), std::string("null"),
        std::string(R"({"version":2})"), std::string(R"({"version":"3"})"),
        std::string(R"({"version":3,"auth_token":5})"),
        std::string(R"({"version":4,"public_key":[1,2]})"),
        std::string(R"({"version":4,"signature":"x"})"), deep, R"({"version":3,"x":)" + deep}) {
    Pair pair(Dialect::mf_4);
    pair.policy.allows_anyone = true;
    pair.start();
    pair.server->handle_data(kStart, framed(json));
    const auto event = pair.server->poll_verdict();
    ASSERT_TRUE(event && std::holds_alternative<Failed>(*event)) << json.substr(0, 60);
  }
  Pair pair(Dialect::mf_4);
  pair.start();
  pair.server->handle_data(kStart, Bytes{0, 0, 0x40, 1});  // 16385 bytes announced
  const auto event = pair.server->poll_verdict();
  EXPECT_TRUE(event && std::holds_alternative<Failed>(*event));
}

}  // namespace
}  // namespace culvert::session
