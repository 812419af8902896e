// The roles on a worker, by the application protocols that they speak. Private to drive/.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "ports/ports.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::drive {

class WorkerHandler;

class WorkerRoles {
 public:
  // Fails where another role speaks one of them.
  [[nodiscard]] Status add(WorkerHandler& role, std::vector<std::string> alpns);
  void remove(const WorkerHandler& role);
  // Of all, in the order in which they came.
  [[nodiscard]] std::vector<std::string> alpns() const;
  // nullptr: nobody.
  [[nodiscard]] WorkerHandler* speaker_of(std::string_view alpn) const;

  void on_network_changed(Instant now) const;
  void on_refused(Instant now, const UdpRefusal& refusal) const;
  // Whether anybody wants to hear of refusals, now that one more does, or one less.
  [[nodiscard]] bool wants_refusals(bool is_one_more) {
    refusal_wishes_ += is_one_more ? 1 : -1;
    return refusal_wishes_ > 0;
  }

 private:
  struct Role {
    WorkerHandler* handler;
    std::vector<std::string> alpns;
  };
  std::vector<Role> roles_;
  int refusal_wishes_ = 0;
};

}  // namespace culvert::drive
