#include "net/loop.h"

#include "base/assert.h"
#include "base/limits.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

namespace culvert::net {
namespace {

constexpr int kMaxEvents = 256;  // of one epoll_wait; the rest waits for the next
constexpr std::uint64_t kTimerTag = ~std::uint64_t{0};
constexpr std::uint64_t kMailTag = kTimerTag - 1;

Instant read_clock() {
  return Instant(std::chrono::steady_clock::now().time_since_epoch());  // CLOCK_MONOTONIC
}

timespec to_timespec(Instant instant) {
  const auto ns = instant.time_since_epoch().count();
  return {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
}

}  // namespace

class Loop::SlowTimer final : public TimerPort {
 public:
  SlowTimer(Loop& loop, Instant due, std::function<void(Instant)> task)
      : task_(std::move(task)), loop_(&loop), place_(loop.timers_.emplace(due, this)) {}
  ~SlowTimer() override {
    if (loop_ != nullptr) loop_->timers_.erase(place_);
  }
  SlowTimer(const SlowTimer&) = delete;
  SlowTimer& operator=(const SlowTimer&) = delete;

  // It is due, or the loop ends: it is on no list any more.
  std::function<void(Instant)> take() {
    std::exchange(loop_, nullptr)->timers_.erase(place_);
    return std::move(task_);
  }

 private:
  std::function<void(Instant)> task_;
  Loop* loop_;
  SlowTimers::iterator place_;
};

bool Mailbox::post(Task task) {
  const std::lock_guard lock(mutex_);
  if (loop_ == nullptr || waiting_.size() >= limits::kMaxMail) return false;
  waiting_.push_back(std::move(task));
  if (waiting_.size() == 1) loop_->wake_for_mail();
  return true;
}

Loop::Loop() : mailbox_(std::make_shared<Mailbox>()) {
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  timer_fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  mail_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CULVERT_ASSERT(epoll_fd_ >= 0 && timer_fd_ >= 0 && mail_fd_ >= 0);
  watch_own(timer_fd_, kTimerTag);
  watch_own(mail_fd_, kMailTag);
  mailbox_->loop_ = this;
  refresh_now();
}

Loop::~Loop() {
  {
    const std::lock_guard lock(mailbox_->mutex_);
    mailbox_->loop_ = nullptr;
  }
  // Tasks may own ports and timers of this loop: they go while it is still whole.
  mailbox_->waiting_.clear();
  while (!timers_.empty()) timers_.begin()->second->take();
  ::close(epoll_fd_);
  ::close(timer_fd_);
  ::close(mail_fd_);
}

// Edge-triggered, so that neither has to be read.
void Loop::watch_own(int fd, std::uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = tag;
  const int added = ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
  CULVERT_ASSERT(added == 0);
}

void Loop::run() {
  is_stopped_ = false;
  while (!is_stopped_) turn();
}

void Loop::stop() {
  is_stopped_ = true;
}

Instant Loop::refresh_now() {
  now_ = read_clock();
  return now_;
}

Result<WatchId> Loop::watch(int fd, std::uint32_t epoll_events, FdWatcher& watcher) {
  WatchId id{free_slot_};
  if (id.is_valid()) {
    free_slot_ = slots_[id.slot].next_free;
  } else {
    id.slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  slots_[id.slot].watcher = &watcher;
  epoll_event event{};
  event.events = epoll_events | EPOLLET;
  event.data.u64 = (std::uint64_t{slots_[id.slot].generation} << 32) | id.slot;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    slots_[id.slot].watcher = nullptr;
    slots_[id.slot].next_free = free_slot_;
    free_slot_ = id.slot;
    return fail(ErrorKind::io, std::strerror(error), "epoll");
  }
  return id;
}

void Loop::change(WatchId id, int fd, std::uint32_t epoll_events) {
  if (!id.is_valid()) return;
  epoll_event event{};
  event.events = epoll_events | EPOLLET;
  event.data.u64 = (std::uint64_t{slots_[id.slot].generation} << 32) | id.slot;
  const int changed = ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
  CULVERT_ASSERT(changed == 0);
}

void Loop::unwatch(WatchId& id, int fd) {
  if (!id.is_valid()) return;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  Slot& slot = slots_[id.slot];
  slot.watcher = nullptr;
  ++slot.generation;  // events already collected for the old owner no longer match
  slot.next_free = free_slot_;
  free_slot_ = std::exchange(id.slot, WatchId::kNone);
}

void Loop::make_ready(Runnable& item) {
  ready_.push(item);
}

void Loop::set_deadline(Instant deadline, Runnable& item) {
  deadline_item_ = &item;
  deadline_ = deadline;
}

void Loop::request_turn_end(Runnable& item) {
  turn_end_item_ = &item;
}

std::unique_ptr<TimerPort> Loop::after(Duration delay, std::function<void(Instant)> task) {
  return std::make_unique<SlowTimer>(*this, read_clock() + delay, std::move(task));
}

std::uint8_t* Loop::receive_arena() {
  if (!receive_arena_) {
    receive_arena_ =
        std::make_unique_for_overwrite<std::uint8_t[]>(kReceiveSlots * kReceiveSlotBytes);
  }
  return receive_arena_.get();
}

void Loop::wake_for_mail() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the loop is about to look anyway.
  [[maybe_unused]] const auto written = ::write(mail_fd_, &one, sizeof one);
}

void Loop::run_mail() {
  std::vector<Mailbox::Task> tasks;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    tasks.swap(mailbox_->waiting_);
  }
  refresh_now();
  for (Mailbox::Task& task : tasks) task();
}

