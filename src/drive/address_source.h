// Where the server may be reached now: asked again before every try, so that discovery can
// follow a server that moves.
#pragma once

#include "base/address.h"

#include <utility>
#include <vector>

namespace culvert::drive {

class AddressSource {
 public:
  virtual ~AddressSource() = default;
  [[nodiscard]] virtual std::vector<SocketAddress> addresses() = 0;
};

// Known from the beginning: a ticket, --address.
class StaticAddresses final : public AddressSource {
 public:
  explicit StaticAddresses(std::vector<SocketAddress> addresses)
      : addresses_(std::move(addresses)) {}
  [[nodiscard]] std::vector<SocketAddress> addresses() override { return addresses_; }

 private:
  std::vector<SocketAddress> addresses_;
};

}  // namespace culvert::drive
