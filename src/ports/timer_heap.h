// All timers of one worker in one intrusive 4-ary heap. A deadline that moves later (as
// idle and loss timers do with every packet) touches only the timer itself: the heap finds
// out when the old deadline comes up. Sooner deadlines move the timer at once.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace culvert {

class TimerHeap;

// A member of its user, who outlives no heap. Destroying it cancels it.
class Timer {
 public:
  explicit Timer(TimerHeap& heap) : heap_(heap) {}
  virtual ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void set(Instant deadline);  // kNever cancels
  void cancel() { deadline_ = kNever; }
  [[nodiscard]] Instant deadline() const { return deadline_; }
  [[nodiscard]] bool is_set() const { return deadline_ != kNever; }

 private:
  friend class TimerHeap;
  virtual void on_timer(Instant now) = 0;

  static constexpr std::size_t kNotInHeap = std::numeric_limits<std::size_t>::max();
  TimerHeap& heap_;
  Instant deadline_ = kNever;
  std::size_t position_ = kNotInHeap;
};

// A timer that calls a member function of its user.
template <typename User, void (User::*function)(Instant)>
class MemberTimer final : public Timer {
 public:
  MemberTimer(TimerHeap& heap, User& user) : Timer(heap), user_(user) {}

 private:
  void on_timer(Instant now) override { (user_.*function)(now); }
  User& user_;
};

class TimerHeap {
 public:
  // No timer is due before this (one that moved later may make it too early).
  [[nodiscard]] Instant next_deadline() const { return heap_.empty() ? kNever : heap_[0].key; }
  // Fires every timer due at `now`; timers may set and destroy timers meanwhile. Timers
  // set by them to a time already due fire in the next call.
  void fire(Instant now);
  [[nodiscard]] std::size_t size() const { return heap_.size(); }

 private:
  friend class Timer;
  struct Entry {
    Instant key;  // <= the timer's deadline
    Timer* timer;
  };
  void insert(Timer& timer);
  void remove(std::size_t position);
  void place(std::size_t position, Entry entry);
  void sift_up(std::size_t position, Entry entry);
  void sift_down(std::size_t position, Entry entry);

  std::vector<Entry> heap_;
  Instant firing_at_ = Instant::min();
};

}  // namespace culvert
