// One thread's event loop: readiness of file descriptors, one data-path deadline, posted
// functions and slow timers. Private to net/ (others see Host).
//
// One edge-triggered epoll set: a flow costs one epoll_ctl in its whole life instead of one
// per wish, and no per-operation memory. Readiness is remembered in the ports until a system
// call says EAGAIN (or moved less than asked).
//
// A turn: wait for events, at most until something is due -> posted functions and timers ->
// what is ready, each once -> the turn-end callback. That is one system call beside those of
// the ports.
//
// Everything except Mailbox belongs to the thread that runs the loop.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "net/ready_list.h"
#include "ports/ports.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace culvert::net {

// Told of readiness edges on a file descriptor. Must not call handlers from here: it
// records the edge and puts itself on the ready list.
class FdWatcher {
 public:
  virtual void on_fd_events(std::uint32_t epoll_events) = 0;

 protected:
  ~FdWatcher() = default;
};

// Identifies a watched descriptor; stale events of an earlier owner are recognised.
struct WatchId {
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  std::uint32_t slot = kNone;
  [[nodiscard]] bool is_valid() const { return slot != kNone; }
};

class Loop;

// How other threads reach a loop. Shared by the loop and by everyone who may post to it
// (other workers, a thread that reloads), because those may outlive it: then posts are dropped.
class Mailbox {
 public:
  using Task = std::move_only_function<void()>;
  // Runs `task` on the loop's thread. False when the loop is gone or too much waits.
  bool post(Task task);

 private:
  friend class Loop;
  std::mutex mutex_;
  Loop* loop_ = nullptr;  // null once the loop is gone
  std::vector<Task> waiting_;
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(). May be called again afterwards.
  void run();
  // On the loop's thread (others post it): run() returns when the current turn has ended.
  void stop();

  // The time of this turn; refresh_now() reads the clock.
  [[nodiscard]] Instant now() const { return now_; }
  Instant refresh_now();

  // Edge-triggered. EPOLLERR and EPOLLHUP always come. EPERM (a regular file) is an error.
  [[nodiscard]] Result<WatchId> watch(int fd, std::uint32_t epoll_events, FdWatcher& watcher);
  // Of a watch that could not be had: nothing.
  void change(WatchId id, int fd, std::uint32_t epoll_events);
  // Before the descriptor is closed. No events come after this.
  void unwatch(WatchId& id, int fd);

  // `item.run()` next turn; items must unlink themselves when they die (ReadyLink does).
  void make_ready(Runnable& item);

  // The single data-path deadline; `item` is run when it is due. kNever: none.
  void set_deadline(Instant deadline, Runnable& item);
  // After each turn with events, so long nothing is looked at, what is due left out.
  void set_rest(Duration rest) { rest_ = rest; }
  // `item` is run once at the end of this turn (or the next when idle).
  void request_turn_end(Runnable& item);

  [[nodiscard]] std::unique_ptr<TimerPort> after(Duration delay, std::function<void(Instant)> task);
  [[nodiscard]] const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }

  // 16 x 64 KiB for recvmmsg, allocated when first asked for and shared by all UDP ports
  // of the loop: contents are valid until the next receive on any of them.
  static constexpr std::size_t kReceiveSlots = 16;
  static constexpr std::size_t kReceiveSlotBytes = 65'536;
  [[nodiscard]] std::uint8_t* receive_arena();

 private:
  friend class Mailbox;
  struct Slot {
    FdWatcher* watcher = nullptr;
    std::uint32_t generation = 0;
    std::uint32_t next_free = WatchId::kNone;
  };

  class SlowTimer;
  using SlowTimers = std::multimap<Instant, SlowTimer*>;

  void turn();
  [[nodiscard]] Instant next_due() const;
  void arm_timer();
  void run_timers();
  void watch_own(int fd, std::uint64_t tag);
  void rest();
  void run_mail();
  void wake_for_mail();  // from any thread

  std::shared_ptr<Mailbox> mailbox_;  // shared with those who post to it, who may outlive the loop
  std::vector<Slot> slots_;
  std::uint32_t free_slot_ = WatchId::kNone;
  ReadyList ready_;
  ReadyList running_;
  Runnable* deadline_item_ = nullptr;
  Runnable* turn_end_item_ = nullptr;  // requested and not yet run
  Instant deadline_ = kNever;
  Instant timer_armed_at_ = kNever;
  SlowTimers timers_;
  Duration rest_{};
  Instant now_{};
  int epoll_fd_ = -1;
  int timer_fd_ = -1;
  int mail_fd_ = -1;  // readable when the mailbox has something
  bool is_stopped_ = false;
  bool has_rested_ = false;  // since it last looked for events
  std::unique_ptr<std::uint8_t[]> receive_arena_;
};

}  // namespace culvert::net
