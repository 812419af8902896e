// Handshakes of both roles and dialects fed with arbitrary bytes in arbitrary pieces: they
// never let anybody in without proof, decide once, take nothing behind that, and hold a bounded
// amount.
#include "base/assert.h"
#include "base/limits.h"
#include "session/handshake.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace {

using namespace culvert;
using namespace culvert::session;

void feed(Handshake& handshake, ByteView input, bool may_succeed) {
  Instant now{std::chrono::seconds(1)};
  std::optional<Verdict> verdict;
  while (!input.empty()) {
    const std::size_t size = std::min<std::size_t>(input.size(), 1 + input[0] % 97);
    const std::size_t taken = handshake.handle_data(now, input.first(size));
    CULVERT_ASSERT(taken <= size);
    CULVERT_ASSERT(handshake.take_output().size() <= limits::kControlMessageBytes);
    const bool had_verdict = verdict.has_value();
    if (auto one = handshake.poll_verdict()) {
      CULVERT_ASSERT(!verdict);
      verdict = std::move(one);
    }
    if (taken < size || (had_verdict && taken == 0)) {
      CULVERT_ASSERT(verdict);  // the rest is somebody else's
      break;
    }
    input = input.subspan(size);
  }
  handshake.handle_fin(now);
  handshake.handle_timeout(handshake.next_timeout());
  if (auto one = handshake.poll_verdict()) {
    CULVERT_ASSERT(!verdict);
    verdict = std::move(one);
  }
  CULVERT_ASSERT(verdict);
  const bool is_refused =
      std::holds_alternative<Refused>(*verdict) || std::holds_alternative<Failed>(*verdict);
  CULVERT_ASSERT(may_succeed || is_refused);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  const Dialect dialect = (data[0] & 1) != 0 ? Dialect::mf_4 : Dialect::culvert_1;
  const bool is_client = (data[0] & 2) != 0;
  SeededRng rng(data[0]);
  ServerAuthPolicy policy;
  (void)policy.tokens.add(generate_token(rng));
  policy.keys.add(crypto::SecretKey::generate(rng).public_key(), "key");
  ClientCredentials credentials;
  if ((data[0] & 4) != 0) credentials.token = generate_token(rng);
  if ((data[0] & 8) != 0) credentials.key = crypto::SecretKey::generate(rng);
  const ResumeKey key(std::array<std::uint8_t, 32>{0x5a});
  const Instant now{std::chrono::seconds(1)};
  const auto handshake =
      is_client ? make_client_handshake(dialect,
                                        {.credentials = &credentials,
                                         .offers_resume = (data[0] & 16) != 0,
                                         .ticket = ResumeTicket{.session_id = {}, .key = key},
                                         .joins = (data[0] & 32) != 0},
                                        {}, rng, now)
                : make_server_handshake(
                      dialect,
                      {.policy = {std::shared_ptr<void>(), &policy},
                       .max_flows = 1,
                       .admits = {},
                       .resume = (data[0] & 16) != 0 ? std::optional(ResumeTerms{}) : std::nullopt,
                       .resume_keys = [&](const SessionId&) { return std::vector{key}; }},
                      {}, {}, rng, now);
  feed(*handshake, input, is_client);
  return 0;
}
