// The control stream after the handshake (docs/protocol/culvert-1.md 3): whole messages in both
// directions, each of the extension that has its range of types. Sans-I/O: bytes of the stream in,
// one message at a time; what is said goes to a sink, and waits here where that has no room.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "session/dialect.h"
#include "session/message.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::session {

// The other side says goodbye; the connection closes soon.
struct PeerLeaving {
  std::string reason;
};

// What the channel says is said on.
class ControlSink {
 public:
  // Takes as many as there is room for; ControlChannel::handle_writable() follows when there is
  // more. Nothing: the peer takes no more, for ever.
  [[nodiscard]] virtual std::optional<std::size_t> write(ByteView bytes) = 0;
  // ControlChannel::failure(): close the connection, though not from inside this call.
  virtual void on_channel_failed() = 0;

 protected:
  ~ControlSink() = default;
};

// Speaks the messages of one range over a channel: says them by ControlChannel::send(), and keeps
// what it has read for whoever owns it, who asks after every message.
class ControlExtension {
 public:
  // A message of its range. False: it takes none like that, or not now.
  [[nodiscard]] virtual Decoded<bool> handle(const Message& message) = 0;

 protected:
  ~ControlExtension() = default;
};

// Why there is no use in going on; the connection is closed with CloseCode::protocol_error.
struct ChannelFailure {
  Error error;
  bool is_unread = false;  // the peer does not read, or not any more, what we have to say
};

// Owned by whoever has the stream. mf/4 has no messages after its handshake: none may come, and
// none are said.
class ControlChannel {
 public:
  ControlChannel(Dialect dialect, ControlEnd end, ControlSink& sink)
      : has_messages_(dialect == Dialect::culvert_1), end_(end), sink_(sink) {}

  // Messages of this range go to `extension` from now on, until somebody else speaks them or
  // nobody does any more. A message that this end knows and nobody takes is out of place, and a
  // breach; one that it does not know is skipped.
  void speak(MessageRange range, ControlExtension& extension);
  void hush() { speakers_.clear(); }

  // --- in
  // Takes bytes up to the end of the first message among them, and handles that; how many: all,
  // where they end inside one, or after a failure.
  std::size_t handle_data(ByteView bytes);
  [[nodiscard]] std::optional<PeerLeaving> poll_leaving();

  // --- out
  void send(const MessageBuilder& message);
  // Goodbye: a courtesy, which is not said to a peer who does not listen.
  void leave(std::string_view reason);
  void handle_writable();
  // Said, and in no sink yet: at most limits::kControlOutboxBytes.
  [[nodiscard]] std::size_t waiting_bytes() const { return outbox_.size() - outbox_from_; }

  [[nodiscard]] const std::optional<ChannelFailure>& failure() const { return failure_; }

 private:
  struct Speaker {
    MessageRange range;
    ControlExtension* extension;
  };

  void handle_message(ByteView whole);
  [[nodiscard]] Decoded<void> handle(const Message& message);
  void say(const MessageBuilder& message, bool is_courtesy);
  void fail(ChannelFailure failure);

  bool has_messages_;
  ControlEnd end_;
  ControlSink& sink_;
  std::vector<Speaker> speakers_;
  Bytes input_;  // the beginning of a message
  Bytes outbox_;
  std::size_t outbox_from_ = 0;  // what stands before it is in the sink
  std::optional<PeerLeaving> leaving_;
  std::optional<ChannelFailure> failure_;
};

}  // namespace culvert::session
