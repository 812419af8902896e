#include "session/handshake.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "session/auth_limiter.h"
#include "session/culvert1_handshake.h"
#include "session/message.h"
#include "session/mf4_json.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::session {
namespace {

constexpr Instant kStart{std::chrono::seconds(1)};

crypto::SecretKey key_of(std::uint8_t value) {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(value);
  return crypto::SecretKey::from_seed(seed);
}

// A client and a server handshake with a perfect stream between them.
struct Pair {
  explicit Pair(Dialect d) : dialect(d) {}

  void start() {
    client = make_client_handshake(dialect,
                                   {.credentials = &credentials,
                                    .offers_resume = client_offers_resume,
                                    .ticket = ticket,
                                    .joins = joins},
                                   client_exporter, rng, kStart);
    server = make_server_handshake(dialect,
                                   {.policy = {std::shared_ptr<void>(), &policy},
                                    .max_flows = 500,
                                    .admits = admits,
                                    .resume = terms,
                                    .resume_keys = resume_keys,
                                    .gate = gate,
                                    .address = address},
                                   client_id, server_exporter, rng, kStart);
  }
  // Until both are silent; one byte at a time when `is_dripping`.
  void exchange() {
    for (int round = 0; round < 10; ++round) {
      move(*client, *server);
      move(*server, *client);
    }
    while (auto event = client->poll_event()) client_events.push_back(std::move(*event));
    while (auto event = server->poll_event()) server_events.push_back(std::move(*event));
  }
  void move(Handshake& from, Handshake& to) const {
    const Bytes bytes = from.take_output();
    if (is_dripping) {
      for (const std::uint8_t byte : bytes) to.handle_data(kStart, ByteView(&byte, 1));
    } else if (!bytes.empty()) {
      to.handle_data(kStart, bytes);
    }
  }
  void run() {
    start();
    exchange();
  }
  template <typename T>
  [[nodiscard]] const T* client_event() const {
    return client_events.size() == 1 ? std::get_if<T>(client_events.data()) : nullptr;
  }
  template <typename T>
  [[nodiscard]] const T* server_event() const {
    return server_events.size() == 1 ? std::get_if<T>(server_events.data()) : nullptr;
  }

  Dialect dialect;
  SeededRng rng{1};
  ServerAuthPolicy policy;
  ClientCredentials credentials;
  crypto::EndpointId client_id = key_of(9).public_key();
  ExporterValue client_exporter{1, 2, 3};
  ExporterValue server_exporter{1, 2, 3};
  std::function<Admittance(Instant, const AuthIdentity&)> admits;
  bool client_offers_resume = false;
  std::optional<ResumeTicket> ticket;
  bool joins = false;
  std::optional<ResumeTerms> terms;
  ResumeKeyLookup resume_keys;
  AuthGate* gate = nullptr;
  std::optional<IpAddress> address;
  bool is_dripping = false;
  std::unique_ptr<Handshake> client;
  std::unique_ptr<Handshake> server;
  std::vector<HandshakeEvent> client_events;
  std::vector<HandshakeEvent> server_events;
};

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
    const auto* at_server = pair.server_event<Authenticated>();
    const auto* at_client = pair.client_event<Authenticated>();
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
  const auto* at_server = pair.server_event<Authenticated>();
  ASSERT_NE(at_server, nullptr);
  EXPECT_EQ(at_server->identity.kind, ProofKind::key);
  EXPECT_EQ(at_server->identity.comment, "bob");
  EXPECT_EQ(at_server->identity.credential, credential_id(key_of(2).public_key()));
  ASSERT_NE(pair.client_event<Authenticated>(), nullptr);
}

TEST_P(HandshakeTest, lets_a_known_endpoint_id_in) {
  Pair pair(GetParam());
  pair.policy.endpoint_ids[pair.client_id] = "the office";
  pair.run();
  const auto* at_server = pair.server_event<Authenticated>();
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
    const auto* at_client = pair.client_event<Refused>();
    const auto* at_server = pair.server_event<Refused>();
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
  ASSERT_NE(pair.server_event<Authenticated>(), nullptr);
  EXPECT_EQ(pair.server_event<Authenticated>()->identity.kind, ProofKind::nothing);
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
  ASSERT_NE(pair.client_event<Refused>(), nullptr);
  EXPECT_NE(pair.client_event<Refused>()->reason.find("limit"), std::string::npos);
  EXPECT_EQ(pair.server_event<Refused>()->code, CloseCode::session_limit);
}

