#include "session/resume.h"

#include "base/limits.h"
#include "base/probe.h"
#include "crypto/mac.h"

#include <algorithm>
#include <bit>
#include <utility>

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

std::optional<std::size_t> find_proof(std::span<const ResumeKey> keys, ByteView mac,
                                      ResumeProof* proof, const ProofBinding& binding) {
  std::optional<std::size_t> known;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (crypto::constant_time_equal(proof(keys[i], binding.exporter, binding.nonce), mac)) {
      known = i;
    }
  }
  return known;
}

std::optional<std::vector<std::uint64_t>> decode_flow_ids(ByteView bytes) {
  std::vector<std::uint64_t> ids;
  ByteReader reader(bytes);
  while (!reader.is_empty()) {
    const auto id = reader.varint();
    if (!id || ids.size() == limits::kMaxGoneIds) return std::nullopt;
    ids.push_back(*id);
  }
  return ids;
}

SeenFlows::SeenFlows(std::uint64_t window) : window_(std::bit_ceil(window)) {}

void SeenFlows::widen(std::uint64_t window) {
  if (window <= window_) return;
  SeenFlows wider(window);
  if (!seen_.empty()) {
    wider.seen_.resize(wider.window_);
    wider.highest_ = highest_;
    // Also those that this one does not tell apart any more: they count as seen.
    for (std::uint64_t back = 0; back < wider.window_ && back <= highest_; ++back) {
      const std::uint64_t id = highest_ - back;
      wider.seen_[id % wider.window_] = contains(id);
    }
  }
  *this = std::move(wider);
}

void SeenFlows::add(std::uint64_t id) {
  if (seen_.empty()) seen_.resize(window_);
  if (id > highest_) {
    forget(id - std::min(id - highest_, window_) + 1, id);
    highest_ = id;
  }
  if (highest_ - id < window_) seen_[id % window_] = true;
}

// By whole words: a client may jump ahead with every flow.
void SeenFlows::forget(std::uint64_t first, std::uint64_t last) {
  const auto at = [this](std::uint64_t id) {
    return seen_.begin() + static_cast<std::ptrdiff_t>(id % window_);
  };
  if (last - first + 1 == window_) {
    std::fill(seen_.begin(), seen_.end(), false);
  } else if (first % window_ <= last % window_) {
    std::fill(at(first), at(last) + 1, false);
  } else {
    std::fill(at(first), seen_.end(), false);
    std::fill(seen_.begin(), at(last) + 1, false);
  }
}

bool SeenFlows::contains(std::uint64_t id) const {
  if (seen_.empty() || id > highest_) return false;
  if (highest_ - id >= window_) CULVERT_PROBE("session.a flow id is older than the window");
  return highest_ - id >= window_ || seen_[id % window_];
}

}  // namespace culvert::session
