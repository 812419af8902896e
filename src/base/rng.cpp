#include "base/rng.h"

#include "base/assert.h"

#include <bit>

namespace culvert {
namespace {

std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t value = (state += 0x9e3779b97f4a7c15ULL);
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

}  // namespace

std::uint64_t Rng::next() {
  std::array<std::uint8_t, 8> bytes{};
  fill(bytes);
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = (value << 8) | byte;
  return value;
}

std::uint64_t Rng::below(std::uint64_t bound) {
  CULVERT_ASSERT(bound > 0);
  // Values below `skew` would make the lowest remainders likelier.
  const std::uint64_t skew = -bound % bound;
  std::uint64_t value = next();
  while (value < skew) value = next();
  return value % bound;
}

double Rng::unit() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

SeededRng::SeededRng(std::uint64_t seed) : state_{}, seed_(seed) {
  for (std::uint64_t& word : state_) word = splitmix64(seed);
}

void SeededRng::fill(ByteSpan out) {
  while (!out.empty()) {
    std::uint64_t word = std::rotl(state_[1] * 5, 7) * 9;  // xoshiro256**
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    for (int i = 0; i < 8 && !out.empty(); ++i) {
      out[0] = static_cast<std::uint8_t>(word);
      word >>= 8;
      out = out.subspan(1);
    }
  }
}

SeededRng SeededRng::split(std::uint64_t label) const {
  std::uint64_t mixed = seed_ ^ std::rotl(label, 32);
  const std::uint64_t first = splitmix64(mixed);
  mixed ^= label;
  return SeededRng(first ^ splitmix64(mixed));
}

}  // namespace culvert
