#include "session/auth_policy.h"

#include "base/rng.h"

#include <gtest/gtest.h>

namespace culvert::session {
namespace {

TEST(CredentialCheck, lets_in_whose_credential_the_policy_still_holds) {
  SeededRng rng(1);
  const Token kept = generate_token(rng);
  const Token gone = generate_token(rng);
  const auto key = crypto::SecretKey::generate(rng).public_key();
  const auto other_key = crypto::SecretKey::generate(rng).public_key();
  ServerAuthPolicy policy;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(policy.tokens.add(generate_token(rng)));
  ASSERT_TRUE(policy.tokens.add(kept));
  policy.keys.add(key, "alice");
  policy.endpoint_ids.emplace(other_key, "");

  const auto of_token = [](const Token& token) {
    return AuthIdentity{.kind = ProofKind::token,
                        .comment = {},
                        .credential = credential_id(std::string_view(token.reveal()))};
  };
  const auto of_key = [](ProofKind kind, const crypto::PublicKey& its_key) {
    return AuthIdentity{.kind = kind, .comment = {}, .credential = credential_id(its_key)};
  };
  const CredentialCheck check(policy);
  EXPECT_TRUE(check.lets_in(of_token(kept)));
  EXPECT_FALSE(check.lets_in(of_token(gone)));
  EXPECT_TRUE(check.lets_in(of_key(ProofKind::key, key)));
  EXPECT_FALSE(check.lets_in(of_key(ProofKind::key, other_key)));
  EXPECT_TRUE(check.lets_in(of_key(ProofKind::endpoint_id, other_key)));
  EXPECT_FALSE(check.lets_in(of_key(ProofKind::endpoint_id, key)));
  EXPECT_FALSE(check.lets_in({}));

  policy.allows_anyone = true;
  EXPECT_TRUE(CredentialCheck(policy).lets_in(of_token(gone)));
  EXPECT_TRUE(CredentialCheck(policy).lets_in({}));
}

TEST(ClientCredentials, are_the_same_when_they_prove_the_same) {
  SeededRng rng(1);
  const ClientCredentials token{.token = generate_token(rng), .key = {}};
  const ClientCredentials other{.token = generate_token(rng), .key = {}};
  const ClientCredentials key{.token = {}, .key = crypto::SecretKey::generate(rng)};
  EXPECT_TRUE(are_same(token, token));
  EXPECT_TRUE(are_same(key, key));
  EXPECT_TRUE(are_same({}, {}));
  EXPECT_FALSE(are_same(token, other));
  EXPECT_FALSE(are_same(token, key));
  EXPECT_FALSE(are_same(key, {.token = {}, .key = crypto::SecretKey::generate(rng)}));
}

TEST(CredentialId, is_not_the_token) {
  SeededRng rng(1);
  const Token token = generate_token(rng);
  const CredentialId id = credential_id(std::string_view(token.reveal()));
  const std::string_view text(reinterpret_cast<const char*>(id.data()), id.size());
  EXPECT_EQ(token.reveal().find(text), std::string::npos);
  EXPECT_NE(id, credential_id(std::string_view(generate_token(rng).reveal())));
}

}  // namespace
}  // namespace culvert::session
