// Who holds one of a server's sessions. When all are taken, the one that has waited longest for
// its client to come back goes first: of the same credential where that has its share,
// otherwise of anybody. Names of sessions in and out; the server ends them.
#pragma once

#include "base/time.h"
#include "session/auth_policy.h"

#include <cstdint>
#include <map>
#include <optional>

namespace culvert::session {

struct SessionLimits {
  std::uint32_t sessions = 0;
  std::uint32_t per_credential = 0;  // 0: default_share()
};
// What one credential may hold of `sessions` where the setting does not say: three quarters when
// there are others, so that whoever has the one does not keep out those who have another.
[[nodiscard]] std::uint32_t default_share(std::uint32_t sessions, std::size_t credentials);

enum class Admittance : std::uint8_t {
  admitted,
  server_full,
  credential_full,
};
[[nodiscard]] std::string_view to_string(Admittance admittance);  // for a refused client

// The seam for several workers (app/ has a lock around it).
class SessionGate {
 public:
  struct Candidate {
    std::uint64_t session = 0;
    std::uint8_t worker = 0;
    CredentialId credential{};
  };
  struct Leaver {
    std::uint64_t session = 0;
    std::uint8_t worker = 0;
  };
  struct Verdict {
    Admittance admittance = Admittance::admitted;
    std::optional<Leaver> leaver;  // gave its place up: to be ended by its worker
  };

  virtual ~SessionGate() = default;
  [[nodiscard]] virtual Verdict admit(const Candidate& candidate, const SessionLimits& limits) = 0;
  virtual void suspend(Instant now, std::uint64_t session) = 0;
  virtual void resume(std::uint64_t session) = 0;
  virtual void leave(std::uint64_t session) = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
};

class SessionPlaces final : public SessionGate {
 public:
  [[nodiscard]] Verdict admit(const Candidate& candidate, const SessionLimits& limits) override;
  void suspend(Instant now, std::uint64_t session) override;
  void resume(std::uint64_t session) override;
  void leave(std::uint64_t session) override;
  // Without those that have given their places up.
  [[nodiscard]] std::size_t size() const override { return holders_.size(); }

 private:
  struct Holder {
    std::uint8_t worker = 0;
    CredentialId credential{};
    std::optional<Instant> suspended;
  };
  std::map<std::uint64_t, Holder> holders_;
};

}  // namespace culvert::session
