// What the kernel's routing messages (rtnetlink(7)) say about us: whether packets may take
// another way now, or find one again. Private to net/.
#pragma once

#include "base/bytes.h"

#include <map>

namespace culvert::net {

class NetworkMessages {
 public:
  // Whether one of these messages tells of a new or vanished address or route, or of an
  // interface that works again: with a fixed address, a cable that is put back shows nothing
  // else.
  [[nodiscard]] bool take(ByteView messages);

 private:
  [[nodiscard]] bool take_link(ByteView body, bool is_deleted);

  std::map<int, bool> is_running_;  // by interface index, as far as the kernel told; it bounds them
};

}  // namespace culvert::net
