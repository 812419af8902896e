#include "quic/path_guard.h"

#include "base/probe.h"
#include "quic/endpoint.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace culvert::quic {
namespace {

using std::chrono::milliseconds;

// The copy of a racer that is near the client has at most the way of the client's own packet.
constexpr int kPatiencePart = 2;
constexpr Duration kLeastPatience = milliseconds(5);
constexpr Duration kMostPatience = milliseconds(100);
// Its last packet tells where a client was; packets from elsewhere are doubted so much longer.
constexpr int kTrust = 4;

constexpr std::uint8_t kLongHeader = 0x80;
constexpr std::size_t kFingerprintBytes = sizeof(std::uint64_t);

// What an AEAD ends with: no two packets have it in common.
std::uint64_t fingerprint_of(ByteView bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.last(kFingerprintBytes).data(), kFingerprintBytes);
  return word;
}

}  // namespace

void PathGuard::set_home(const PathId& home) {
  if (home_ == home) return;
  home_ = home;
  moved_to_.reset();
  at_home_until_ = {};
  compared_until_ = {};
}

bool PathGuard::knows(Instant now, ByteView bytes) const {
  return now < compared_until_ &&
         std::ranges::find(fingerprints_, fingerprint_of(bytes)) != fingerprints_.end();
}

void PathGuard::release(Instant now, const PathId* as_if_by) {
  due_ = now;
  if (as_if_by == nullptr) return;
  for (Datagram& datagram : held_) datagram.path = *as_if_by;
}

std::vector<PathGuard::Datagram> PathGuard::take() {
  for (const Datagram& datagram : held_) {
    if (datagram.path != home_) moved_to_ = datagram.path;
  }
  held_bytes_ = 0;
  return std::exchange(held_, {});
}

std::optional<PathId> PathGuard::judge(Instant now, Duration round_trip, const PathId& path,
                                       Ecn ecn, ByteView bytes) {
  if (bytes.size() < 1 + kConnectionIdBytes + kFingerprintBytes || (bytes[0] & kLongHeader) != 0) {
    return path;
  }
  const ConnectionId id(bytes.subspan(1, kConnectionIdBytes));
  patience_ = std::clamp(round_trip / kPatiencePart, kLeastPatience, kMostPatience);
  if (path == home_) {
    home_id_ = id;
    moved_to_.reset();
    if (!knows(now, bytes)) return path;
    CULVERT_PROBE("quic.a client is where it was, and somebody sends copies of its packets");
    at_home_until_ = now + kTrust * patience_;
    release(now, &home_);
    return path;
  }
  if (id != home_id_) return path;
  fingerprints_.at(next_fingerprint_++ % kMostHeld) = fingerprint_of(bytes);
  compared_until_ = now + kTrust * patience_;
  if (now < at_home_until_) return home_;
  if (moved_to_ == path) return path;
  if (held_.empty()) due_ = now + patience_;
  held_.push_back({.path = path, .ecn = ecn, .bytes = Bytes(bytes.begin(), bytes.end())});
  held_bytes_ += bytes.size();
  if (held_.size() == kMostHeld || held_bytes_ >= kMostHeldBytes) release(now, nullptr);
  return std::nullopt;
}

}  // namespace culvert::quic
