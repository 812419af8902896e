// The handshakes of mf/4, body versions 3 (token) and 4 (Ed25519 challenge);
// docs/protocol/mf-4.md. Private to session/.
#pragma once

#include "session/handshake_base.h"
#include "session/mf4_json.h"

namespace culvert::session {

class Mf4Client final : public HandshakeBase {
 public:
  Mf4Client(const ClientCredentials& credentials, Instant now);

 private:
  Decoded<std::size_t> handle_message(ByteView input) override;
  Error ended_early() const override;
  Error timed_out() const override;

  const ClientCredentials& credentials_;  // outlives the handshake
  bool has_proved_ = false;
};

class Mf4Server final : public HandshakeBase {
 public:
  Mf4Server(const ServerHandshakeConfig& config, const crypto::EndpointId& peer, Rng& rng,
            Instant now);

 private:
  Decoded<std::size_t> handle_message(ByteView input) override;
  Error ended_early() const override;
  Error timed_out() const override;
  [[nodiscard]] std::optional<AuthIdentity> verify(const mf4::AuthMessage& message) const;
  [[nodiscard]] AuthAttempt attempt_of(const mf4::AuthMessage& message, bool is_valid) const;
  void answer(const mf4::AuthMessage& message, const std::optional<AuthIdentity>& identity);

  ServerHandshakeConfig config_;
  crypto::EndpointId peer_;
  Rng& rng_;
  std::optional<std::array<std::uint8_t, 32>> challenge_;
};

}  // namespace culvert::session
