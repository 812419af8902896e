#include "session/session_places.h"

#include <algorithm>

namespace culvert::session {

std::uint32_t default_share(std::uint32_t sessions, std::size_t credentials) {
  return credentials <= 1 ? sessions : std::max(1U, sessions - sessions / 4);
}

std::string_view to_string(Admittance admittance) {
  switch (admittance) {
    case Admittance::admitted:
      return "";
    case Admittance::server_full:
      return "Session limit reached";
    case Admittance::credential_full:
      return "Session limit of this credential reached";
  }
  return "Session limit reached";
}

// A pass over all sessions, once a login; they are few beside what a login costs.
SessionGate::Verdict SessionPlaces::admit(const Candidate& candidate, const SessionLimits& limits) {
  std::size_t of_credential = 0;
  const auto longer = [](const auto& a, const auto& b) {
    return b == nullptr || *a.second.suspended < *b->second.suspended;
  };
  const std::pair<const std::uint64_t, Holder>* oldest = nullptr;
  const std::pair<const std::uint64_t, Holder>* oldest_of_credential = nullptr;
  for (const auto& entry : holders_) {
    const bool is_its = entry.second.credential == candidate.credential;
    if (is_its) ++of_credential;
    if (!entry.second.suspended) continue;
    if (longer(entry, oldest)) oldest = &entry;
    if (is_its && longer(entry, oldest_of_credential)) oldest_of_credential = &entry;
  }
  const std::pair<const std::uint64_t, Holder>* leaver = nullptr;
  if (of_credential >= limits.per_credential) {
    if (oldest_of_credential == nullptr) {
      const bool is_all = limits.per_credential >= limits.sessions;
      return {.admittance = is_all ? Admittance::server_full : Admittance::credential_full};
    }
    leaver = oldest_of_credential;
  } else if (holders_.size() >= limits.sessions) {
    if (oldest == nullptr) return {.admittance = Admittance::server_full};
    leaver = oldest;
  }
  Verdict verdict;
  if (leaver != nullptr) {
    verdict.leaver = Leaver{.session = leaver->first, .worker = leaver->second.worker};
    holders_.erase(leaver->first);
  }
  holders_.emplace(candidate.session,
                   Holder{.worker = candidate.worker, .credential = candidate.credential});
  return verdict;
}

void SessionPlaces::suspend(Instant now, std::uint64_t session) {
  if (const auto found = holders_.find(session); found != holders_.end()) {
    found->second.suspended = now;
  }
}

void SessionPlaces::resume(std::uint64_t session) {
  if (const auto found = holders_.find(session); found != holders_.end()) {
    found->second.suspended.reset();
  }
}

void SessionPlaces::leave(std::uint64_t session) {
  holders_.erase(session);
}

}  // namespace culvert::session
