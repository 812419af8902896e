// How the session of a server comes to the flows that its client asks for. It knows which streams
// carry them and whether they may be opened; what they do with their bytes is none of its business.
// Private to drive/.
#pragma once

#include "buffers/byte_stream.h"
#include "peer/stream_user.h"
#include "quic/connection.h"
#include "session/flow_open.h"
#include "tunnel/source.h"

namespace culvert::peer {

class ServerSession;

// Each adds what it makes to the session. Outlives the sessions that use it.
class ServerFlowFactory {
 public:
  // The client has opened a stream: reads its head, which ServerSession::on_flow_open is told.
  virtual void read_head(ServerSession& session, quic::Stream& stream) = 0;
  // The source was admitted.
  virtual void start_stream_flow(Instant now, ServerSession& session, buffers::ByteStream& stream,
                                 const tunnel::Source& source) = 0;
  virtual void start_udp_flow(ServerSession& session, quic::Stream& stream,
                              const session::FlowOpen& open, const tunnel::Source& source) = 0;

 protected:
  ~ServerFlowFactory() = default;
};

}  // namespace culvert::peer
