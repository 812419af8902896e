// Control channels of both ends, with everything that speaks on them, fed with arbitrary bytes
// while their stream has room for arbitrarily little: what they read does not depend on the pieces
// in which it came, what they say comes out whole and in order, and little is held.
#include "base/assert.h"
#include "base/limits.h"
#include "session/control_channel.h"
#include "session/lane_talk.h"
#include "session/resume_talk.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace culvert;
using namespace culvert::session;

struct Sink final : ControlSink {
  std::optional<std::size_t> write(ByteView bytes) override {
    const std::size_t size = std::min(room, bytes.size());
    room -= size;
    written.insert(written.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    return size;
  }
  void on_channel_failed() override { ++failures; }

  std::size_t room = 0;
  Bytes written;
  int failures = 0;
};

// All that one end hears, and says meanwhile.
struct End {
  End(ControlEnd end, std::uint8_t options) : channel(Dialect::culvert_1, end, sink) {
    const bool has_joined = (options & 2) != 0;
    const Joined joined{.session_id = {}, .binding = {.exporter = {1}, .nonce = {2}}};
    if (end == ControlEnd::client) {
      client_resume.emplace(channel);
      if (has_joined) client_lane.emplace(channel, *client_resume, joined);
      if ((options & 4) != 0) client_resume->expect_resumed({});
    } else {
      server_resume.emplace(channel, (options & 4) != 0);
      if (has_joined) {
        server_lane.emplace(channel, *server_resume, joined,
                            ResumeTerms{.grace = std::chrono::seconds(60), .worker = 1},
                            [] { return std::vector{ResumeKey(std::array<std::uint8_t, 32>{4})}; });
      }
    }
  }

  void hear(ByteView bytes) {
    while (!bytes.empty()) {
      const std::size_t taken = channel.handle_data(bytes);
      CULVERT_ASSERT(taken > 0 && taken <= bytes.size());
      bytes = bytes.subspan(taken);
      note();
    }
  }
  void note() {
    if (const auto leaving = channel.poll_leaving()) heard += "leaving " + leaving->reason + "\n";
    if (client_resume && client_resume->poll_resumed()) heard += "resumed\n";
    if (server_lane && server_lane->poll_promoted()) heard += "promoted\n";
    const auto event = server_resume ? server_resume->poll_event() : std::nullopt;
    if (event && std::holds_alternative<ResumeDone>(*event)) {
      heard += "done " + std::to_string(std::get<ResumeDone>(*event).count) + "\n";
    } else if (event) {
      const auto& ids = std::get<FlowsGone>(*event).ids;
      CULVERT_ASSERT(ids.size() <= limits::kMaxGoneIds);
      for (const std::uint64_t id : ids) heard += "gone " + std::to_string(id) + "\n";
    }
    CULVERT_ASSERT(channel.waiting_bytes() <= limits::kControlOutboxBytes);
    CULVERT_ASSERT(sink.failures == (channel.failure() ? 1 : 0));
  }

  Sink sink;
  ControlChannel channel;
  std::optional<ClientResumeTalk> client_resume;
  std::optional<ClientLaneTalk> client_lane;
  std::optional<ServerResumeTalk> server_resume;
  std::optional<ServerLaneTalk> server_lane;
  std::string heard;
};

// Says a message for each byte: what it is, and how much the stream takes meanwhile.
void say(ByteView script) {
  End said(ControlEnd::client, 0);
  End meant(ControlEnd::client, 0);
  meant.sink.room = std::size_t{64} << 20;
  for (const std::uint8_t byte : script) {
    for (End* end : {&said, &meant}) {
      if (end == &said && (byte & 0x80) != 0) {
        end->sink.room = byte & 0x7f;
        end->channel.handle_writable();
      }
      const std::vector<std::uint64_t> ids(std::size_t{1} << std::min(byte & 15, 12), byte);
      if ((byte & 0x40) != 0) {
        end->client_resume->announce_gone(ids);
      } else {
        end->client_resume->announce_done(byte);
      }
      end->note();
    }
    if (said.channel.failure()) break;
  }
  const bool has_failed = said.channel.failure().has_value();
  CULVERT_ASSERT(!has_failed || said.channel.failure()->is_unread);
  said.sink.room = std::size_t{64} << 20;
  said.channel.handle_writable();
  CULVERT_ASSERT(said.sink.written.size() <= meant.sink.written.size());
  CULVERT_ASSERT(has_failed || said.sink.written.size() == meant.sink.written.size());
  CULVERT_ASSERT(std::ranges::equal(said.sink.written,
                                    ByteView(meant.sink.written).first(said.sink.written.size())));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  if ((data[0] & 8) != 0) {
    say(input.first(std::min<std::size_t>(input.size(), 64)));
    return 0;
  }
  const ControlEnd end = (data[0] & 1) != 0 ? ControlEnd::client : ControlEnd::server;
  End whole(end, data[0]);
  End pieces(end, data[0]);
  whole.hear(input);
  for (ByteView rest = input; !rest.empty();) {
    const std::size_t part = std::min<std::size_t>(rest.size(), 1 + rest[0] % 97);
    pieces.hear(rest.first(part));
    rest = rest.subspan(part);
  }
  CULVERT_ASSERT(whole.heard == pieces.heard);
  CULVERT_ASSERT(whole.channel.failure().has_value() == pieces.channel.failure().has_value());
  return 0;
}
