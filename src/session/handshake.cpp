#include "session/handshake.h"

#include "session/culvert1_handshake.h"
#include "session/handshake_base.h"
#include "session/mf4_handshake.h"

#include <fmt/format.h>

namespace culvert::session {

void HandshakeBase::handle_data(Instant now, ByteView bytes) {
  if (is_broken_) return;
  now_ = now;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::size_t used = 0;
  while (!is_broken_ && used < input_.size()) {
    const auto took = handle_message(ByteView(input_).subspan(used));
    if (took) {
      used += *took;
      continue;
    }
    if (took.error() == DecodeError::truncated) break;
    break_off(CloseCode::protocol_error,
              Error{ErrorKind::protocol,
                    fmt::format("a {} message on the control stream", to_string(took.error())),
                    {}});
  }
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
  // A decoder refuses larger messages; this bounds what an incomplete one may hold.
  if (input_.size() > limits::kControlMessageBytes + 16 && !is_broken_) {
    break_off(CloseCode::protocol_error,
              Error{ErrorKind::protocol, "an oversize message on the control stream", {}});
  }
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

std::optional<HandshakeEvent> HandshakeBase::poll_event() {
  if (events_.empty()) return std::nullopt;
  HandshakeEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void HandshakeBase::decide(HandshakeEvent event) {
  is_decided_ = true;
  deadline_ = kNever;
  emit(std::move(event));
}

void HandshakeBase::succeed(Authenticated event) {
  decide(std::move(event));
}

void HandshakeBase::succeed(Resumed event) {
  decide(event);
}

void HandshakeBase::succeed(Joined event) {
  decide(event);
}

void HandshakeBase::refuse(Refused event) {
  is_broken_ = true;
  decide(std::move(event));
}

void HandshakeBase::break_off(CloseCode code, Error error) {
  is_broken_ = true;
  decide(Failed{code, std::move(error)});
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
