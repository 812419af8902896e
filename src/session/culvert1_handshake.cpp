#include "session/culvert1_handshake.h"

#include "crypto/mac.h"

namespace culvert::session {
namespace {

constexpr std::string_view kTokenContext{"culvert/1 token\0", 16};
constexpr std::string_view kKeyContext{"culvert/1 key\0", 14};

Bytes bound_message(std::string_view context, const ExporterValue& exporter, const Nonce& nonce) {
  Bytes message;
  ByteWriter writer(message);
  writer.raw(as_bytes(context));
  writer.raw(exporter);
  writer.raw(nonce);
  return message;
}

}  // namespace

std::array<std::uint8_t, 32> token_proof(std::string_view token, const ExporterValue& exporter,
                                         const Nonce& nonce) {
  return crypto::hmac_sha256(as_bytes(token), bound_message(kTokenContext, exporter, nonce));
}

Bytes key_proof_message(const ExporterValue& exporter, const Nonce& nonce) {
  return bound_message(kKeyContext, exporter, nonce);
}

}  // namespace culvert::session
