// Turns the server addresses a user gave (names or literals) into socket addresses, all
// lookups at once. Belongs to the loop of its host. Private to app/.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "drive/ports.h"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace culvert::app {

class AddressLookup {
 public:
  using Done = std::function<void(Instant now, Result<std::vector<SocketAddress>>)>;

  // `done` is called once, from the loop: the addresses in the order given, without
  // doubles; or an error when not one was found. Destroy to cancel, also from inside it.
  AddressLookup(drive::Host& host, const std::vector<HostPort>& names, Done done);
  ~AddressLookup();

 private:
  struct Entry;
  void finish_if_complete(Instant now);

  std::vector<std::unique_ptr<Entry>> entries_;
  Done done_;
};

}  // namespace culvert::app
