// What is said on the control stream of a connection that has joined a session
// (docs/protocol/culvert-1.md 8, message types 24 to 31). Sans-I/O.
#pragma once

#include "session/control_channel.h"
#include "session/handshake.h"
#include "session/resume.h"
#include "session/resume_talk.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

namespace culvert::session {

class ClientLaneTalk final : public ControlExtension {
 public:
  // `resume` outlives it.
  ClientLaneTalk(ControlChannel& channel, ClientResumeTalk& resume, const Joined& joined);

  // Asks, once, for the session to go on here, with the key that it has now;
  // ClientResumeTalk::poll_resumed() has the answer.
  void promote(const ResumeKey& key);

 private:
  [[nodiscard]] Decoded<bool> handle(const Message&) override { return false; }

  ControlChannel& channel_;
  ClientResumeTalk& resume_;
  Joined joined_;
};

// The session shall go on here. The answer has left.
struct Promoted {
  std::size_t key_index = 0;  // which of the session's keys the client has
};

class ServerLaneTalk final : public ControlExtension {
 public:
  // That the session has when it is asked.
  using Keys = std::function<std::vector<ResumeKey>()>;

  // `resume` outlives it.
  ServerLaneTalk(ControlChannel& channel, ServerResumeTalk& resume, const Joined& joined,
                 const ResumeTerms& terms, Keys keys);

  [[nodiscard]] std::optional<Promoted> poll_promoted();

 private:
  [[nodiscard]] Decoded<bool> handle(const Message& message) override;

  ServerResumeTalk& resume_;
  Joined joined_;
  ResumeTerms terms_;
  Keys keys_;
  bool was_promoted_ = false;
  std::optional<Promoted> promoted_;
};

}  // namespace culvert::session
