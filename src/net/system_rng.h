// The kernel's generator (getrandom) as an Rng. Not thread-safe: one per host.
#pragma once

#include "base/rng.h"

#include <array>
#include <cstddef>

namespace culvert::net {

class SystemRng final : public Rng {
 public:
  SystemRng() = default;
  ~SystemRng() override;
  SystemRng(const SystemRng&) = delete;
  SystemRng& operator=(const SystemRng&) = delete;
  // Small requests (connection ids) are served from a pool, one system call for many;
  // bytes given out are wiped from it.
  void fill(ByteSpan out) override;

 private:
  std::array<std::uint8_t, 256> pool_{};
  std::size_t left_ = 0;
};

}  // namespace culvert::net
