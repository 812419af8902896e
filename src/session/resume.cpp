#include "session/resume.h"

#include "crypto/mac.h"

#include <algorithm>

namespace culvert::session {

namespace {

std::array<std::uint8_t, 32> proof(std::string_view context, const ResumeKey& key,
                                   const std::array<std::uint8_t, 32>& exporter,
                                   const std::array<std::uint8_t, 32>& nonce) {
  Bytes message;
  ByteWriter writer(message);
  writer.raw(as_bytes(context));
  writer.raw(exporter);
  writer.raw(nonce);
  return crypto::hmac_sha256(key.reveal(), message);
}

}  // namespace

std::array<std::uint8_t, 32> resume_proof(const ResumeKey& key,
                                          const std::array<std::uint8_t, 32>& exporter,
                                          const std::array<std::uint8_t, 32>& nonce) {
  return proof({"culvert/1 resume\0", 17}, key, exporter, nonce);
}

std::array<std::uint8_t, 32> join_proof(const ResumeKey& key,
                                        const std::array<std::uint8_t, 32>& exporter,
                                        const std::array<std::uint8_t, 32>& nonce) {
  return proof({"culvert/1 join\0", 15}, key, exporter, nonce);
}

std::optional<std::vector<std::uint64_t>> decode_flow_ids(ByteView bytes) {
  std::vector<std::uint64_t> ids;
  ByteReader reader(bytes);
  while (!reader.is_empty()) {
    const auto id = reader.varint();
    if (!id || ids.size() == kMaxGoneIds) return std::nullopt;
    ids.push_back(*id);
  }
  return ids;
}

void SeenFlows::add(std::uint64_t id) {
  if (id > highest_) {
    const std::uint64_t steps = std::min(id - highest_, kWindow);
    for (std::uint64_t i = 0; i < steps; ++i) seen_.reset((id - i) % kWindow);
    highest_ = id;
  }
  if (highest_ - id < kWindow) seen_.set(id % kWindow);
}

bool SeenFlows::contains(std::uint64_t id) const {
  if (id > highest_) return false;
  return highest_ - id >= kWindow || seen_.test(id % kWindow);
}

}  // namespace culvert::session
