#include "quic/admission.h"

#include "base/limits.h"

#include <algorithm>
#include <cmath>

namespace culvert::quic {
namespace {

constexpr std::size_t kWideBytesV4 = 3;  // /24
constexpr std::size_t kWideBytesV6 = 6;  // /48
// Networks of a wider one that may begin as much as one alone before it counts against them.
constexpr double kNetworksOfWide = 8;
// Less than this is forgotten: some five half-lives after a single beginning.
constexpr double kQuiet = 0.03;

}  // namespace

std::size_t Admission::Hash::operator()(const Group& group) const {
  std::array<std::uint8_t, 17> bytes{};
  bytes[0] = static_cast<std::uint8_t>(group.kind);
  std::ranges::copy(group.bytes, bytes.begin() + 1);
  return static_cast<std::size_t>(hash(bytes));
}

Admission::Group Admission::narrow(const IpAddress& from) {
  Group group{.kind = from.is_v4() ? Kind::v4 : Kind::v6};
  std::ranges::copy(from.source_network().bytes(), group.bytes.begin());
  return group;
}

Admission::Group Admission::wide(const IpAddress& from) {
  Group group{.kind = from.is_v4() ? Kind::v4_wide : Kind::v6_wide};
  std::ranges::copy(from.bytes().first(from.is_v4() ? kWideBytesV4 : kWideBytesV6),
                    group.bytes.begin());
  return group;
}

Admission::Verdict Admission::apply(Instant now, const IpAddress& from,
                                    const std::optional<TicketId>& ticket) {
  const Group network = narrow(from);
  if (ticket) {
    const Verdict verdict = apply_as(now, {.group = {.kind = Kind::ticket, .bytes = *ticket},
                                           .wide = {},
                                           .network = network,
                                           .is_returning = true});
    if (verdict.place) return verdict;
  } else if (is_proven(now, network)) {
    const Verdict verdict =
        apply_as(now, {.group = network, .wide = {}, .network = network, .is_returning = true});
    if (verdict.place) return verdict;
  }
  return apply_as(now, {.group = network, .wide = wide(from), .network = network});
}

Admission::Verdict Admission::apply_as(Instant now, const Applicant& applicant) {
  // One network does not have us do nothing but handshakes.
  if (pressure(now, applicant.group, applicant.wide, 1) > limits::kMaxBeginnings) return {};
  Verdict verdict;
  const std::size_t taken = applicant.is_returning ? returning_ : holders_.size() - returning_;
  const std::size_t places = applicant.is_returning ? limits::kMaxReturningConnections
                                                    : limits::kMaxUnauthenticatedConnections;
  const auto load = loads_.find(applicant.group);
  const bool is_share_taken =
      load != loads_.end() && load->second.places >= limits::kMaxUnauthenticatedPerAddress;
  if (is_share_taken || taken >= places) {
    if (is_share_taken) {  // its own oldest
      const auto oldest = std::ranges::find_if(
          holders_, [&](const auto& entry) { return entry.second.group == applicant.group; });
      if (oldest != holders_.end()) verdict.displaced = oldest->first;
    } else {
      verdict.displaced = whom_to_displace(now, applicant);
    }
    if (!verdict.displaced) return {};
    leave(*verdict.displaced);
  }
  begin(now, applicant.group);
  if (applicant.wide) begin(now, *applicant.wide);
  verdict.place = next_++;
  holders_.emplace(*verdict.place, Holder{.group = applicant.group,
                                          .wide = applicant.wide,
                                          .network = applicant.network,
                                          .since = now,
                                          .is_returning = applicant.is_returning});
  if (applicant.is_returning) ++returning_;
  return verdict;
}

// What its network has begun lately. A wider network counts for a part of it, so that whoever
// has many addresses in one does not have as many voices.
double Admission::pressure(Instant now, const Group& group, const std::optional<Group>& wide,
                           double more) const {
  const double own = beginnings(now, group) + more;
  return wide ? std::max(own, (beginnings(now, *wide) + more) / kNetworksOfWide) : own;
}

std::optional<Admission::Place> Admission::whom_to_displace(Instant now,
                                                            const Applicant& applicant) const {
  std::optional<Place> worst;
  double most = 0;
  Instant since{};
  for (const auto& [place, holder] : holders_) {
    if (holder.is_returning != applicant.is_returning) continue;
    if (holder.is_over) return place;
    const double its = pressure(now, holder.group, holder.wide, 0);
    if (worst && its <= most) continue;
    worst = place;
    most = its;
    since = holder.since;
  }
  if (!worst) return std::nullopt;
  const double ours = pressure(now, applicant.group, applicant.wide, 1);
  if (most > ours || now - since >= limits::kPlaceWorth) return worst;
  // Ours has asked for most: it may exchange what it has, or take what is worth nothing more.
  const Place oldest = [&] {
    for (const auto& [place, holder] : holders_) {
      if (holder.is_returning == applicant.is_returning && holder.group == applicant.group) {
        return place;
      }
    }
    return Place{0};
  }();
  if (oldest != 0) return oldest;
  for (const auto& [place, holder] : holders_) {
    if (holder.is_returning != applicant.is_returning) continue;
    return now - holder.since >= limits::kPlaceWorth ? std::optional(place) : std::nullopt;
  }
  return std::nullopt;
}

void Admission::set_over(Place place) {
  if (const auto found = holders_.find(place); found != holders_.end())
    found->second.is_over = true;
}

void Admission::withdraw(Instant now, Place place) {
  const auto found = holders_.find(place);
  if (found == holders_.end()) return;
  forgive(now, found->second.group);
  if (found->second.wide) forgive(now, *found->second.wide);
  leave(place);
}

void Admission::authenticated(Instant now, Place place) {
  const auto found = holders_.find(place);
  if (found == holders_.end()) return;
  if (proven_.size() >= limits::kMaxProvenNetworks && !proven_.contains(found->second.network)) {
    proven_.erase(
        std::ranges::min_element(proven_, {}, [](const auto& entry) { return entry.second; }));
  }
  proven_[found->second.network] = now + limits::kProvenNetworkMemory;
  withdraw(now, place);
}

void Admission::leave(Place place) {
  const auto found = holders_.find(place);
  if (found == holders_.end()) return;
  forget_place(found->second.group);
  if (found->second.wide) forget_place(*found->second.wide);
  if (found->second.is_returning) --returning_;
  holders_.erase(found);
}

bool Admission::is_proven(Instant now, const Group& network) const {
  const auto found = proven_.find(network);
  return found != proven_.end() && now < found->second;
}

// --- what networks have begun ----------------------------------------------------------------

double Admission::beginnings(Instant now, const Group& group) const {
  const auto found = loads_.find(group);
  return found == loads_.end() ? 0 : decayed(now, found->second);
}

double Admission::decayed(Instant now, const Load& load) {
  const double halvings = std::max(0.0, std::chrono::duration<double>(now - load.at) /
                                            std::chrono::duration<double>(limits::kLoadHalfLife));
  return load.beginnings * std::exp2(-halvings);
}

void Admission::begin(Instant now, const Group& group) {
  if (loads_.size() >= limits::kMaxNetworksRemembered && !loads_.contains(group)) {
    forget_quiet(now);
  }
  const double before = beginnings(now, group);
  Load& load = loads_[group];
  load.beginnings = before + 1;
  load.at = now;
  ++load.places;
}

void Admission::forgive(Instant now, const Group& group) {
  const double before = beginnings(now, group);
  Load& load = loads_[group];
  load.beginnings = std::max(0.0, before - 1);
  load.at = now;
}

void Admission::forget_place(const Group& group) {
  const auto found = loads_.find(group);
  if (found != loads_.end() && found->second.places > 0) --found->second.places;
}

// Whoever has begun least lately, until half of the room is free.
void Admission::forget_quiet(Instant now) {
  for (double quiet = kQuiet; loads_.size() > limits::kMaxNetworksRemembered / 2; quiet *= 2) {
    std::erase_if(loads_, [&](const auto& entry) {
      return entry.second.places == 0 && decayed(now, entry.second) < quiet;
    });
  }
}

}  // namespace culvert::quic
