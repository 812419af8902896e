// What a path loses while its queue is short, by chance, and whether more is lost than that.
// Sans-I/O, O(1).
#pragma once

#include <cmath>
#include <cstdint>

namespace culvert::congestion {

class UsualLoss {
 public:
  // By what count of deviations chance is excluded.
  static constexpr double kDeviations = 3;

  // The share of a round that nothing but chance took.
  void learn(double loss) { share_ += (loss - share_) * kWeight; }
  [[nodiscard]] double share() const { return share_; }
  // Whether `lost` of `packets` are more than usual, by more than chance explains.
  [[nodiscard]] bool is_exceeded_by(double lost, double packets) const {
    const double usual = share_ * packets;
    return lost > usual + kDeviations * std::sqrt(usual);
  }

  // A round is over that lost such a share. Whether most was lost, in some rounds on end.
  [[nodiscard]] bool count_heavy(double loss) {
    heavy_rounds_ = loss > kHeavy ? heavy_rounds_ + 1 : 0;
    return heavy_rounds_ >= kHeavyRounds;
  }

  // In the round with this number something that counted as lost came after all.
  void note_found(std::uint64_t round) { found_in_ = round; }
  // Where that happens losses tell nothing for a while.
  [[nodiscard]] bool has_found_of_late(std::uint64_t round) const {
    return found_in_ != kNeverFound && round - found_in_ < kLateRounds;
  }

 private:
  static constexpr double kWeight = 1.0 / 16;
  static constexpr double kHeavy = 0.2;
  static constexpr unsigned kHeavyRounds = 2;
  static constexpr std::uint64_t kLateRounds = 100;
  static constexpr std::uint64_t kNeverFound = ~std::uint64_t{0};

  double share_ = 0;
  unsigned heavy_rounds_ = 0;
  std::uint64_t found_in_ = kNeverFound;
};

}  // namespace culvert::congestion
