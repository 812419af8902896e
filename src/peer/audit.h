// The audit trail: one record for every decision about who comes in and what they reach.
// Optional; where the records go is app/'s business (app/audit_log.h).
#pragma once

#include "base/address.h"
#include "crypto/keys.h"
#include "session/auth_policy.h"
#include "session/dialect.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace culvert::peer {

// What both kinds of records say about the client. Views are valid during the call.
struct AuditedClient {
  crypto::EndpointId id;  // proven by TLS
  SocketAddress address;
  session::Dialect dialect = session::Dialect::culvert_1;
};

struct AuthRecord {
  AuditedClient client;
  session::ProofKind proof = session::ProofKind::nothing;
  std::string_view comment;  // of the key or EndpointId that let it in
  bool is_accepted = false;
  session::CloseCode code = session::CloseCode::done;  // when refused
  std::string_view reason;                             // when refused
  std::uint32_t retry_after_s = 0;
};

struct FlowRecord {
  AuditedClient client;
  std::string_view source;  // as the client asked for it
  bool is_accepted = false;
  std::string_view dialled;  // the address reached, when accepted
  std::string_view reason;   // when refused
};

// Why a flow is refused that could not be recorded.
inline constexpr std::string_view kNotAudited = "the server's audit log cannot be written";

class AuditSink {
 public:
  virtual ~AuditSink() = default;
  // Called from any worker's thread. Never given a secret.
  virtual void on_auth(const AuthRecord& record) = 0;
  virtual void on_flow(const FlowRecord& record) = 0;
  // Whether flows may be opened: their records will be kept, or need not be.
  [[nodiscard]] virtual bool takes_flows() const = 0;
};

}  // namespace culvert::peer
