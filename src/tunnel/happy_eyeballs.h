// Which address to try next, and when (RFC 8305 5). Pure: the caller dials.
#pragma once

#include "base/address.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/time.h"

#include <optional>
#include <string>
#include <vector>

namespace culvert::tunnel {

class HappyEyeballs {
 public:
  // `addresses` in the order to try them, not empty.
  HappyEyeballs(std::vector<SocketAddress> addresses, Instant now);

  // The index of an address whose attempt should begin now; call until empty.
  [[nodiscard]] std::optional<std::size_t> poll_attempt(Instant now);
  // That attempt failed: the next may begin at once.
  void handle_failure(std::size_t index, const Error& error);
  [[nodiscard]] Instant next_timeout() const;
  // No attempt can succeed any more, or the time is up.
  [[nodiscard]] bool is_exhausted(Instant now) const;
  // Every address tried, each with its reason. kind: unreachable.
  [[nodiscard]] Error error(Instant now) const;
  [[nodiscard]] const SocketAddress& address(std::size_t index) const { return addresses_[index]; }
  // All attempts failed with "connection refused".
  [[nodiscard]] bool is_refused() const;

 private:
  std::vector<SocketAddress> addresses_;
  std::vector<std::string> outcomes_;  // empty: under way or not begun
  std::size_t next_ = 0;
  std::size_t failed_ = 0;
  Instant next_attempt_;
  Instant deadline_;
};

}  // namespace culvert::tunnel
