#include "peer/flow_gate.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/flow_codes.h"
#include "peer/server_session.h"

#include <fmt/format.h>

namespace culvert::peer {
namespace {

// A name, which somebody must be asked for.
bool needs_lookup(const tunnel::Source& source) {
  return source.protocol != tunnel::Protocol::unix_stream && !source.host_port.literal();
}

}  // namespace

FlowGate::FlowGate(ServerContext& context, ServerSession& session)
    : context_(context), session_(session), descriptors_(context.shared.descriptors_per_session) {}

std::optional<tunnel::Source> FlowGate::admit(Instant now, buffers::ByteStream& stream,
                                              const session::FlowOpen& open) {
  Logger& log = context_.worker.log();
  log.debug("flow", "Source request: {}", session::bounded_reason(open.source));
  if (context_.is_stopping) {
    refuse(now, stream, open.source, session::RefusalCode::shutting_down,
           "the server is shutting down");
    return std::nullopt;
  }
  // The head itself is still in the set.
  if (session_.flow_count() > context_.policy->max_flows_per_session) {
    refuse(now, stream, open.source, session::RefusalCode::limit,
           fmt::format("Session limit reached ({} flows)", context_.policy->max_flows_per_session));
    return std::nullopt;
  }
  if (descriptors_.is_full()) {
    refuse(now, stream, open.source, session::RefusalCode::limit, descriptors_.refusal());
    return std::nullopt;
  }
  if (!session_.core().lanes().budget().takes_flows()) {
    CULVERT_PROBE("peer.a client has too much waiting for a further flow");
    refuse(now, stream, open.source, session::RefusalCode::limit,
           fmt::format("Session limit reached ({})", kNobodyReads));
    return std::nullopt;
  }
  if (!is_audited()) {
    refuse(now, stream, open.source, session::RefusalCode::limit, std::string(kNotAudited));
    return std::nullopt;
  }
  if (session_.is_resumable() && open.flow_id != 0) {
    if (seen_.contains(open.flow_id)) {
      CULVERT_PROBE("peer.a flow id is used twice");
      refuse(now, stream, open.source, session::RefusalCode::malformed,
             "this flow id was used before");
      return std::nullopt;
    }
    seen_.add(open.flow_id);
    stream.flow_id = open.flow_id;
  }
  const auto source = tunnel::Source::parse(open.source);
  if (!source) {
    refuse(now, stream, open.source, session::RefusalCode::malformed, source.error().text());
    return std::nullopt;
  }
  if (needs_lookup(*source) && lookups_.is_full()) {
    CULVERT_PROBE("peer.a client has too many names looked up");
    refuse(now, stream, open.source, session::RefusalCode::limit, lookups_.refusal());
    return std::nullopt;
  }
  return *source;
}

void FlowGate::accept(buffers::ByteStream& stream, std::string_view source,
                      const std::string& dialled) {
  audit({.source = source, .is_accepted = true, .dialled = dialled});
  Bytes reply;
  session::encode_flow_reply(session_.dialect(), session::FlowAccepted{dialled}, reply);
  stream.output.append(reply);
  stream.submit();
}

void FlowGate::refuse(Instant now, buffers::ByteStream& stream, std::string_view source,
                      session::RefusalCode code, const std::string& reason) {
  audit({.source = source, .reason = reason});
  ++context_.stats.flows_refused;
  context_.worker.warnings().warn(
      now, fmt::format("Refused to client {}: {}", session_.peer().short_text(), reason));
  session_.tell(RoleEventKind::flow_refused, reason);
  Bytes reply;
  session::encode_flow_reply(session_.dialect(), session::FlowRefused{code, reason}, reply);
  stream.output.append(reply);
  stream.submit();
  stream.finish();
  stream.stop_sending(kRefused);
  stream.context = nullptr;
}

void FlowGate::audit(FlowRecord record) const {
  if (context_.shared.audit == nullptr) return;
  record.client = session_.audited_client();
  context_.shared.audit->on_flow(record);
}

}  // namespace culvert::peer