TEST_P(HandshakeTest, does_not_ask_for_a_place_for_strangers) {
  Pair pair(GetParam());
  pair.admits = [](Instant, const AuthIdentity&) {
    ADD_FAILURE() << "a stranger took a place";
    return Admittance::admitted;
  };
  pair.run();
  EXPECT_NE(pair.client_event<Refused>(), nullptr);
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
    const auto* refused = pair.server_event<Refused>();
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
  EXPECT_EQ(locked.server_event<Refused>()->retry_after_s, 60U);
  EXPECT_EQ(locked.server_event<Refused>()->kind, ProofKind::token);
  EXPECT_EQ(locked.server_event<Refused>()->verdict.decision, AuthDecision::credential_locked);
  EXPECT_TRUE(locked.server->is_output_finished());
  const auto* at_client = locked.client_event<Refused>();
  ASSERT_NE(at_client, nullptr);
  EXPECT_EQ(at_client->reason, "Too many failed attempts, try again later");
  EXPECT_EQ(at_client->retry_after_s, GetParam() == Dialect::culvert_1 ? 60U : 0U);

  const Pair good = server.attempt({.token = server.good, .key = {}});
  EXPECT_NE(good.client_event<Authenticated>(), nullptr);
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
  EXPECT_EQ(locked.server_event<Refused>()->kind, ProofKind::key);
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
  EXPECT_FALSE(pair.server->poll_event());
  for (Handshake* handshake : {pair.server.get(), pair.client.get()}) {
    handshake->handle_timeout(kStart + limits::kHandshakeTimeout);
    const auto event = handshake->poll_event();
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
    const auto event = handshake->poll_event();
    EXPECT_TRUE(event && std::holds_alternative<Failed>(*event));
  }
}

TEST_P(HandshakeTest, holds_a_bounded_amount_of_an_endless_message) {
  Pair pair(GetParam());
  pair.start();
  const Bytes noise(1'000, 0x3f);
  std::optional<HandshakeEvent> event;
  for (int i = 0; i < 40 && !event; ++i) {
    pair.server->handle_data(kStart, noise);
    event = pair.server->poll_event();
  }
  ASSERT_TRUE(event && std::holds_alternative<Failed>(*event));
  EXPECT_EQ(std::get<Failed>(*event).code, CloseCode::protocol_error);
  pair.server->handle_data(kStart, noise);  // ignored
  EXPECT_FALSE(pair.server->poll_event());
}

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
    EXPECT_NE(pair.client_event<Refused>(), nullptr);
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

TEST(Culvert1Handshake, says_goodbye) {
  Pair pair(Dialect::culvert_1);
  pair.policy.allows_anyone = true;
  pair.run();
  pair.server_events.clear();
  pair.client->leave("done for today");
  pair.exchange();
  ASSERT_NE(pair.server_event<PeerLeaving>(), nullptr);
  EXPECT_EQ(pair.server_event<PeerLeaving>()->reason, "done for today");
}

TEST(Culvert1Handshake, skips_messages_from_the_future) {
  Pair pair(Dialect::culvert_1);
  pair.policy.allows_anyone = true;
  pair.start();
  pair.server->handle_data(kStart, hex_decode("7fff03010100").value());
  pair.exchange();
  EXPECT_NE(pair.server_event<Authenticated>(), nullptr);
}

TEST(Culvert1Handshake, refuses_a_second_or_early_proof) {
  Pair pair(Dialect::culvert_1);
  pair.policy.allows_anyone = true;
  pair.start();
  Bytes proof;
  MessageBuilder(MessageType::proof).number(1, 3).append_to(proof);
  pair.server->handle_data(kStart, proof);  // before the challenge
  const auto event = pair.server->poll_event();
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
  const auto event = pair.server->poll_event();
  ASSERT_TRUE(event && std::holds_alternative<Refused>(*event));
  EXPECT_NE(std::get<Refused>(*event).reason.find("version 1"), std::string::npos);
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
  const auto event = pair.server->poll_event();
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
    const auto event = pair.server->poll_event();
    ASSERT_TRUE(event && std::holds_alternative<Failed>(*event)) << json.substr(0, 60);
  }
  Pair pair(Dialect::mf_4);
  pair.start();
  pair.server->handle_data(kStart, Bytes{0, 0, 0x40, 1});  // 16385 bytes announced
  const auto event = pair.server->poll_event();
  EXPECT_TRUE(event && std::holds_alternative<Failed>(*event));
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
    const auto* at_client = pair.client_event<Resumed>();
    const auto* at_server = pair.server_event<Resumed>();
    ASSERT_NE(at_client, nullptr);
    ASSERT_NE(at_server, nullptr);
    EXPECT_EQ(at_client->session_id, SessionId{7});
    EXPECT_EQ(at_client->terms.worker, 3);
    EXPECT_EQ(at_client->terms.grace, std::chrono::seconds(60));
    const std::vector<std::uint64_t> gone{1, 70'000};
    pair.server_events.clear();
    pair.client->announce_gone(gone);
    pair.client->announce_done(9);
    pair.exchange();
    ASSERT_EQ(pair.server_events.size(), 2U);
    EXPECT_EQ(std::get<FlowsGone>(pair.server_events[0]).ids, gone);
    EXPECT_EQ(std::get<ResumeDone>(pair.server_events[1]).count, 9U);
  }
}

