#include "ports/timer_heap.h"

#include <algorithm>

namespace culvert {
namespace {

constexpr std::size_t kArity = 4;

}  // namespace

Timer::~Timer() {
  if (position_ != kNotInHeap) heap_.remove(position_);
}

void Timer::set(Instant deadline) {
  // While timers fire, one that is set to a time already due waits for the next call:
  // otherwise it could starve the loop.
  if (deadline <= heap_.firing_at_) deadline = heap_.firing_at_ + Duration(1);
  deadline_ = deadline;
  if (deadline == kNever) return;
  if (position_ == kNotInHeap) {
    heap_.insert(*this);
  } else if (deadline < heap_.heap_[position_].key) {
    heap_.sift_up(position_, {deadline, this});
  }
}

void TimerHeap::place(std::size_t position, Entry entry) {
  heap_[position] = entry;
  entry.timer->position_ = position;
}

void TimerHeap::sift_up(std::size_t position, Entry entry) {
  while (position > 0) {
    const std::size_t parent = (position - 1) / kArity;
    if (heap_[parent].key <= entry.key) break;
    place(position, heap_[parent]);
    position = parent;
  }
  place(position, entry);
}

void TimerHeap::sift_down(std::size_t position, Entry entry) {
  for (;;) {
    const std::size_t first = position * kArity + 1;
    if (first >= heap_.size()) break;
    const std::size_t last = std::min(first + kArity, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < last; ++child) {
      if (heap_[child].key < heap_[least].key) least = child;
    }
    if (entry.key <= heap_[least].key) break;
    place(position, heap_[least]);
    position = least;
  }
  place(position, entry);
}

void TimerHeap::insert(Timer& timer) {
  heap_.push_back({timer.deadline_, &timer});
  sift_up(heap_.size() - 1, heap_.back());
}

void TimerHeap::remove(std::size_t position) {
  heap_[position].timer->position_ = Timer::kNotInHeap;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (position == heap_.size()) return;
  if (position > 0 && last.key < heap_[(position - 1) / kArity].key) {
    sift_up(position, last);
  } else {
    sift_down(position, last);
  }
}

void TimerHeap::fire(Instant now) {
  firing_at_ = now;
  while (!heap_.empty() && heap_[0].key <= now) {
    Timer& timer = *heap_[0].timer;
    if (timer.deadline_ > now) {  // moved later since it was put here
      if (timer.deadline_ == kNever) {
        remove(0);
      } else {
        sift_down(0, {timer.deadline_, &timer});
      }
      continue;
    }
    remove(0);
    timer.deadline_ = kNever;
    timer.on_timer(now);
  }
  firing_at_ = Instant::min();
}

}  // namespace culvert
