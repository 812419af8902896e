// Authentication on the control stream, for both roles and dialects. Sans-I/O: stream
// bytes and `now` in; stream bytes, one verdict and a deadline out. The driver moves bytes
// between this and the first bidirectional stream of a connection, polls after every input, and
// closes the connection where the verdict says so. With the verdict the handshake is over: what
// the two sides say from then on is a ControlChannel's business (control_channel.h).
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "session/auth_gate.h"
#include "session/auth_policy.h"
#include "session/dialect.h"
#include "session/resume.h"
#include "session/session_places.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace culvert::session {

// From the TLS exporter (RFC 8446 7.5) with this label and no context: binds a proof to
// one connection, so that no other server can use it.
inline constexpr std::string_view kExporterLabel = "EXPORTER-culvert-1-auth";
using ExporterValue = std::array<std::uint8_t, 32>;

// Both sides: flows may be opened now.
struct Authenticated {
  AuthIdentity identity;                 // as the server found it; on the client only the kind
  SessionId session_id{};                // zero in mf/4
  std::uint64_t max_flows = 0;           // the server's limit as told to the client; 0 = not told
  Dialect dialect = Dialect::culvert_1;  // of the flows from now on
  std::optional<ResumeTerms> resume{};   // the session may outlive its connection
  std::string resume_refusal{};          // client: why it did not get its old session back
};
// Both sides: the session of this id goes on here, instead of Authenticated.
struct Resumed {
  SessionId session_id{};
  ResumeTerms terms;
  std::size_t key_index = 0;  // server: which of the keys it was
};
// Both sides: this connection is one more of the session of this id, instead of Authenticated.
struct Joined {
  SessionId session_id{};
  ProofBinding binding{};  // of the proof by which the session may go on here
};
// Server: the answer says no; let the client read it, then close with `code`.
// Client: the server said no.
struct Refused {
  CloseCode code = CloseCode::auth_failed;
  std::string reason;
  std::uint32_t retry_after_s = 0;
  ProofKind kind = ProofKind::nothing;  // what was shown
  AuthVerdict verdict{};                // at the server, for its log: what that was worth
};
// The other side broke the protocol or was too slow: close with `code` at once.
struct Failed {
  CloseCode code = CloseCode::protocol_error;
  Error error;
};
using Verdict = std::variant<Authenticated, Resumed, Joined, Refused, Failed>;

class Handshake {
 public:
  virtual ~Handshake() = default;
  // Takes all of them, or those up to the verdict: what comes behind it is not the handshake's.
  // After Refused and Failed nothing that comes means anything, and all of it is taken.
  virtual std::size_t handle_data(Instant now, ByteView bytes) = 0;
  virtual void handle_fin(Instant now) = 0;
  virtual void handle_timeout(Instant now) = 0;
  [[nodiscard]] virtual Instant next_timeout() const = 0;
  // Bytes to append to the control stream; empty when there are none.
  [[nodiscard]] virtual Bytes take_output() = 0;
  // Nothing follows what take_output() returned: send FIN (mf/4).
  [[nodiscard]] virtual bool is_output_finished() const = 0;
  // Once.
  [[nodiscard]] virtual std::optional<Verdict> poll_verdict() = 0;
};

struct ServerHandshakeConfig {
  std::shared_ptr<const ServerAuthPolicy> policy;  // shared with whoever gave it
  std::uint64_t max_flows = 0;
  // Asked once, when the proof was good: may one more session of this credential begin? No
  // refuses with CloseCode::session_limit. The driver owns the count; null: always.
  std::function<Admittance(Instant now, const AuthIdentity& identity)> admits;
  // Sessions may be resumed on these terms.
  std::optional<ResumeTerms> resume{};
  ResumeKeyLookup resume_keys{};
  AuthGate* gate = nullptr;            // asked once about every proof; null: no limits on failures
  std::optional<IpAddress> address{};  // the client's, if known
};

struct ClientHandshakeConfig {
  const ClientCredentials* credentials;  // outlives the handshake
  bool offers_resume = false;
  std::optional<ResumeTicket> ticket{};  // of the session to resume, if any
  bool joins = false;                    // ... or rather to add this connection to
};

// Server: limits::kHandshakeTimeout is over.
[[nodiscard]] Error no_authentication_in_time();

[[nodiscard]] std::unique_ptr<Handshake> make_client_handshake(Dialect dialect,
                                                               const ClientHandshakeConfig& config,
                                                               const ExporterValue& exporter,
                                                               Rng& rng, Instant now);
[[nodiscard]] std::unique_ptr<Handshake> make_server_handshake(Dialect dialect,
                                                               const ServerHandshakeConfig& config,
                                                               const crypto::EndpointId& peer,
                                                               const ExporterValue& exporter,
                                                               Rng& rng, Instant now);

}  // namespace culvert::session
