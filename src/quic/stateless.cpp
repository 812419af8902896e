#include "quic/stateless.h"

#include "base/limits.h"
#include "crypto/mac.h"
#include "quic/sockaddr.h"

#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>

namespace culvert::quic {
namespace {

// From 43 bytes on a reset looks like any short packet (RFC 9000 10.3).
constexpr std::size_t kUsualResetBytes = 43;

constexpr std::size_t kTicketNonceBytes = 8;
constexpr std::size_t kTicketNumberBytes = std::tuple_size_v<Admission::TicketId>;
constexpr std::size_t kTicketMacBytes = 16;

ngtcp2_cid to_cid(ByteView id) {
  ngtcp2_cid cid;
  ngtcp2_cid_init(&cid, id.data(), id.size());
  return cid;
}

// Finishes a packet that ngtcp2 wrote to the tail.
bool commit_reply(const PathId& path, ngtcp2_ssize size, TxBuilder& out) {
  if (size <= 0) return false;
  out.commit(path, Ecn::not_ect, static_cast<std::size_t>(size));
  return true;
}

}  // namespace

bool RateLimit::take(Instant now) {
  if (now > filled_at_) {
    const Duration elapsed = std::min<Duration>(now - filled_at_, std::chrono::seconds(60));
    const std::uint64_t fresh =
        static_cast<std::uint64_t>(elapsed.count()) * per_second_ /
        static_cast<std::uint64_t>(Duration(std::chrono::seconds(1)).count());
    if (fresh > 0) {
      tokens_ = std::min(burst_, tokens_ + fresh);
      filled_at_ = now;
    }
  }
  if (tokens_ == 0) return false;
  --tokens_;
  return true;
}

StatelessReplies::StatelessReplies(const StaticSecret& retry_secret,
                                   const crypto::SecretKey& identity, Rng& rng)
    : retry_secret_(retry_secret),
      reset_secret_(identity.derive("culvert stateless reset")),
      ticket_secret_(identity.derive("culvert ticket")),
      rng_(rng) {}

ResetToken StatelessReplies::reset_token(const ConnectionId& id) const {
  const crypto::Digest digest = crypto::hmac_sha256(reset_secret_.reveal(), id.view());
  ResetToken token;
  std::copy_n(digest.begin(), token.size(), token.begin());
  return token;
}

CheckedToken StatelessReplies::check_token(Instant now, const PathId& path,
                                           const ngtcp2_pkt_hd& initial) const {
  if (initial.tokenlen == 0 || initial.token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2) {
    return {.ticket = check_ticket({initial.token, initial.tokenlen})};
  }
  ngtcp2_sockaddr_union remote;
  const ngtcp2_socklen remote_size = to_sockaddr(path.remote, remote);
  ngtcp2_cid original;
  const auto& secret = retry_secret_.reveal();
  const int rv = ngtcp2_crypto_verify_retry_token2(
      &original, initial.token, initial.tokenlen, secret.data(), secret.size(), initial.version,
      &remote.sa, remote_size, &initial.dcid,
      static_cast<ngtcp2_duration>(limits::kRetryTokenLifetime.count()), to_timestamp(now));
  if (rv != 0) return {.verdict = TokenVerdict::invalid};
  return {.verdict = TokenVerdict::valid,
          .original_destination = ConnectionId({original.data, original.datalen})};
}

crypto::Digest StatelessReplies::keyed(std::string_view label, ByteView bytes) const {
  Bytes message;
  ByteWriter writer(message);
  writer.raw(as_bytes(label));
  writer.raw(bytes);
  return crypto::hmac_sha256(ticket_secret_.reveal(), message);
}

// Magic, nonce, the client's number hidden by the nonce, MAC of all before it.
Bytes StatelessReplies::make_ticket(const crypto::EndpointId& client) {
  std::array<std::uint8_t, kTicketNonceBytes> nonce;
  rng_.fill(nonce);
  const crypto::Digest number = keyed("client", client.bytes());
  const crypto::Digest mask = keyed("mask", nonce);
  Bytes ticket;
  ByteWriter writer(ticket);
  writer.u8(kTicketMagic);
  writer.raw(nonce);
  for (std::size_t i = 0; i < kTicketNumberBytes; ++i) {
    writer.u8(static_cast<std::uint8_t>(number[i] ^ mask[i]));
  }
  const crypto::Digest mac = keyed("mac", ticket);
  writer.raw(ByteView(mac).first(kTicketMacBytes));
  return ticket;
}

std::optional<Admission::TicketId> StatelessReplies::check_ticket(ByteView token) const {
  constexpr std::size_t kHead = 1 + kTicketNonceBytes;
  constexpr std::size_t kSealed = kHead + kTicketNumberBytes;
  if (token.size() != kSealed + kTicketMacBytes || token[0] != kTicketMagic) return std::nullopt;
  const crypto::Digest mac = keyed("mac", token.first(kSealed));
  if (!crypto::constant_time_equal(ByteView(mac).first(kTicketMacBytes), token.subspan(kSealed))) {
    return std::nullopt;
  }
  const crypto::Digest mask = keyed("mask", token.subspan(1, kTicketNonceBytes));
  Admission::TicketId number{};
  for (std::size_t i = 0; i < number.size(); ++i) {
    number[i] = static_cast<std::uint8_t>(token[kHead + i] ^ mask[i]);
  }
  return number;
}

bool StatelessReplies::write_version_negotiation(Instant now, const PathId& path,
                                                 ByteView destination, ByteView source,
                                                 TxBuilder& out) {
  constexpr std::size_t kLargest = 1 + 4 + 1 + 255 + 1 + 255 + 4;
  const ByteSpan tail = out.tail(kLargest);
  if (tail.empty() || !limit_.take(now)) return false;
  const std::uint32_t version = NGTCP2_PROTO_VER_V1;
  std::array<std::uint8_t, 1> random;
  rng_.fill(random);
  // The peer's ids, exchanged.
  return commit_reply(path,
                      ngtcp2_pkt_write_version_negotiation(
                          tail.data(), tail.size(), random[0], source.data(), source.size(),
                          destination.data(), destination.size(), &version, 1),
                      out);
}

bool StatelessReplies::write_retry(Instant now, const PathId& path, const ngtcp2_pkt_hd& initial,
                                   const ConnectionId& retry_source, TxBuilder& out) {
  const ByteSpan tail = out.tail(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
  if (tail.empty()) return false;
  ngtcp2_sockaddr_union remote;
  const ngtcp2_socklen remote_size = to_sockaddr(path.remote, remote);
  const ngtcp2_cid source = to_cid(retry_source.view());
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2> token;
  const auto& secret = retry_secret_.reveal();
  const ngtcp2_ssize token_size = ngtcp2_crypto_generate_retry_token2(
      token.data(), secret.data(), secret.size(), initial.version, &remote.sa, remote_size, &source,
      &initial.dcid, to_timestamp(now));
  if (token_size < 0) return false;
  return commit_reply(
      path,
      ngtcp2_crypto_write_retry(tail.data(), tail.size(), initial.version, &initial.scid, &source,
                                &initial.dcid, token.data(), static_cast<std::size_t>(token_size)),
      out);
}

bool StatelessReplies::write_refusal(Instant now, const PathId& path, const ngtcp2_pkt_hd& initial,
                                     std::uint64_t error_code, TxBuilder& out) {
  const ByteSpan tail = out.tail(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
  if (tail.empty() || !limit_.take(now)) return false;
  return commit_reply(
      path,
      ngtcp2_crypto_write_connection_close(tail.data(), tail.size(), initial.version, &initial.scid,
                                           &initial.dcid, error_code, nullptr, 0),
      out);
}

bool StatelessReplies::write_reset(Instant now, const PathId& path, const ConnectionId& destination,
                                   std::size_t received_bytes, TxBuilder& out) {
  if (received_bytes <= kMinStatelessResetBytes) return false;
  const std::size_t size = std::min(received_bytes - 1, kUsualResetBytes);
  const ByteSpan tail = out.tail(size);
  if (tail.empty() || !limit_.take(now)) return false;
  std::array<std::uint8_t, kUsualResetBytes> random;
  const std::size_t random_size = size - NGTCP2_STATELESS_RESET_TOKENLEN;
  rng_.fill(ByteSpan(random).first(random_size));
  const ResetToken token = reset_token(destination);
  return commit_reply(path,
                      ngtcp2_pkt_write_stateless_reset(tail.data(), tail.size(), token.data(),
                                                       random.data(), random_size),
                      out);
}

}  // namespace culvert::quic
