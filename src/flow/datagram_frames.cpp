#include "flow/datagram_frames.h"

#include "session/flow_open.h"

#include <algorithm>
#include <array>

namespace culvert::flow {
namespace {

// What two bytes of length can say.
constexpr std::size_t kMaxFrameBytes = session::kDatagramFrameHeaderBytes + 65'535;

// The first `size` bytes of the input in one piece.
Bytes gather(const buffers::ByteStream& stream, std::size_t size) {
  std::array<ByteView, 16> views;
  const std::size_t count = stream.input.views(views);
  Bytes bytes;
  bytes.reserve(size);
  for (const ByteView& view : std::span(views).first(count)) {
    const std::size_t take = std::min(view.size(), size - bytes.size());
    bytes.insert(bytes.end(), view.begin(), view.begin() + static_cast<std::ptrdiff_t>(take));
  }
  return bytes;
}

}  // namespace

void take_datagram_frames(buffers::ByteStream& stream, const std::function<void(ByteView)>& take) {
  while (stream.input.size() > 0) {
    std::array<ByteView, 1> first;
    if (stream.input.views(first) == 0) break;
    Bytes copy;
    auto frame = session::decode_datagram_frame(first[0]);
    if (!frame && stream.input.size() > first[0].size()) {
      copy = gather(stream, std::min(stream.input.size(), kMaxFrameBytes));
      frame = session::decode_datagram_frame(copy);
    }
    if (!frame) break;
    take(frame->value);
    stream.consume(frame->size);
  }
}

bool append_datagram_frame(buffers::ByteStream& stream, ByteView payload) {
  const std::size_t size = session::kDatagramFrameHeaderBytes + payload.size();
  if (payload.size() > 65'535 || stream.is_fin_queued || stream.is_parked ||
      stream.output.space() < size)
    return false;
  stream.output.append(session::datagram_frame_header(static_cast<std::uint16_t>(payload.size())));
  stream.output.append(payload);
  stream.submit();
  return true;
}

}  // namespace culvert::flow
