// Bytes as the other end of a WebSocket sends them: whatever comes is messages within their bounds,
// an error or waits for more; pieces make no difference; and what was read, written again, reads
// alike.
#include "base/assert.h"
#include "http/websocket.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

using namespace culvert;
using namespace culvert::http;

constexpr std::size_t kMaxBytes = 300;

std::vector<WebSocketMessage> read(WebSocketEnd end, ByteView bytes, std::size_t piece,
                                   bool& has_failed) {
  WebSocketReader reader(end, kMaxBytes);
  std::vector<WebSocketMessage> messages;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.add(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    while (auto message = reader.next()) {
      CULVERT_ASSERT(message->payload.size() <= kMaxBytes);
      CULVERT_ASSERT(messages.empty() || messages.back().kind != WebSocketKind::close);
      messages.push_back(std::move(*message));
    }
  }
  has_failed = reader.error().has_value();
  return messages;
}

bool is_equal(const WebSocketMessage& a, const WebSocketMessage& b) {
  return a.kind == b.kind && a.payload == b.payload && a.code == b.code;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto end = (data[0] & 1U) != 0 ? WebSocketEnd::client : WebSocketEnd::server;
  const auto other = end == WebSocketEnd::client ? WebSocketEnd::server : WebSocketEnd::client;
  const std::size_t piece = 1 + (data[0] >> 1);
  const ByteView bytes(data + 1, size - 1);
  bool has_failed = false;
  bool has_failed_in_pieces = false;
  const auto whole = read(end, bytes, std::max<std::size_t>(bytes.size(), 1), has_failed);
  const auto pieces = read(end, bytes, piece, has_failed_in_pieces);
  CULVERT_ASSERT(has_failed == has_failed_in_pieces);
  CULVERT_ASSERT(std::ranges::equal(whole, pieces, is_equal));
  SeededRng rng(1);
  Bytes wire;
  for (const WebSocketMessage& message : whole) {
    if (message.kind == WebSocketKind::close) {
      append_close(wire, other, rng, message.code, as_text(message.payload));
    } else {
      append_message(wire, other, rng, message.kind, message.payload);
    }
  }
  const auto again = read(end, wire, piece, has_failed);
  CULVERT_ASSERT(!has_failed && std::ranges::equal(whole, again, is_equal));
  return 0;
}
