// A doubly linked list through the elements: O(1) insert and removal from anywhere, and
// nothing allocated. An element is in at most one list per hook; destroy it unlinked.
#pragma once

namespace culvert {

template <typename T>
struct ListHook {
  T* next = nullptr;
  T* previous = nullptr;
  bool is_linked = false;
};

template <typename T, ListHook<T> T::* member>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  [[nodiscard]] bool is_empty() const { return first_ == nullptr; }
  [[nodiscard]] T* front() const { return first_; }
  [[nodiscard]] bool has_one() const { return first_ != nullptr && first_ == last_; }

  // How many there are, as far as `most`.
  [[nodiscard]] unsigned count(unsigned most) const {
    unsigned count = 0;
    for (const T* item = first_; item != nullptr && count < most; item = (item->*member).next) {
      ++count;
    }
    return count;
  }

  // Appending what is linked already changes nothing.
  void push_back(T& item) {
    ListHook<T>& hook = item.*member;
    if (hook.is_linked) return;
    hook = {.next = nullptr, .previous = last_, .is_linked = true};
    (last_ != nullptr ? (last_->*member).next : first_) = &item;
    last_ = &item;
  }

  // Removing what is not linked changes nothing.
  void remove(T& item) {
    ListHook<T>& hook = item.*member;
    if (!hook.is_linked) return;
    (hook.previous != nullptr ? (hook.previous->*member).next : first_) = hook.next;
    (hook.next != nullptr ? (hook.next->*member).previous : last_) = hook.previous;
    hook = {};
  }

  [[nodiscard]] T* pop_front() {
    T* item = first_;
    if (item != nullptr) remove(*item);
    return item;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace culvert
