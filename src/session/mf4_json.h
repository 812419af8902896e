// JSON messages of mf/4 (docs/protocol/mf-4.md): u32 big-endian length, then one object of
// at most 16384 bytes. Unknown fields are ignored, a wrong version is an error.
#pragma once

#include "base/bytes.h"
#include "session/flow_open.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::session::mf4 {

// Body versions: 3 = token in AuthRequest, 4 = Ed25519 challenge.
inline constexpr unsigned kTokenVersion = 3;
inline constexpr unsigned kKeyVersion = 4;

// Any message of the auth stream, with what was in it.
struct AuthMessage {
  unsigned version = 0;
  std::optional<std::string> auth_token;
  std::optional<std::array<std::uint8_t, 32>> challenge;
  std::optional<std::array<std::uint8_t, 32>> public_key;
  std::optional<std::array<std::uint8_t, 64>> signature;
  std::optional<bool> accepted;
  std::string reason;
};

void append_auth_init(Bytes& out);
void append_auth_challenge(const std::array<std::uint8_t, 32>& challenge, Bytes& out);
void append_auth_token(std::string_view token, Bytes& out);
void append_auth_proof(ByteView public_key, ByteView signature, Bytes& out);
void append_auth_response(unsigned version, bool is_accepted, std::string_view reason, Bytes& out);
void append_source_request(unsigned version, std::string_view source, Bytes& out);
void append_source_response(unsigned version, bool is_accepted, std::string_view reason,
                            Bytes& out);

[[nodiscard]] Decoded<Head<AuthMessage>> decode_auth_message(ByteView stream);
[[nodiscard]] Decoded<Head<FlowOpen>> decode_source_request(ByteView stream);
[[nodiscard]] Decoded<Head<FlowReply>> decode_source_response(ByteView stream);

// What an Ed25519 proof signs: a context string, NUL, the challenge.
[[nodiscard]] Bytes proof_message(const std::array<std::uint8_t, 32>& challenge);

}  // namespace culvert::session::mf4
