// Who gets one of the few places for connections that have not authenticated yet, and who
// gives his up for it. Pure bookkeeping, no connections: names of places in and out.
//
// Clients that were let in before have places of their own, by the ticket that they got then
// or by where they come from. When all places of a kind are taken the newcomer gets that of
// the network with most beginnings in the last seconds, there the oldest; beginnings that led
// to authentication do not count. A network that asks more than those that have places waits,
// unless a place is older than limits::kPlaceWorth. Internal to quic/.
#pragma once

#include "base/address.h"
#include "base/rng.h"
#include "base/time.h"
#include "quic/connection_id.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>

namespace culvert::quic {

class Admission {
 public:
  using Place = std::uint64_t;
  using TicketId = std::array<std::uint8_t, 16>;  // which client it was, whatever his address

  struct Verdict {
    std::optional<Place> place;      // none: not now
    std::optional<Place> displaced;  // has no place any more
  };

  explicit Admission(Rng& rng)
      : loads_(16, Hash{KeyedHash(rng)}), proven_(16, loads_.hash_function()) {}

  [[nodiscard]] Verdict apply(Instant now, const IpAddress& from,
                              const std::optional<TicketId>& ticket);
  // The connection is closing or draining: the first to give its place up.
  void set_over(Place place);
  // It has authenticated: its place is free, and where it came from is known.
  void authenticated(Instant now, Place place);
  void leave(Place place);
  // It was none: its client is asked to begin again.
  void withdraw(Instant now, Place place);

  [[nodiscard]] std::size_t size() const { return holders_.size(); }
  // Networks it knows something of; for tests of the bounds.
  [[nodiscard]] std::size_t networks() const { return loads_.size(); }

 private:
  enum class Kind : std::uint8_t { v4, v4_wide, v6, v6_wide, ticket };
  struct Group {
    Kind kind{};
    std::array<std::uint8_t, 16> bytes{};
    friend bool operator==(const Group&, const Group&) = default;
  };
  struct Hash {
    KeyedHash hash;
    std::size_t operator()(const Group& group) const;
  };
  // Beginnings, halved every limits::kLoadHalfLife.
  struct Load {
    double beginnings = 0;
    Instant at{};
    std::size_t places = 0;
  };
  struct Holder {
    Group group;
    std::optional<Group> wide;
    Group network;
    Instant since;
    bool is_returning = false;
    bool is_over = false;
  };
  struct Applicant {
    Group group;
    std::optional<Group> wide;
    Group network;
    bool is_returning = false;
  };

  [[nodiscard]] static Group narrow(const IpAddress& from);
  [[nodiscard]] static Group wide(const IpAddress& from);
  [[nodiscard]] Verdict apply_as(Instant now, const Applicant& applicant);
  [[nodiscard]] std::optional<Place> whom_to_displace(Instant now,
                                                      const Applicant& applicant) const;
  [[nodiscard]] bool is_proven(Instant now, const Group& network) const;
  [[nodiscard]] static double decayed(Instant now, const Load& load);
  [[nodiscard]] double beginnings(Instant now, const Group& group) const;
  [[nodiscard]] double pressure(Instant now, const Group& group, const std::optional<Group>& wide,
                                double more) const;
  void begin(Instant now, const Group& group);
  void forget_place(const Group& group);
  void forgive(Instant now, const Group& group);
  void forget_quiet(Instant now);

  std::map<Place, Holder> holders_;  // oldest first
  std::size_t returning_ = 0;        // of them
  Place next_ = 1;
  std::unordered_map<Group, Load, Hash> loads_;
  std::unordered_map<Group, Instant, Hash> proven_;  // networks, and until when
};

}  // namespace culvert::quic