TEST(Resume, falls_back_to_a_new_session_that_still_needs_a_proof) {
  for (const bool has_credentials : {true, false}) {
    Pair pair = resuming_pair({2});  // another key: the session is another's
    if (!has_credentials) pair.credentials.token.reset();
    pair.run();
    if (has_credentials) {
      const auto* at_client = pair.client_event<Authenticated>();
      ASSERT_NE(at_client, nullptr);
      EXPECT_FALSE(at_client->resume_refusal.empty());
      EXPECT_NE(at_client->session_id, SessionId{7});
      ASSERT_TRUE(at_client->resume.has_value());
      EXPECT_EQ(at_client->resume->worker, 3);
      ASSERT_NE(pair.server_event<Authenticated>(), nullptr);
    } else {
      ASSERT_NE(pair.client_event<Refused>(), nullptr);
      ASSERT_NE(pair.server_event<Refused>(), nullptr);
    }
  }
}

TEST(Resume, is_worth_nothing_on_another_connection) {
  Pair pair = resuming_pair({1});
  pair.client_exporter = {9, 9, 9};  // somebody in the middle
  pair.run();
  EXPECT_EQ(pair.server_event<Resumed>(), nullptr);
  EXPECT_EQ(pair.client_event<Resumed>(), nullptr);
}

TEST(Resume, needs_the_feature_on_both_sides) {
  for (const bool client_has_it : {true, false}) {
    Pair pair = resuming_pair({1});
    pair.client_offers_resume = client_has_it;
    if (client_has_it) pair.terms.reset();
    pair.run();
    const auto* at_client = pair.client_event<Authenticated>();
    ASSERT_NE(at_client, nullptr);
    EXPECT_FALSE(at_client->resume.has_value());
    ASSERT_NE(pair.server_event<Authenticated>(), nullptr);
    EXPECT_FALSE(pair.server_event<Authenticated>()->resume.has_value());
  }
}

TEST(Resume, has_one_try_a_connection_and_no_words_before_it) {
  Pair pair = resuming_pair({2});
  pair.start();
  pair.server->handle_data(kStart, pair.client->take_output());
  pair.client->handle_data(kStart, pair.server->take_output());
  const Bytes resume = pair.client->take_output();
  pair.server->handle_data(kStart, resume);
  EXPECT_FALSE(pair.server->poll_event().has_value());
  pair.server->handle_data(kStart, resume);
  const auto event = pair.server->poll_event();
  ASSERT_TRUE(event && std::holds_alternative<Failed>(*event));

  Pair early = resuming_pair({1});
  early.start();
  early.server->handle_data(kStart, early.client->take_output());
  Bytes done;
  MessageBuilder(MessageType::resume_done).number(1, 0).append_to(done);
  early.server->handle_data(kStart, done);
  const auto failed = early.server->poll_event();
  ASSERT_TRUE(failed && std::holds_alternative<Failed>(*failed));
}

