// Who may have something to send, round robin: each once a round, and those whose way out is
// blocked not before it is free. Pure, and allocates nothing once it has grown.
#pragma once

#include <span>
#include <vector>

namespace culvert::drive {

template <typename Sender>
class SendRounds {
 public:
  // In the next round. Whoever calls keeps anybody from being in it twice.
  void push(Sender& sender) { next_.push_back(&sender); }
  // Until free_waiting().
  void wait(Sender& sender) { waiting_.push_back(&sender); }
  // All that wait are in the next round: some may have to wait on, for another way out.
  void free_waiting() {
    next_.insert(next_.end(), waiting_.begin(), waiting_.end());
    waiting_.clear();
  }
  // Nobody is in the next round.
  [[nodiscard]] bool is_empty() const { return next_.empty(); }
  // Who was pushed, in that order. Valid until the next call.
  [[nodiscard]] std::span<Sender* const> begin_round() {
    round_.clear();
    round_.swap(next_);
    return round_;
  }

 private:
  std::vector<Sender*> next_;
  std::vector<Sender*> round_;
  std::vector<Sender*> waiting_;
};

}  // namespace culvert::drive
