// Answers to datagrams that belong to no connection. Nothing here remembers a peer, and no
// answer is larger than what it answers (RFC 9000 6, 8.1.2, 10.3). Internal to quic/.
#pragma once

#include "base/rng.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "crypto/mac.h"
#include "quic/admission.h"
#include "quic/connection_id.h"
#include "quic/connection_impl.h"
#include "quic/tx_builder.h"

#include <ngtcp2/ngtcp2.h>

#include <optional>

namespace culvert::quic {

// 5 unpredictable bytes and the token (RFC 9000 10.3).
inline constexpr std::size_t kMinStatelessResetBytes =
    NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN;

using StaticSecret = Secret<std::array<std::uint8_t, 32>>;

// A token bucket: `burst` at once, then `per_second`.
class RateLimit {
 public:
  RateLimit(std::uint64_t per_second, std::uint64_t burst)
      : per_second_(per_second), burst_(burst), tokens_(burst) {}
  [[nodiscard]] bool take(Instant now);

 private:
  std::uint64_t per_second_;
  std::uint64_t burst_;
  std::uint64_t tokens_;
  Instant filled_at_{};
};

enum class TokenVerdict : std::uint8_t { none, valid, invalid };
struct CheckedToken {
  TokenVerdict verdict = TokenVerdict::none;
  ConnectionId original_destination;  // valid: of the packet that we answered with Retry
  std::optional<Admission::TicketId> ticket{};
};

// Of tickets: no token of ngtcp2 begins with it.
inline constexpr std::uint8_t kTicketMagic = 0xC7;

class StatelessReplies {
 public:
  // `retry_secret` is the same in all workers of a process: one worker's Retry token is valid at
  // another. Reset tokens and tickets are the identity's: they are good after a restart, so
  // that clients learn of it from the answer to their next packet.
  StatelessReplies(const StaticSecret& retry_secret, const crypto::SecretKey& identity, Rng& rng);

  // RFC 9000 10.3.2.
  [[nodiscard]] ResetToken reset_token(const ConnectionId& id) const;
  // The token of an Initial. A token that we did not make counts as none (8.1.3).
  [[nodiscard]] CheckedToken check_token(Instant now, const PathId& path,
                                         const ngtcp2_pkt_hd& initial) const;

  // What a client shows when it comes again (NEW_TOKEN, RFC 9000 8.1.3): that it was let in
  // before, and which client it was. It says nothing of an address, so it validates none. Two
  // tickets of one client look unlike to anybody else.
  [[nodiscard]] Bytes make_ticket(const crypto::EndpointId& client);
  [[nodiscard]] std::optional<Admission::TicketId> check_ticket(ByteView token) const;

  // Each writes one packet for `path`, or returns false: no room, or not allowed now.
  bool write_version_negotiation(Instant now, const PathId& path, ByteView destination,
                                 ByteView source, TxBuilder& out);
  bool write_retry(Instant now, const PathId& path, const ngtcp2_pkt_hd& initial,
                   const ConnectionId& retry_source, TxBuilder& out);
  // CONNECTION_CLOSE in answer to an Initial.
  bool write_refusal(Instant now, const PathId& path, const ngtcp2_pkt_hd& initial,
                     std::uint64_t error_code, TxBuilder& out);
  // In answer to a short-header packet of `received_bytes`; always smaller than that, so
  // that two endpoints without state cannot answer each other for ever (10.3.3).
  bool write_reset(Instant now, const PathId& path, const ConnectionId& destination,
                   std::size_t received_bytes, TxBuilder& out);

 private:
  [[nodiscard]] crypto::Digest keyed(std::string_view label, ByteView bytes) const;

  const StaticSecret& retry_secret_;
  StaticSecret reset_secret_;
  StaticSecret ticket_secret_;
  Rng& rng_;
  RateLimit limit_{1000, 200};  // everything but Retry, which honest clients need in a flood
};

}  // namespace culvert::quic
