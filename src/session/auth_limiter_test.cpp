#include "session/auth_limiter.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace culvert::session {
namespace {

using std::chrono::seconds;

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}

struct LimiterTest : testing::Test {
  void configure(const AuthLimits& limits) { limiter = std::make_unique<AuthLimiter>(limits, rng); }
  AuthVerdict fail(std::string_view credential, std::optional<IpAddress> address = {}) {
    return limiter->judge(now, {.kind = ProofKind::token,
                                .credential = as_bytes(credential),
                                .address = address,
                                .is_valid = false});
  }
  AuthVerdict succeed(std::string_view credential, std::optional<IpAddress> address = {}) {
    return limiter->judge(now, {.kind = ProofKind::token,
                                .credential = as_bytes(credential),
                                .address = address,
                                .is_valid = true});
  }
  void fail_times(int count, std::string_view credential, std::optional<IpAddress> address = {}) {
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(fail(credential, address).decision, AuthDecision::invalid) << i;
    }
  }
  [[nodiscard]] AuthMetrics metrics() const { return limiter->metrics(now); }

  SeededRng rng{1};
  Instant now{seconds(1'000)};
  std::unique_ptr<AuthLimiter> limiter = std::make_unique<AuthLimiter>(AuthLimits{}, rng);
};

TEST_F(LimiterTest, locks_a_credential_after_five_failures_for_a_minute) {
  fail_times(5, "wrong");
  const AuthVerdict locked = fail("wrong");
  EXPECT_EQ(locked.decision, AuthDecision::credential_locked);
  EXPECT_TRUE(locked.is_rate_limited());
  EXPECT_EQ(locked.retry_after_s, 60U);
  EXPECT_EQ(fail("another").decision, AuthDecision::invalid);
  now += Duration(seconds(59)) + Duration(1);
  EXPECT_EQ(fail("wrong").retry_after_s, 1U);  // trying has not prolonged it
  now += seconds(1);
  fail_times(5, "wrong");  // counted from the beginning again
  EXPECT_EQ(fail("wrong").decision, AuthDecision::credential_locked);
  const AuthMetrics m = metrics();
  EXPECT_EQ(m.rejected_invalid, 11U);
  EXPECT_EQ(m.rejected_rate_limited, 3U);
  EXPECT_EQ(m.credential_lockouts, 2U);
  EXPECT_EQ(m.credentials_locked, 1U);
}

TEST_F(LimiterTest, takes_other_limits_while_it_runs) {
  fail_times(3, "wrong");
  limiter->set_limits({.max_credential_failures = 4, .lockout = seconds(5), .global_failures = 3});
  fail_times(1, "wrong");
  EXPECT_EQ(fail("wrong").retry_after_s, 5U);
  fail_times(1, "second");
  fail_times(1, "third");
  EXPECT_EQ(fail("fourth").decision, AuthDecision::globally_locked);
  limiter->set_limits({.max_credential_failures = 0, .global_failures = 0});
  EXPECT_EQ(fail("wrong").decision, AuthDecision::credential_locked) << "until its end";
  now += seconds(60);
  fail_times(30, "wrong");
}

TEST_F(LimiterTest, tells_credentials_apart_exactly_and_by_kind) {
  fail_times(5, "wrong");
  EXPECT_EQ(fail("Wrong").decision, AuthDecision::invalid);
  EXPECT_EQ(fail("wrong ").decision, AuthDecision::invalid);
  const AuthAttempt as_key{.kind = ProofKind::key, .credential = as_bytes("wrong")};
  EXPECT_EQ(limiter->judge(now, as_key).decision, AuthDecision::invalid);
}

TEST_F(LimiterTest, forgets_failures_after_a_pause_and_after_success) {
  fail_times(4, "typo");
  now += seconds(60);
  fail_times(4, "typo");
  EXPECT_EQ(succeed("typo").decision, AuthDecision::accepted);
  fail_times(4, "typo");
  EXPECT_EQ(metrics().credential_lockouts, 0U);
}

TEST_F(LimiterTest, locks_an_address_that_fails_with_many_credentials) {
  const IpAddress home = ip("192.0.2.1");
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(fail(std::to_string(i), home).decision, AuthDecision::invalid);
  }
  const AuthVerdict locked = fail("fresh", home);
  EXPECT_EQ(locked.decision, AuthDecision::address_locked);
  EXPECT_EQ(locked.retry_after_s, 60U);
  EXPECT_EQ(fail("fresh", ip("192.0.2.2")).decision, AuthDecision::invalid);
  EXPECT_EQ(metrics().address_lockouts, 1U);
  EXPECT_EQ(metrics().addresses_locked, 1U);
  EXPECT_EQ(metrics().addresses_tracked, 2U);
}

TEST_F(LimiterTest, counts_a_64_of_ipv6_as_one_address) {
  for (int i = 0; i < 8; ++i) fail(std::to_string(i), ip("2001:db8::" + std::to_string(i)));
  EXPECT_EQ(fail("fresh", ip("2001:db8::ffff")).decision, AuthDecision::address_locked);
  EXPECT_EQ(fail("fresh", ip("2001:db8:0:1::1")).decision, AuthDecision::invalid);
}

