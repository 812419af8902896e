#include "session/control_channel.h"

#include "base/assert.h"
#include "base/limits.h"
#include "session/culvert1_fields.h"

#include <algorithm>
#include <utility>

namespace culvert::session {
namespace {

// What has left the outbox is thrown away in pieces of this size: not at every byte that fits.
constexpr std::size_t kTidyBytes = limits::kControlOutboxBytes / 4;

ChannelFailure unread(std::string what) {
  return {.error = {ErrorKind::protocol, std::move(what), {}}, .is_unread = true};
}

ChannelFailure breach(DecodeError error) {
  return {.error = unreadable(error)};
}

}  // namespace

void ControlChannel::speak(MessageRange range, ControlExtension& extension) {
  std::erase_if(speakers_,
                [&](const Speaker& speaker) { return speaker.range.first == range.first; });
  CULVERT_ASSERT(std::ranges::none_of(speakers_, [&](const Speaker& speaker) {
    return speaker.range.contains(range.first) || range.contains(speaker.range.first);
  }));
  speakers_.push_back({.range = range, .extension = &extension});
}

// --- in ------------------------------------------------------------------------------------------

std::size_t ControlChannel::handle_data(ByteView bytes) {
  if (bytes.empty() || failure_) return bytes.size();
  if (!has_messages_) {
    fail(breach(DecodeError::malformed));
    return bytes.size();
  }
  const auto first = message_size(bytes);
  if (input_.empty() && first && *first <= bytes.size()) {
    handle_message(bytes.first(*first));
    return *first;
  }
  // It comes in pieces: as many bytes as tell how long it is, then no more than it takes.
  std::size_t taken = 0;
  while (true) {
    const auto size = message_size(input_);
    if (!size && size.error() != DecodeError::truncated) {
      fail(breach(size.error()));
      return bytes.size();
    }
    const std::size_t missing = size ? *size - input_.size() : 1;
    if (missing == 0) {
      const Bytes whole = std::exchange(input_, {});
      handle_message(whole);
      return taken;
    }
    const ByteView part = bytes.subspan(taken, std::min(missing, bytes.size() - taken));
    if (part.empty()) return taken;
    input_.insert(input_.end(), part.begin(), part.end());
    taken += part.size();
  }
}

void ControlChannel::handle_message(ByteView whole) {
  const auto message = decode_message(whole);
  const auto handled = message ? handle(*message) : std::unexpected(message.error());
  if (!handled) fail(breach(handled.error()));
}

Decoded<void> ControlChannel::handle(const Message& message) {
  if (is_type(message, MessageType::goodbye)) {
    leaving_ = PeerLeaving{message.text(kReason)};
    return {};
  }
  const auto speaker = std::ranges::find_if(
      speakers_, [&](const Speaker& one) { return one.range.contains(message.type); });
  if (speaker != speakers_.end()) {
    const auto taken = speaker->extension->handle(message);
    if (!taken) return std::unexpected(taken.error());
    if (*taken) return {};
  }
  if (is_known_at(end_, message.type)) return malformed();
  return {};  // of a later release, or for the other end
}

std::optional<PeerLeaving> ControlChannel::poll_leaving() {
  return std::exchange(leaving_, std::nullopt);
}

// --- out -----------------------------------------------------------------------------------------

void ControlChannel::send(const MessageBuilder& message) {
  CULVERT_ASSERT(has_messages_);
  say(message, false);
}

void ControlChannel::leave(std::string_view reason) {
  if (!has_messages_) return;
  say(MessageBuilder(MessageType::goodbye)
          .number(kCode, static_cast<std::uint64_t>(CloseCode::done))
          .text(kReason, reason),
      true);
}

void ControlChannel::say(const MessageBuilder& message, bool is_courtesy) {
  if (failure_) return;  // the connection ends
  Bytes bytes;
  message.append_to(bytes);
  ByteView rest = bytes;
  if (waiting_bytes() == 0) {
    const auto written = sink_.write(rest);
    if (!written) {
      if (!is_courtesy) fail(unread("the other side has stopped reading its control stream"));
      return;
    }
    rest = rest.subspan(*written);
  }
  if (waiting_bytes() + rest.size() <= limits::kControlOutboxBytes) {
    outbox_.insert(outbox_.end(), rest.begin(), rest.end());
  } else if (!is_courtesy) {
    fail(unread("the other side does not read its control stream"));
  }
}

void ControlChannel::handle_writable() {
  if (failure_ || waiting_bytes() == 0) return;
  const auto written = sink_.write(ByteView(outbox_).subspan(outbox_from_));
  if (!written) {
    fail(unread("the other side has stopped reading its control stream"));
    return;
  }
  outbox_from_ += *written;
  if (waiting_bytes() > 0 && outbox_from_ < kTidyBytes) return;
  outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(outbox_from_));
  outbox_from_ = 0;
}

void ControlChannel::fail(ChannelFailure failure) {
  failure_ = std::move(failure);
  input_ = {};
  outbox_ = {};
  outbox_from_ = 0;
  sink_.on_channel_failed();
}

}  // namespace culvert::session
