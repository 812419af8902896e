// How many sockets towards sources one session of a server has, and may have: one client must
// not take those of all. Private to drive/.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>

namespace culvert::peer {

// Owned by a session; outlives every DescriptorUse of it. On the worker's thread.
class DescriptorShare {
 public:
  explicit DescriptorShare(std::uint32_t most) : most_(most) {}
  [[nodiscard]] bool is_full() const { return used_ >= most_; }
  // Why a flow is refused then.
  [[nodiscard]] std::string refusal() const {
    return fmt::format(
        "Session limit reached ({} connections to sources are this client's share of the server's "
        "file descriptors)",
        most_);
  }

 private:
  friend class DescriptorUse;
  std::uint32_t most_;
  std::uint32_t used_ = 0;
};

// Stands beside a port as long as that is open.
class DescriptorUse {
 public:
  DescriptorUse() = default;
  explicit DescriptorUse(DescriptorShare& share) : share_(&share) { ++share.used_; }
  DescriptorUse(DescriptorUse&& other) noexcept : share_(std::exchange(other.share_, nullptr)) {}
  DescriptorUse& operator=(DescriptorUse&& other) noexcept {
    std::swap(share_, other.share_);
    return *this;
  }
  ~DescriptorUse() {
    if (share_ != nullptr) --share_->used_;
  }

 private:
  DescriptorShare* share_ = nullptr;
};

}  // namespace culvert::peer