// An attacker's own networks, one after the other, each try with a new credential.
struct RotatingAttacker {
  // `network_bits` are the attacker's; the bits behind them change with every try.
  explicit RotatingAttacker(unsigned network_bits) : bits(network_bits) {}
  IpAddress next() {
    std::array<std::uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
    ++tries;
    for (unsigned bit = 0; bit < 32; ++bit) {
      if ((tries >> bit & 1) == 0 || bits + bit > 127) continue;
      bytes[(bits + bit) / 8] |= static_cast<std::uint8_t>(0x80 >> (bits + bit) % 8);
    }
    return IpAddress::v6(bytes);
  }
  unsigned bits;
  std::uint64_t tries = 0;
};

TEST_F(LimiterTest, bounds_tries_from_rotating_networks_of_any_size) {
  struct Case {
    unsigned network_bits;
    Duration between;              // tries: faster, and slower than the global limit
    std::uint64_t max_per_minute;  // answered as invalid, and so counted
  };
  const Case cases[] = {
      {64, std::chrono::milliseconds(10), 8},  {64, std::chrono::milliseconds(1500), 8},
      {56, std::chrono::milliseconds(10), 10}, {56, std::chrono::milliseconds(1500), 32},
      {48, std::chrono::milliseconds(10), 10}, {48, std::chrono::milliseconds(1500), 32},
      {32, std::chrono::milliseconds(10), 10}, {32, std::chrono::milliseconds(1500), 40},
  };
  for (const Case& c : cases) {
    configure({});
    RotatingAttacker attacker(c.network_bits);
    constexpr int kMinutes = 10;
    const Instant end = now + std::chrono::minutes(kMinutes);
    std::uint64_t index = 0;
    for (; now < end; now += c.between) {
      static_cast<void>(fail("wrong" + std::to_string(++index), attacker.next()));
      // Whoever has a credential gets in meanwhile, from the same network too.
      if (index % 100 != 0) continue;
      EXPECT_EQ(succeed("right", attacker.next()).decision, AuthDecision::accepted);
    }
    const AuthMetrics m = metrics();
    EXPECT_LE(m.rejected_invalid, c.max_per_minute * (kMinutes + 1)) << c.network_bits;
    const bool is_too_fast = index > c.max_per_minute * kMinutes;
    EXPECT_EQ(m.rejected_rate_limited > 0, is_too_fast) << c.network_bits;
  }
}

TEST_F(LimiterTest, a_site_locks_no_other_site) {
  AuthLimits alone;
  alone.global_failures = 0;
  configure(alone);
  RotatingAttacker attacker(48);
  int index = 0;
  while (fail("wrong" + std::to_string(++index), attacker.next()).decision ==
         AuthDecision::invalid) {
  }
  EXPECT_EQ(index, 33);
  EXPECT_EQ(fail("wrong", ip("2001:db8:1::1")).decision, AuthDecision::invalid);
  EXPECT_EQ(fail("wrong", ip("fe80::1%2")).decision, AuthDecision::invalid);
}

