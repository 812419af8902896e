#include "flow/listen_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace culvert::flow {

ListenPlaces::ListenPlaces(const tunnel::Target& target) : port_count_(target.port_count) {
  if (target.kind == tunnel::Target::Kind::unix_path) {
    places_.push_back({.address = UnixPath{target.path}});
    return;
  }
  for (const SocketAddress& first : target.addresses()) {
    for (std::size_t offset = 0; offset < port_count_; ++offset) {
      const auto port = static_cast<std::uint16_t>(first.port + offset);
      places_.push_back({.address = SocketAddress{first.ip, port}});
    }
  }
}

void ListenPlaces::open_due(Instant now, const Open& open) {
  asked_at_ = now;
  std::size_t tries = 0;
  while (!has_tried_all() && tries < limits::kListenersPerTurn) {
    try_place(next_first_try_++, open);
    ++tries;
  }
  if (!has_tried_all() || failed_count_ == 0) return;
  if (retry_at_ == kNever) {
    retry_at_ = now + retry_delay_;
    return;
  }
  if (now < retry_at_) return;
  for (; next_again_ < places_.size() && tries < limits::kListenersPerTurn; ++next_again_) {
    if (places_[next_again_].state != State::failed) continue;
    try_place(next_again_, open);
    ++tries;
  }
  if (next_again_ < places_.size() && failed_count_ > 0) return;  // the rest in the next turn
  next_again_ = 0;
  retry_delay_ = std::min(2 * retry_delay_, limits::kTunnelRetryMax);
  retry_at_ = failed_count_ > 0 ? now + retry_delay_ : kNever;
}

void ListenPlaces::try_place(std::size_t index, const Open& open) {
  Place& place = places_[index];
  if (place.state == State::failed) --failed_count_;
  auto opened = open(index, place.address);
  if (opened) {
    place.state = State::open;
    place.failure.clear();
    place.is_news = true;
    place.address = *opened;
    ++open_count_;
    // Where the kernel chooses, all addresses get the port that the first was given.
    const auto* bound = std::get_if<SocketAddress>(&*opened);
    if (bound == nullptr || port_count_ > 1) return;
    for (Place& other : places_) {
      auto& address = std::get<SocketAddress>(other.address);
      if (address.port == 0) address.port = bound->port;
    }
    return;
  }
  // A machine without IPv6 has "localhost" as well.
  const auto* wanted = std::get_if<SocketAddress>(&place.address);
  const bool is_absent = opened.error().kind == ErrorKind::unreachable &&
                         places_.size() > port_count_ && wanted != nullptr && wanted->ip.is_v6();
  place.state = is_absent ? State::absent : State::failed;
  if (!is_absent) ++failed_count_;
  std::string failure = opened.error().what;
  constexpr std::string_view kSaidAnyhow = "cannot listen: ";
  if (failure.starts_with(kSaidAnyhow)) failure.erase(0, kSaidAnyhow.size());
  if (failure == place.failure) return;
  place.failure = std::move(failure);
  place.is_news = true;
}

Instant ListenPlaces::next_timeout() const {
  return has_tried_all() ? retry_at_ : asked_at_;
}

std::optional<Instant> ListenPlaces::next_retry() const {
  return failed_count_ > 0 && retry_at_ != kNever ? std::optional(retry_at_) : std::nullopt;
}

std::vector<std::string> ListenPlaces::texts(const std::function<bool(const Place&)>& has) const {
  std::vector<std::string> all;
  for (std::size_t first = 0; first < places_.size(); ++first) {
    if (!has(places_[first])) continue;
    const std::size_t end = (first / port_count_ + 1) * port_count_;
    std::size_t last = first;
    while (last + 1 < end && has(places_[last + 1])) ++last;
    std::string text = to_text(places_[first].address);
    if (last > first) {
      text += fmt::format("-{}", std::get<SocketAddress>(places_[last].address).port);
    }
    all.push_back(std::move(text));
    first = last;
  }
  return all;
}

std::string ListenPlaces::failure_text(const std::function<bool(const Place&)>& has) const {
  struct Reason {
    const Place* first;
    std::size_t others;
  };
  std::vector<Reason> reasons;  // a few, since what the kernel says of ports is
  for (const Place& place : places_) {
    if (!has(place)) continue;
    const auto known = std::ranges::find_if(
        reasons, [&](const Reason& reason) { return reason.first->failure == place.failure; });
    if (known == reasons.end()) {
      reasons.push_back({&place, 0});
    } else {
      ++known->others;
    }
  }
  std::string text;
  for (const auto& [first, others] : reasons) {
    text += fmt::format("{} {}{}: {}", text.empty() ? "cannot listen on" : "; on",
                        to_text(first->address),
                        others > 0 ? fmt::format(" and {} more", others) : "", first->failure);
  }
  return text;
}

std::vector<std::string> ListenPlaces::open_texts() const {
  return texts([](const Place& place) { return place.state == State::open; });
}

std::string ListenPlaces::failure() const {
  return failure_text([](const Place& place) { return place.state == State::failed; });
}

std::vector<std::string> ListenPlaces::take_opened() {
  if (!has_tried_all()) return {};
  const auto is_new = [](const Place& place) {
    return place.state == State::open && place.is_news;
  };
  std::vector<std::string> found = texts(is_new);
  for (Place& place : places_) place.is_news = place.is_news && place.state != State::open;
  return found;
}

std::string ListenPlaces::take_failure() {
  if (!has_tried_all()) return {};
  const auto is_new = [](const Place& place) {
    return place.state == State::failed && place.is_news;
  };
  std::string found = failure_text(is_new);
  for (Place& place : places_) place.is_news = place.is_news && place.state != State::failed;
  return found;
}

}  // namespace culvert::flow
