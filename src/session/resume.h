// Sessions that outlive their connection (docs/protocol/culvert-1.md 7): the key that proves
// the right to one, and what a server remembers of flow ids.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "base/time.h"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace culvert::session {

using SessionId = std::array<std::uint8_t, 16>;

// Of the connection the session last ran on, by the TLS exporter with this label and no
// context. Never sent. A resumed session has the key of its new connection.
inline constexpr std::string_view kResumeExporterLabel = "EXPORTER-culvert-1-resume";
using ResumeKey = Secret<std::array<std::uint8_t, 32>>;

// Features in Hello and Challenge, as bits.
inline constexpr std::uint64_t kFeatureResume = 1;
// Together with kFeatureResume. (2 was the same with first windows of 256 KiB.)
inline constexpr std::uint64_t kFeatureMultipath = 4;

// What both ends agreed on; absent: the session ends with its connection.
struct ResumeTerms {
  Duration grace{};  // the server keeps a lost session for this long
  // Where the session lives: quic::ConnectOptions::worker of the connection that resumes it.
  std::uint8_t worker = 0;
  bool is_multipath = false;  // more connections may join it
};

// What a client shows to get its session back.
struct ResumeTicket {
  SessionId session_id{};
  ResumeKey key;
};

// The keys of a session that the server has: that of its connection, and the one before as
// long as the client may not know that the server has moved on. Empty: no such session.
using ResumeKeyLookup = std::function<std::vector<ResumeKey>(const SessionId& id)>;

// What makes a proof one of this connection and of this challenge.
struct ProofBinding {
  std::array<std::uint8_t, 32> exporter{};
  std::array<std::uint8_t, 32> nonce{};
};

// HMAC-SHA256(key, "culvert/1 resume" || 0 || exporter || nonce).
[[nodiscard]] std::array<std::uint8_t, 32> resume_proof(
    const ResumeKey& key, const std::array<std::uint8_t, 32>& exporter,
    const std::array<std::uint8_t, 32>& nonce);
// The same with "culvert/1 join": the right to add a connection to the session.
[[nodiscard]] std::array<std::uint8_t, 32> join_proof(const ResumeKey& key,
                                                      const std::array<std::uint8_t, 32>& exporter,
                                                      const std::array<std::uint8_t, 32>& nonce);

using ResumeProof = std::array<std::uint8_t, 32>(const ResumeKey& key,
                                                 const std::array<std::uint8_t, 32>& exporter,
                                                 const std::array<std::uint8_t, 32>& nonce);
// Which of the keys made `mac`; how long that takes tells nobody.
[[nodiscard]] std::optional<std::size_t> find_proof(std::span<const ResumeKey> keys, ByteView mac,
                                                    ResumeProof* proof,
                                                    const ProofBinding& binding);

// Ids in FlowsGone: varints, one behind the other. At most limits::kMaxGoneIds in one message.
[[nodiscard]] std::optional<std::vector<std::uint64_t>> decode_flow_ids(ByteView bytes);

// Flow ids that a server has seen, as a window behind the highest one: a flow that it does
// not know is new when its id is not among them, and over when it is. Clients number their
// flows upwards, so what lies behind the window has been seen.
class SeenFlows {
 public:
  // Ids this far behind the highest are told apart, and up to as many again: a power of two.
  explicit SeenFlows(std::uint64_t window);

  // Remembers at least so many from now on.
  void widen(std::uint64_t window);
  void add(std::uint64_t id);
  [[nodiscard]] bool contains(std::uint64_t id) const;
  [[nodiscard]] std::uint64_t window() const { return window_; }

 private:
  void forget(std::uint64_t first, std::uint64_t last);

  std::uint64_t window_;
  std::vector<bool> seen_;  // by id modulo window_; empty before the first
  std::uint64_t highest_ = 0;
};

}  // namespace culvert::session
