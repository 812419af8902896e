// Bytes as a server sends them, in two pieces and an end: whatever comes is a reply, an error or
// waits for more, within its bounds, and the pieces make no difference.
#include "base/assert.h"
#include "http/parser.h"

#include <cstdint>
#include <optional>

namespace {

using namespace culvert;
using namespace culvert::http;

constexpr MessageBounds kBounds{.head_bytes = 512, .body_bytes = 256};

std::optional<Reply> parsed(ByteView bytes, std::size_t cut, bool has_no_body) {
  ReplyParser parser(kBounds, has_no_body);
  std::optional<Reply> reply;
  for (const ByteView piece : {bytes.first(cut), bytes.subspan(cut)}) {
    parser.add(piece);
    if (!reply) reply = parser.next();
  }
  parser.add_end();
  if (!reply) reply = parser.next();
  if (reply) {
    CULVERT_ASSERT(reply->status == 101 || (reply->status >= 200 && reply->status <= 999));
    CULVERT_ASSERT(reply->body.size() <= kBounds.body_bytes);
  } else {
    CULVERT_ASSERT(!parser.next());
  }
  return reply;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  const std::size_t cut = bytes.size() * (data[0] & 0xfeU) / 255;
  const bool has_no_body = (data[0] & 1U) != 0;
  const auto whole = parsed(bytes, bytes.size(), has_no_body);
  const auto pieces = parsed(bytes, cut, has_no_body);
  if (whole && pieces)
    CULVERT_ASSERT(whole->status == pieces->status && whole->body == pieces->body);
  return 0;
}
