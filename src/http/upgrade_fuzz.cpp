// Bytes as a client sends them that wants a WebSocket: whatever comes is a request or an error, an
// offer or a refusal; and what is answered with any of the protocols that were offered is one
// reply, which a client believes and in which nothing of the request has become a line of its own.
#include "base/assert.h"
#include "http/parser.h"
#include "http/websocket.h"
#include "ports/ports.h"

#include <cstdint>
#include <memory>
#include <string>

namespace {

using namespace culvert;
using namespace culvert::http;

constexpr MessageBounds kFuzzBounds{.head_bytes = 2'000, .body_bytes = 200};

Reply parsed(std::string_view wire) {
  ReplyParser parser({.head_bytes = 4'000, .body_bytes = 1'000}, false);
  parser.add(as_bytes(wire));
  auto reply = parser.next();
  CULVERT_ASSERT(reply && !parser.error());
  CULVERT_ASSERT(parser.take_rest().empty());
  return std::move(*reply);
}

void answer(const Request& request) {
  const auto offer = websocket_offer(request);
  if (!offer) {
    const Reply refusal = parsed(to_wire(offer.error(), false));
    CULVERT_ASSERT(refusal.status == 400 || refusal.status == 426);
    return;
  }
  CULVERT_ASSERT(offer->protocols.size() <= kFuzzBounds.head_bytes);
  for (const std::string& protocol : offer->protocols) {
    const auto take = [](Instant, const std::unique_ptr<StreamPort>&, const std::string&) {};
    const Reply reply = parsed(to_wire(websocket_response(*offer, protocol, take), true));
    CULVERT_ASSERT(reply.headers.size() == 4);
    CULVERT_ASSERT(websocket_protocol(reply, offer->key, {protocol}) == protocol);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  RequestParser parser(kFuzzBounds);
  parser.add(ByteView(data, size));
  while (auto request = parser.next()) answer(*request);
  return 0;
}
