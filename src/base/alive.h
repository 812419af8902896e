// For callbacks that may come after the end of the object which they were made by:
//
//   source.ask([this, alive = alive_.token()](Answer answer) {
//     if (!alive) return;
//
// Owner, tokens and callbacks are on one thread.
#pragma once

#include <memory>

namespace culvert {

// A member of the object.
class Alive {
 public:
  class Token {
   public:
    explicit operator bool() const { return !life_.expired(); }

   private:
    friend class Alive;
    explicit Token(const std::shared_ptr<const char>& life) : life_(life) {}
    std::weak_ptr<const char> life_;
  };

  Alive() = default;
  ~Alive() = default;
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;

  [[nodiscard]] Token token() const { return Token(life_); }
  // Before the object's own end.
  void end() { life_.reset(); }

 private:
  std::shared_ptr<const char> life_ = std::make_shared<const char>();  // tokens only watch it
};

}  // namespace culvert
