// UDP payloads framed on a QUIC stream (session/flow_open.h): reading them out of its input
// and appending them to its output.
#pragma once

#include "base/bytes.h"
#include "buffers/byte_stream.h"

#include <functional>

namespace culvert::flow {

// Calls `take` with each whole frame's payload and consumes it; an incomplete frame stays.
// Frames of up to 65,535 bytes may cross the chunks of the input: those are copied once.
void take_datagram_frames(buffers::ByteStream& stream, const std::function<void(ByteView)>& take);

// False when the stream has no room or no connection: the datagram is lost, as UDP is.
[[nodiscard]] bool append_datagram_frame(buffers::ByteStream& stream, ByteView payload);

}  // namespace culvert::flow