TEST_F(LimiterTest, one_address_alone_cannot_cause_the_global_lockout) {
  for (int i = 0; i < 1'000; ++i) (void)fail(std::to_string(i), ip("192.0.2.1"));
  EXPECT_EQ(metrics().global_lockouts, 0U);
  EXPECT_EQ(fail("elsewhere", ip("192.0.2.2")).decision, AuthDecision::invalid);
}

TEST_F(LimiterTest, locks_all_failures_after_ten_distinct_ones_within_ten_seconds) {
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(fail("token " + std::to_string(i)).is_rate_limited());
  const AuthVerdict locked = fail("one more");
  EXPECT_EQ(locked.decision, AuthDecision::globally_locked);
  EXPECT_EQ(locked.retry_after_s, 60U);
  EXPECT_EQ(metrics().global_lockout_remaining, seconds(60));
  now += seconds(59);
  EXPECT_EQ(fail("one more").retry_after_s, 1U);
  now += seconds(1);
  EXPECT_EQ(fail("one more").decision, AuthDecision::invalid);  // and the window is empty again
  EXPECT_EQ(metrics().global_lockout_remaining, Duration{});
  EXPECT_EQ(metrics().global_lockouts, 1U);
}

TEST_F(LimiterTest, the_window_slides_and_counts_distinct_credentials) {
  for (int i = 0; i < 100; ++i) {  // nine at any time within ten seconds
    now += std::chrono::milliseconds(1'112);
    EXPECT_EQ(fail("token " + std::to_string(i)).decision, AuthDecision::invalid) << i;
  }
  configure({.max_credential_failures = 0});
  fail_times(1'000, "the same");
  EXPECT_EQ(metrics().global_lockouts, 0U);
}

TEST_F(LimiterTest, the_credentials_own_lock_is_told_first_and_the_longest_wait) {
  configure({.lockout = seconds(20)});
  fail_times(5, "wrong");
  for (int i = 0; i < 9; ++i) (void)fail(std::to_string(i));
  const AuthVerdict locked = fail("wrong");
  EXPECT_EQ(locked.decision, AuthDecision::credential_locked);
  EXPECT_EQ(locked.retry_after_s, 60U);
}

TEST_F(LimiterTest, valid_credentials_pass_in_the_middle_of_an_attack) {
  const IpAddress shared = ip("192.0.2.1");  // the attacker's address too
  for (int i = 0; i < 1'000; ++i) {
    (void)fail("token " + std::to_string(i), shared);
    (void)fail("token " + std::to_string(i));
    EXPECT_EQ(succeed("good", shared).decision, AuthDecision::accepted);
  }
  EXPECT_GT(metrics().global_lockouts, 0U);
  EXPECT_EQ(metrics().accepted, 1'000U);
}

TEST_F(LimiterTest, what_cannot_be_a_credential_counts_for_its_address_only) {
  for (int i = 0; i < 8; ++i) EXPECT_EQ(fail("", ip("192.0.2.1")).decision, AuthDecision::invalid);
  EXPECT_EQ(fail("", ip("192.0.2.1")).decision, AuthDecision::address_locked);
  EXPECT_EQ(fail("", ip("192.0.2.2")).decision, AuthDecision::invalid);
  EXPECT_EQ(metrics().credentials_tracked, 0U);
}

TEST_F(LimiterTest, each_limit_can_be_switched_off) {
  configure({.max_credential_failures = 0, .max_address_failures = 0, .global_failures = 0});
  for (int i = 0; i < 100; ++i) {
    fail_times(1, "wrong", ip("192.0.2.1"));
    fail_times(1, std::to_string(i), ip("192.0.2.1"));
  }
  EXPECT_EQ(metrics().credentials_tracked + metrics().addresses_tracked, 0U);
}

TEST_F(LimiterTest, logs_the_first_and_every_hundredth_of_many_alike) {
  fail_times(5, "wrong");
  int logged = 0;
  for (int i = 1; i <= 1'000; ++i) {
    const bool is_logged = fail("wrong").is_worth_logging;
    EXPECT_EQ(is_logged, i == 1 || i % 100 == 0) << i;
    logged += is_logged ? 1 : 0;
  }
  EXPECT_EQ(logged, 11);
  now += seconds(60);  // quiet for a while: news again
  fail_times(5, "wrong");
  EXPECT_TRUE(fail("wrong").is_worth_logging);
  EXPECT_FALSE(fail("wrong").is_worth_logging);
}

TEST_F(LimiterTest, takes_a_now_of_a_worker_that_is_behind) {
  fail_times(5, "wrong");
  now -= seconds(30);
  EXPECT_EQ(fail("wrong").retry_after_s, 60U);
}

// A flood of distinct wrong tokens from distinct addresses, once with the global limit off,
// so that every one of them is counted.
TEST_F(LimiterTest, stays_small_under_a_flood_of_distinct_tokens) {
  constexpr std::uint32_t kAttempts = 2'000'000;
  configure({.global_failures = 0});
  std::array<char, 47> token{'i'};
  for (std::uint32_t i = 0; i < kAttempts; ++i) {
    std::memcpy(token.data() + 1, &i, sizeof i);
    now += Duration(1'000);
    (void)fail({token.data(), token.size()}, IpAddress::v4(i));
  }
  const AuthMetrics m = metrics();
  EXPECT_EQ(m.rejected_invalid, kAttempts);
  EXPECT_EQ(m.credentials_tracked, limits::kAuthFailureEntries);
  EXPECT_EQ(m.addresses_tracked, limits::kAuthFailureEntries);
  EXPECT_EQ(m.forgotten, 2 * (kAttempts - limits::kAuthFailureEntries));
  EXPECT_EQ(succeed("good").decision, AuthDecision::accepted);
}

TEST_F(LimiterTest, hardly_counts_during_the_global_lockout) {
  constexpr std::uint32_t kAttempts = 8'000'000;
  std::array<char, 47> token{'i'};
  for (std::uint32_t i = 0; i < kAttempts; ++i) {
    std::memcpy(token.data() + 1, &i, sizeof i);
    (void)fail({token.data(), token.size()});
  }
  EXPECT_EQ(metrics().rejected_invalid, 10U);
  EXPECT_EQ(metrics().rejected_rate_limited, kAttempts - 10);
  EXPECT_EQ(metrics().credentials_tracked, 10U);
  EXPECT_EQ(succeed("good").decision, AuthDecision::accepted);
}

TEST_F(LimiterTest, keeps_the_lock_of_one_that_tries_on_during_a_flood) {
  configure({.global_failures = 0});
  fail_times(5, "stubborn");
  for (std::uint32_t i = 0; i < 4 * limits::kAuthFailureEntries; ++i) {
    (void)fail("token " + std::to_string(i));
    if (i % 1'000 == 0) {
      EXPECT_EQ(fail("stubborn").decision, AuthDecision::credential_locked);
    }
  }
}

}  // namespace
}  // namespace culvert::session
