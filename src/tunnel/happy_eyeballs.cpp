#include "tunnel/happy_eyeballs.h"

#include "base/assert.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::tunnel {

HappyEyeballs::HappyEyeballs(std::vector<SocketAddress> addresses, Instant now)
    : addresses_(std::move(addresses)),
      outcomes_(addresses_.size()),
      next_attempt_(now),
      deadline_(now + limits::kDialTimeout) {
  CULVERT_ASSERT(!addresses_.empty());
}

std::optional<std::size_t> HappyEyeballs::poll_attempt(Instant now) {
  if (next_ == addresses_.size() || now < next_attempt_ || now >= deadline_) return std::nullopt;
  next_attempt_ = now + limits::kHappyEyeballsDelay;
  return next_++;
}

void HappyEyeballs::handle_failure(std::size_t index, const Error& error) {
  if (!outcomes_[index].empty()) return;
  outcomes_[index] = error.what;
  ++failed_;
  next_attempt_ = Instant::min();
}

Instant HappyEyeballs::next_timeout() const {
  return next_ == addresses_.size() ? deadline_ : std::min(next_attempt_, deadline_);
}

bool HappyEyeballs::is_exhausted(Instant now) const {
  return failed_ == addresses_.size() || now >= deadline_;
}

bool HappyEyeballs::is_refused() const {
  return std::ranges::all_of(outcomes_, [](const std::string& outcome) {
    return outcome.find("refused") != std::string::npos;
  });
}

Error HappyEyeballs::error(Instant now) const {
  std::string text;
  for (std::size_t i = 0; i < next_; ++i) {
    const std::string& outcome = outcomes_[i];
    if (!text.empty()) text += "; ";
    text += fmt::format("{}: {}", addresses_[i].text(),
                        !outcome.empty()   ? outcome
                        : now >= deadline_ ? "timed out"
                                           : "under way");
  }
  return {ErrorKind::unreachable, std::move(text), {}};
}

}  // namespace culvert::tunnel
