#include "session/culvert1_fields.h"

#include "base/limits.h"

#include <algorithm>
#include <chrono>

namespace culvert::session {

static_assert(std::uint64_t{kWorker} == kResumedWorker && std::uint64_t{kGrace} == kResumedGrace);

void put_terms(const ResumeTerms& terms, MessageBuilder& message) {
  const auto grace = std::chrono::duration_cast<std::chrono::seconds>(terms.grace).count();
  message.number(kWorker, terms.worker).number(kGrace, static_cast<std::uint64_t>(grace));
}

std::optional<ResumeTerms> terms_of(const Message& message) {
  const std::uint64_t grace = message.number(kGrace).value_or(0);
  const std::uint64_t worker = message.number(kWorker).value_or(256);
  if (grace == 0 || worker > 255) return std::nullopt;
  return ResumeTerms{
      .grace = std::chrono::seconds(std::min<std::uint64_t>(grace, limits::kMaxResumeGraceSeconds)),
      .worker = static_cast<std::uint8_t>(worker)};
}

MessageBuilder resumed_message(const SessionId& session_id, const ResumeTerms& terms) {
  MessageBuilder message(MessageType::resumed);
  message.bytes(kResumedId, session_id);
  put_terms(terms, message);
  return message;
}

}  // namespace culvert::session