// --- several connections -----------------------------------------------------------------------

Pair joining_pair(const std::vector<std::uint8_t>& known_keys) {
  Pair pair = resuming_pair(known_keys);
  pair.joins = true;
  return pair;
}

TEST(Join, adds_the_connection_and_may_be_promoted_once) {
  for (const bool is_dripping : {false, true}) {
    Pair pair = joining_pair({2, 1});
    pair.is_dripping = is_dripping;
    pair.run();
    const auto* at_client = pair.client_event<Joined>();
    ASSERT_NE(at_client, nullptr);
    EXPECT_EQ(at_client->session_id, SessionId{7});
    ASSERT_NE(pair.server_event<Joined>(), nullptr);
    EXPECT_EQ(pair.server_event<Joined>()->session_id, SessionId{7});

    pair.client_events.clear();
    pair.server_events.clear();
    pair.client->promote(resume_key_of(1));
    pair.exchange();
    ASSERT_NE(pair.server_event<Promoted>(), nullptr);
    EXPECT_EQ(pair.server_event<Promoted>()->key_index, 1U);
    const auto* resumed = pair.client_event<Resumed>();
    ASSERT_NE(resumed, nullptr);
    EXPECT_EQ(resumed->session_id, SessionId{7});
    EXPECT_TRUE(resumed->terms.is_multipath);
    pair.server_events.clear();
    pair.client->announce_done(3);
    pair.exchange();
    ASSERT_NE(pair.server_event<ResumeDone>(), nullptr);

    pair.server_events.clear();
    pair.client->promote(resume_key_of(1));
    pair.exchange();
    EXPECT_NE(pair.server_event<Failed>(), nullptr);
  }
}

TEST(Join, promotes_nobody_without_the_key_of_the_session) {
  Pair pair = joining_pair({2, 1});
  pair.run();
  ASSERT_NE(pair.server_event<Joined>(), nullptr);
  pair.server_events.clear();
  pair.client->promote(resume_key_of(3));
  pair.exchange();
  EXPECT_NE(pair.server_event<Failed>(), nullptr);
}

TEST(Join, is_refused_without_the_key_of_the_session) {
  Pair stranger = joining_pair({2});
  stranger.run();
  const auto* refused = stranger.client_event<Refused>();
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->code, CloseCode::moved);
  EXPECT_NE(stranger.server_event<Refused>(), nullptr);

  Pair relayed = joining_pair({1});
  relayed.client_exporter = {9, 9, 9};  // somebody in the middle
  relayed.run();
  EXPECT_EQ(relayed.client_event<Joined>(), nullptr);
  EXPECT_EQ(relayed.server_event<Joined>(), nullptr);
}

// The proof for one purpose does not serve for the other.
TEST(Join, is_another_right_than_to_resume) {
  const ResumeKey key = resume_key_of(1);
  EXPECT_NE(join_proof(key, {}, {}), resume_proof(key, {}, {}));
}

TEST(Join, comes_before_promotion) {
  Pair pair = resuming_pair({1});
  pair.run();
  ASSERT_NE(pair.server_event<Resumed>(), nullptr);
  Bytes promote;
  MessageBuilder(MessageType::promote).append_to(promote);
  pair.server_events.clear();
  pair.server->handle_data(kStart, promote);
  pair.exchange();
  EXPECT_NE(pair.server_event<Failed>(), nullptr);
}

TEST(Join, needs_a_server_that_takes_several_connections) {
  Pair pair = joining_pair({1});
  pair.terms.reset();
  pair.run();
  EXPECT_NE(pair.client_event<Failed>(), nullptr);
}

}  // namespace
}  // namespace culvert::session
