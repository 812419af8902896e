// Places for streams (RFC 9000 4.6): how many the peer may have open, and whether we want one more
// than it lets us have. Internal to quic/.
#pragma once

#include <cstdint>

namespace culvert::quic {

class StreamPlaces {
 public:
  explicit StreamPlaces(std::uint64_t granted) : granted_(granted), allowed_(granted) {}

  // How many the peer should have.
  void allow(std::uint64_t count) { allowed_ = count; }
  // How many more it is to be granted now. What it has been granted cannot be taken back.
  [[nodiscard]] std::uint64_t take_grant() {
    if (allowed_ <= granted_) return 0;
    const std::uint64_t more = allowed_ - granted_;
    granted_ = allowed_;
    return more;
  }
  // A stream of the peer's is over. Whether another takes its place: not where the peer has more
  // than it should.
  [[nodiscard]] bool give_back() {
    if (granted_ <= allowed_) return true;
    --granted_;
    return false;
  }

  // We could not open one.
  void want() { is_wanted_ = true; }
  // There is room. Whether somebody waits for it.
  [[nodiscard]] bool take_wish() {
    const bool was_wanted = is_wanted_;
    is_wanted_ = false;
    return was_wanted;
  }

 private:
  std::uint64_t granted_;  // places the peer has, in use or not
  std::uint64_t allowed_;  // places it should have
  bool is_wanted_ = false;
};

}  // namespace culvert::quic
