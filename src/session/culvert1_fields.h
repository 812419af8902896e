// What stands in the messages of culvert/1 on the control stream (docs/protocol/culvert-1.md 2),
// for those who write and read them: the handshakes and the talks after them. Private to session/.
#pragma once

#include "session/message.h"
#include "session/resume.h"

#include <cstdint>
#include <expected>
#include <optional>

namespace culvert::session {

// Field tags, by message.
enum HelloTag : std::uint64_t { kVersions = 1, kHelloFeatures = 2, kSoftware = 3 };
enum ChallengeTag : std::uint64_t { kNonce = 1, kProofKinds = 2, kVersion = 3, kFeatures = 4 };
enum ProofTag : std::uint64_t { kKind = 1, kMac = 2, kPublicKey = 3, kSignature = 4 };
enum AcceptedTag : std::uint64_t { kSessionId = 1, kMaxFlows = 2, kWorker = 3, kGrace = 4 };
enum RefusedTag : std::uint64_t { kCode = 1, kReason = 2, kRetryAfter = 3 };  // Goodbye as well
enum ResumeTag : std::uint64_t { kResumeId = 1, kResumeMac = 2 };
enum ResumedTag : std::uint64_t { kResumedId = 1, kResumedWorker = 3, kResumedGrace = 4 };
enum ResumeFailedTag : std::uint64_t { kFailedReason = 1 };
enum ResumeDoneTag : std::uint64_t { kDoneCount = 1 };
enum FlowsGoneTag : std::uint64_t { kGoneIds = 1 };
enum JoinTag : std::uint64_t { kJoinId = 1, kJoinMac = 2 };
enum JoinedTag : std::uint64_t { kJoinedId = 1 };
enum PromoteTag : std::uint64_t { kPromoteMac = 1 };

[[nodiscard]] inline std::unexpected<DecodeError> malformed() {
  return std::unexpected(DecodeError::malformed);
}

// Worker and grace, which have the same tags in Accepted and Resumed. Whether there may be several
// connections neither of them says.
void put_terms(const ResumeTerms& terms, MessageBuilder& message);
[[nodiscard]] std::optional<ResumeTerms> terms_of(const Message& message);

[[nodiscard]] MessageBuilder resumed_message(const SessionId& session_id, const ResumeTerms& terms);

}  // namespace culvert::session
