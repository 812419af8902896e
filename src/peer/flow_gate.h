// Whether a client of a server may open a flow, and what is said of it: to the client, to the audit
// log, to the counters. Private to drive/.
#pragma once

#include "peer/audit.h"
#include "peer/descriptor_share.h"
#include "peer/lookup_share.h"
#include "peer/server_context.h"
#include "session/flow_open.h"
#include "session/resume.h"
#include "tunnel/source.h"

#include <optional>
#include <string>
#include <string_view>

namespace culvert::peer {

class ServerSession;

// Owned by its session.
class FlowGate {
 public:
  FlowGate(ServerContext& context, ServerSession& session);

  // Where the flow leads; empty: it may not be opened, and was refused.
  [[nodiscard]] std::optional<tunnel::Source> admit(Instant now, buffers::ByteStream& stream,
                                                    const session::FlowOpen& open);
  // Its source was reached.
  void accept(buffers::ByteStream& stream, std::string_view source, const std::string& dialled);
  // Answers the flow's head with a refusal and lets the stream end.
  void refuse(Instant now, buffers::ByteStream& stream, std::string_view source,
              session::RefusalCode code, const std::string& reason);

  // As far as the audit log is concerned.
  [[nodiscard]] bool is_audited() const {
    return context_.shared.audit == nullptr || context_.shared.audit->takes_flows();
  }
  [[nodiscard]] DescriptorShare& descriptors() { return descriptors_; }
  [[nodiscard]] const LookupShare& lookups() const { return lookups_; }
  [[nodiscard]] session::SeenFlows& seen() { return seen_; }

 private:
  void audit(FlowRecord record) const;

  ServerContext& context_;
  ServerSession& session_;
  DescriptorShare descriptors_;
  LookupShare lookups_;
  session::SeenFlows seen_{limits::kSpareStreams};  // as wide as the flow limit asks for
};

}  // namespace culvert::peer
