// What is said on the control stream about the flows of a session that goes on
// (docs/protocol/culvert-1.md 7, message types 16 to 23). Sans-I/O.
#pragma once

#include "session/control_channel.h"
#include "session/handshake.h"
#include "session/resume.h"

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace culvert::session {

// The client has announced `count` flows to be resumed, by FlowOpen or FlowsGone.
struct ResumeDone {
  std::uint64_t count = 0;
};
// These flows of the session are over at the client.
struct FlowsGone {
  std::vector<std::uint64_t> ids;
};

// The client's side, in a session that can be resumed. Of the owner of the channel, like all talks.
class ClientResumeTalk final : public ControlExtension {
 public:
  explicit ClientResumeTalk(ControlChannel& channel);

  void announce_gone(std::span<const std::uint64_t> ids);
  void announce_done(std::uint64_t count);  // after Resumed
  // The server was asked to go on here with this session, which may have several connections.
  void expect_resumed(const SessionId& session_id) { awaited_ = session_id; }
  [[nodiscard]] std::optional<Resumed> poll_resumed();

 private:
  [[nodiscard]] Decoded<bool> handle(const Message& message) override;

  ControlChannel& channel_;
  std::optional<SessionId> awaited_;
  std::optional<Resumed> resumed_;
};

// The server's side, in a session that can be resumed.
class ServerResumeTalk final : public ControlExtension {
 public:
  using Event = std::variant<ResumeDone, FlowsGone>;

  // `is_resumed`: the session goes on here after another connection, so that ResumeDone follows.
  ServerResumeTalk(ControlChannel& channel, bool is_resumed);

  void answer_resumed(const SessionId& session_id, const ResumeTerms& terms);
  [[nodiscard]] std::optional<Event> poll_event();

 private:
  [[nodiscard]] Decoded<bool> handle(const Message& message) override;

  ControlChannel& channel_;
  bool is_resumed_;
  std::optional<Event> event_;  // of the latest message
};

}  // namespace culvert::session
