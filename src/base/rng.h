// Injected randomness. Production binds it to the kernel (net/system_rng.h);
// simulation and tests to a seed, so that every run can be replayed.
#pragma once

#include "base/bytes.h"

#include <array>
#include <cstdint>

namespace culvert {

class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(ByteSpan out) = 0;

  [[nodiscard]] std::uint64_t next();
  // Uniform in [0, bound); bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);
  // Uniform in [0, 1).
  [[nodiscard]] double unit();
};

// xoshiro256**, seeded by splitmix64: same seed, same sequence, on every machine.
// Not for secrets.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed);
  void fill(ByteSpan out) override;

  // A generator independent of this one's further draws: adding a component to a
  // simulation does not shift another component's randomness.
  [[nodiscard]] SeededRng split(std::uint64_t label) const;

 private:
  std::array<std::uint64_t, 4> state_;
  std::uint64_t seed_;
};

}  // namespace culvert
