#include "net/loop.h"

#include "base/assert.h"
#include "net/loop_asio.h"

#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

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

constexpr int kMaxEvents = 256;
// How long the data path turns before Asio's own queue (signals, coroutines) gets a look.
constexpr Duration kMaxTurn = std::chrono::milliseconds(4);
// After events the next ones are waited for here, without the way through Asio (which costs
// three system calls and a second wake-up in the kernel). Asio waits no longer than this.
constexpr int kHotWaitMs = 3;
// After a round that took this long more events are likely; after a shorter one asking at
// once would mostly cost a system call for nothing.
constexpr Duration kLongRound = std::chrono::microseconds(20);
constexpr std::uint64_t kTimerTag = ~std::uint64_t{0};
constexpr std::uint64_t kMailTag = kTimerTag - 1;

struct AsioTimer final : Timer {
  AsioTimer(boost::asio::io_context& context, Duration delay) : timer(context, delay) {}
  ~AsioTimer() override { *is_cancelled = true; }

  boost::asio::steady_timer timer;
  // Shared with the waiting handler: one that has expired but not yet run cannot be
  // cancelled any more and outlives us.
  std::shared_ptr<bool> is_cancelled = std::make_shared<bool>(false);
};

}  // namespace

bool Mailbox::post(Task task) {
  const std::lock_guard lock(mutex_);
  if (loop_ == nullptr || waiting_.size() >= kMaxWaiting) return false;
  waiting_.push_back(std::move(task));
  if (waiting_.size() == 1) loop_->wake_for_mail();
  return true;
}

Loop::Loop() : asio_(std::make_unique<Asio>()), mailbox_(std::make_shared<Mailbox>()) {
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  timer_fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  mail_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CULVERT_ASSERT(epoll_fd_ >= 0 && timer_fd_ >= 0 && mail_fd_ >= 0);
  watch_own(timer_fd_, kTimerTag);
  watch_own(mail_fd_, kMailTag);
  asio_->epoll.assign(epoll_fd_);
  mailbox_->loop_ = this;
  refresh_now();
}

Loop::~Loop() {
  {
    const std::lock_guard lock(mailbox_->mutex_);
    mailbox_->loop_ = nullptr;
  }
  // Tasks may own ports of this loop: they go while it is still whole.
  mailbox_->waiting_.clear();
  asio_.reset();  // closes epoll_fd_
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
  asio_->context.restart();
  const auto work = boost::asio::make_work_guard(asio_->context);
  schedule_turn();
  asio_->context.run();
}

void Loop::stop() {
  asio_->context.stop();
}

Instant Loop::refresh_now() {
  // The steady clock is CLOCK_MONOTONIC, as is the timer descriptor.
  now_ = Instant(std::chrono::steady_clock::now().time_since_epoch());
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
  schedule_turn();
}

void Loop::set_deadline(Instant deadline, Runnable& item) {
  deadline_item_ = &item;
  if (deadline == deadline_) return;
  deadline_ = deadline;
  // Armed when the turn ends: many changes in one turn cost one system call at most.
  if (!is_in_turn_) schedule_turn();
}

void Loop::request_turn_end(Runnable& item) {
  turn_end_item_ = &item;
  schedule_turn();
}

std::unique_ptr<Timer> Loop::after(Duration delay, std::function<void(Instant)> task) {
  auto timer = std::make_unique<AsioTimer>(asio_->context, delay);
  timer->timer.async_wait([this, is_cancelled = timer->is_cancelled,
                           task = std::move(task)](const boost::system::error_code&) {
    if (*is_cancelled) return;
    task(refresh_now());
  });
  return timer;
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

void Loop::schedule_turn() {
  if (is_in_turn_ || is_turn_scheduled_) return;
  is_turn_scheduled_ = true;
  boost::asio::post(asio_->context, [this] {
    is_turn_scheduled_ = false;
    turn();
  });
}

void Loop::arm_epoll_wait() {
  if (is_epoll_wait_armed_) return;
  is_epoll_wait_armed_ = true;
  asio_->epoll.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this](const boost::system::error_code& error) {
                            if (error) return;
                            is_epoll_wait_armed_ = false;
                            turn();
                          });
}

void Loop::turn() {
  is_in_turn_ = true;
  const Instant yield_at = refresh_now() + kMaxTurn;
  int timeout_ms = 0;
  while (!asio_->context.stopped()) {
    const Activity activity = round(timeout_ms);
    if (activity == Activity::none || now_ >= yield_at) break;
    timeout_ms = activity == Activity::more && rest_ == Duration::zero() ? 0 : kHotWaitMs;
    if (timeout_ms > 0) arm_timer();
    rest();
  }
  is_in_turn_ = false;
  arm_timer();
  arm_epoll_wait();
  if (!ready_.is_empty() || turn_end_item_ != nullptr) schedule_turn();
}

void Loop::rest() {
  if (rest_ == Duration::zero() || !ready_.is_empty() || turn_end_item_ != nullptr) return;
  const auto until = std::min(now_ + rest_, deadline_).time_since_epoch().count();
  const timespec when{.tv_sec = until / 1'000'000'000, .tv_nsec = until % 1'000'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

Loop::Activity Loop::round(int timeout_ms) {
  std::array<epoll_event, kMaxEvents> events;
  const int count = ::epoll_wait(epoll_fd_, events.data(), kMaxEvents, timeout_ms);
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
  const Instant start = now_;
  if (has_mail) run_mail();
  if (deadline_ <= now_) {
    deadline_ = kNever;
    ready_.push(*deadline_item_);
  }

  running_.take_all(ready_);
  while (Runnable* item = running_.pop()) item->run(now_);
  if (Runnable* item = std::exchange(turn_end_item_, nullptr)) item->run(refresh_now());
  if (!ready_.is_empty() || turn_end_item_ != nullptr || count == kMaxEvents) return Activity::more;
  if (count <= 0) return Activity::none;
  return refresh_now() - start > kLongRound ? Activity::more : Activity::some;
}

void Loop::arm_timer() {
  // Moved later or removed: the timer fires early once and finds nothing due; cheaper than
  // a system call on every change.
  if (deadline_ >= timer_armed_at_) return;
  timer_armed_at_ = deadline_;
  const auto since_epoch = deadline_.time_since_epoch().count();
  itimerspec spec{};
  spec.it_value.tv_sec = since_epoch / 1'000'000'000;
  spec.it_value.tv_nsec = std::max<std::int64_t>(since_epoch % 1'000'000'000, 1);
  ::timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &spec, nullptr);
}

}  // namespace culvert::net
