#include "session/lane_talk.h"

#include "session/culvert1_fields.h"

#include <utility>

namespace culvert::session {

// --- client --------------------------------------------------------------------------------------

ClientLaneTalk::ClientLaneTalk(ControlChannel& channel, ClientResumeTalk& resume,
                               const Joined& joined)
    : channel_(channel), resume_(resume), joined_(joined) {
  channel.speak(kLaneMessages, *this);
}

void ClientLaneTalk::promote(const ResumeKey& key) {
  resume_.expect_resumed(joined_.session_id);
  channel_.send(
      MessageBuilder(MessageType::promote)
          .bytes(kPromoteMac, resume_proof(key, joined_.binding.exporter, joined_.binding.nonce)));
}

// --- server --------------------------------------------------------------------------------------

ServerLaneTalk::ServerLaneTalk(ControlChannel& channel, ServerResumeTalk& resume,
                               const Joined& joined, const ResumeTerms& terms, Keys keys)
    : resume_(resume), joined_(joined), terms_(terms), keys_(std::move(keys)) {
  channel.speak(kLaneMessages, *this);
}

std::optional<Promoted> ServerLaneTalk::poll_promoted() {
  return std::exchange(promoted_, std::nullopt);
}

Decoded<bool> ServerLaneTalk::handle(const Message& message) {
  if (!is_type(message, MessageType::promote) || was_promoted_) return false;
  const auto mac = message.array<32>(kPromoteMac);
  const auto known = mac ? find_proof(keys_(), *mac, resume_proof, joined_.binding) : std::nullopt;
  if (!known) return malformed();
  was_promoted_ = true;
  resume_.answer_resumed(joined_.session_id, terms_);
  promoted_ = Promoted{*known};
  return true;
}

}  // namespace culvert::session