// A timer that a task starts has its turn later, however short it is.
void Loop::run_timers() {
  const Instant now = now_;
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto task = timers_.begin()->second->take();  // may destroy the timer
    task(refresh_now());
  }
}

Instant Loop::next_due() const {
  return timers_.empty() ? deadline_ : std::min(deadline_, timers_.begin()->first);
}

// What is due later than the timer says, or not at all any more, is let be: the timer fires early
// once and finds nothing. That is cheaper than a system call on every change, and far cheaper than
// a timeout of epoll_wait: setting the processor's timer leaves a virtual machine.
void Loop::arm_timer() {
  const Instant due = next_due();
  if (due >= timer_armed_at_) return;
  timer_armed_at_ = due;
  itimerspec spec{};
  spec.it_value = to_timespec(due);
  if (spec.it_value.tv_sec == 0) spec.it_value.tv_nsec = std::max(spec.it_value.tv_nsec, 1L);
  ::timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &spec, nullptr);
}

void Loop::rest() {
  if (rest_ == Duration::zero() || !ready_.is_empty() || turn_end_item_ != nullptr) return;
  const timespec when = to_timespec(std::min(now_ + rest_, next_due()));
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
  has_rested_ = true;
}

void Loop::turn() {
  std::array<epoll_event, kMaxEvents> events;
  // After a rest something is there, nearly always: the timer need not be set for it.
  const bool has_rested = std::exchange(has_rested_, false);
  const bool has_work = !ready_.is_empty() || turn_end_item_ != nullptr || has_rested;
  if (!has_work) arm_timer();
  const int count = ::epoll_wait(epoll_fd_, events.data(), kMaxEvents, has_work ? 0 : -1);
  refresh_now();
  bool has_mail = false;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    if (tag == kTimerTag) {
      timer_armed_at_ = kNever;
      continue;
    }
    if (tag == kMailTag) {
      has_mail = true;
      continue;
    }
    const Slot& slot = slots_[static_cast<std::uint32_t>(tag)];
    if (slot.watcher == nullptr || slot.generation != static_cast<std::uint32_t>(tag >> 32)) {
      continue;
    }
    slot.watcher->on_fd_events(events[static_cast<std::size_t>(i)].events);
  }
  if (has_mail) run_mail();
  run_timers();
  if (deadline_ <= now_) {
    deadline_ = kNever;
    ready_.push(*deadline_item_);
  }
  running_.take_all(ready_);
  while (Runnable* item = running_.pop()) item->run(now_);
  if (Runnable* item = std::exchange(turn_end_item_, nullptr)) item->run(refresh_now());
  if (count > 0) rest();
}

}  // namespace culvert::net
