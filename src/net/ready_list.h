// An intrusive list of things with a callback due: linking and unlinking cost a few
// stores and never allocate. Used by Loop only.
#pragma once

#include "base/time.h"

namespace culvert::net {

class ReadyLink {
 public:
  ReadyLink() = default;
  ~ReadyLink() { unlink(); }
  ReadyLink(const ReadyLink&) = delete;
  ReadyLink& operator=(const ReadyLink&) = delete;

  [[nodiscard]] bool is_linked() const { return next_ != this; }
  void unlink() {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = this;
  }

 protected:
  friend class ReadyList;
  ReadyLink* next_ = this;
  ReadyLink* previous_ = this;
};

// Something the loop runs once, next turn, after it was put on the ready list. It is off
// the list when run() is called and may destroy itself there.
class Runnable : public ReadyLink {
 public:
  virtual void run(Instant now) = 0;

 protected:
  ~Runnable() = default;
};

class ReadyList {
 public:
  [[nodiscard]] bool is_empty() const { return !head_.is_linked(); }
  void push(Runnable& item) {
    if (item.is_linked()) return;
    ReadyLink& link = item;
    link.previous_ = head_.previous_;
    link.next_ = &head_;
    head_.previous_->next_ = &link;
    head_.previous_ = &link;
  }
  // nullptr when empty.
  Runnable* pop() {
    if (is_empty()) return nullptr;
    ReadyLink* first = head_.next_;
    first->unlink();
    return static_cast<Runnable*>(first);
  }
  // Moves everything of `other` to the end of this list.
  void take_all(ReadyList& other) {
    while (Runnable* item = other.pop()) push(*item);
  }

 private:
  ReadyLink head_;
};

}  // namespace culvert::net
