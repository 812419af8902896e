#include "session/handshake.h"

#include "session/culvert1_handshake.h"
#include "session/handshake_base.h"
#include "session/message.h"
#include "session/mf4_handshake.h"

#include <fmt/format.h>

namespace culvert::session {

std::size_t HandshakeBase::handle_data(Instant now, ByteView bytes) {
  if (is_broken_) return bytes.size();
  if (is_decided_) return 0;
  now_ = now;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::size_t used = 0;
  while (!is_decided_ && used < input_.size()) {
    const auto took = handle_message(ByteView(input_).subspan(used));
    if (took) {
      used += *took;
      continue;
    }
    if (took.error() == DecodeError::truncated) break;
    break_off(CloseCode::protocol_error, unreadable(took.error()));
  }
  const std::size_t rest = input_.size() - used;
  if (is_decided_) {
    input_.clear();
    return is_broken_ ? bytes.size() : bytes.size() - rest;
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
  // A decoder refuses larger messages; this bounds what an incomplete one may hold.
  if (rest > limits::kControlMessageBytes + 16) {
    break_off(CloseCode::protocol_error, unreadable(DecodeError::oversize));
  }
  return bytes.size();
}

void HandshakeBase::handle_fin(Instant) {
  if (!is_decided_) break_off(CloseCode::protocol_error, ended_early());
}

void HandshakeBase::handle_timeout(Instant now) {
  if (now >= deadline_ && !is_decided_) break_off(CloseCode::auth_timeout, timed_out());
}

AuthVerdict HandshakeBase::judge(const ServerHandshakeConfig& config, AuthAttempt attempt) const {
  attempt.address = config.address;
  if (config.gate != nullptr) return config.gate->judge(now_, attempt);
  return {.decision = attempt.is_valid ? AuthDecision::accepted : AuthDecision::invalid};
}

std::optional<Refused> HandshakeBase::refusal_of(const ServerHandshakeConfig& config,
                                                 const AuthAttempt& attempt,
                                                 const std::optional<AuthIdentity>& identity,
                                                 std::string_view bad_proof) const {
  const AuthVerdict verdict = judge(config, attempt);
  Refused refused{.kind = attempt.kind, .verdict = verdict};
  if (verdict.is_rate_limited()) {
    refused.code = CloseCode::rate_limited;
    refused.reason = kTooManyFailures;
    refused.retry_after_s = verdict.retry_after_s;
  } else if (!identity) {
    refused.reason = bad_proof;
  } else if (const Admittance place = admit(config, *identity); place != Admittance::admitted) {
    refused.code = CloseCode::session_limit;
    refused.reason = to_string(place);
  } else {
    return std::nullopt;
  }
  return refused;
}

void HandshakeBase::decide(Verdict verdict) {
  is_decided_ = true;
  is_broken_ = std::holds_alternative<Refused>(verdict) || std::holds_alternative<Failed>(verdict);
  deadline_ = kNever;
  verdict_ = std::move(verdict);
}

Error no_authentication_in_time() {
  return {ErrorKind::authentication,
          fmt::format(
              "no authentication within {} s",
              std::chrono::duration_cast<std::chrono::seconds>(limits::kHandshakeTimeout).count()),
          {}};
}

std::unique_ptr<Handshake> make_client_handshake(Dialect dialect,
                                                 const ClientHandshakeConfig& config,
                                                 const ExporterValue& exporter, Rng&, Instant now) {
  if (dialect != Dialect::culvert_1) return std::make_unique<Mf4Client>(*config.credentials, now);
  return std::make_unique<Culvert1Client>(config, exporter, now);
}

std::unique_ptr<Handshake> make_server_handshake(Dialect dialect,
                                                 const ServerHandshakeConfig& config,
                                                 const crypto::EndpointId& peer,
                                                 const ExporterValue& exporter, Rng& rng,
                                                 Instant now) {
  if (dialect != Dialect::culvert_1) return std::make_unique<Mf4Server>(config, peer, rng, now);
  return std::make_unique<Culvert1Server>(config, peer, exporter, rng, now);
}

}  // namespace culvert::session
