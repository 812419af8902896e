#include "session/resume_talk.h"

#include "base/limits.h"
#include "session/culvert1_fields.h"

#include <algorithm>
#include <utility>

namespace culvert::session {

// --- client --------------------------------------------------------------------------------------

ClientResumeTalk::ClientResumeTalk(ControlChannel& channel) : channel_(channel) {
  channel.speak(kResumeMessages, *this);
}

void ClientResumeTalk::announce_gone(std::span<const std::uint64_t> ids) {
  while (!ids.empty()) {
    const auto some = ids.first(std::min(ids.size(), limits::kMaxGoneIds));
    Bytes list;
    ByteWriter writer(list);
    for (const std::uint64_t id : some) writer.varint(id);
    channel_.send(MessageBuilder(MessageType::flows_gone).bytes(kGoneIds, list));
    ids = ids.subspan(some.size());
  }
}

void ClientResumeTalk::announce_done(std::uint64_t count) {
  channel_.send(MessageBuilder(MessageType::resume_done).number(kDoneCount, count));
}

std::optional<Resumed> ClientResumeTalk::poll_resumed() {
  return std::exchange(resumed_, std::nullopt);
}

Decoded<bool> ClientResumeTalk::handle(const Message& message) {
  if (!is_type(message, MessageType::resumed) || !awaited_) return false;
  auto terms = terms_of(message);
  if (!terms || message.array<16>(kResumedId) != awaited_) return malformed();
  terms->is_multipath = true;
  resumed_ = Resumed{.session_id = *awaited_, .terms = *terms};
  awaited_.reset();
  return true;
}

// --- server --------------------------------------------------------------------------------------

ServerResumeTalk::ServerResumeTalk(ControlChannel& channel, bool is_resumed)
    : channel_(channel), is_resumed_(is_resumed) {
  channel.speak(kResumeMessages, *this);
}

void ServerResumeTalk::answer_resumed(const SessionId& session_id, const ResumeTerms& terms) {
  is_resumed_ = true;
  channel_.send(resumed_message(session_id, terms));
}

std::optional<ServerResumeTalk::Event> ServerResumeTalk::poll_event() {
  return std::exchange(event_, std::nullopt);
}

Decoded<bool> ServerResumeTalk::handle(const Message& message) {
  if (is_type(message, MessageType::flows_gone)) {
    const auto list = message.field(kGoneIds);
    auto ids = list ? decode_flow_ids(*list) : std::nullopt;
    if (!ids) return malformed();
    event_ = FlowsGone{std::move(*ids)};
    return true;
  }
  if (is_type(message, MessageType::resume_done) && is_resumed_) {
    const auto count = message.number(kDoneCount);
    if (!count) return malformed();
    event_ = ResumeDone{*count};
    return true;
  }
  return false;
}

}  // namespace culvert::session
