// Where the server may be reached now: addresses that were given, and what its names stand for.
// Names are looked up anew for every try, so that a client follows a server that moves (DynDNS).
// Private to drive/.
#pragma once

#include "base/address.h"
#include "base/log.h"
#include "base/result.h"
#include "ports/ports.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert::drive {

class ServerAddressesOwner {
 public:
  // A lookup has ended: other addresses may be known, or it may have been the last.
  virtual void on_looked_up(Instant now) = 0;

 protected:
  ~ServerAddressesOwner() = default;
};

// Owned by the client role, on its loop.
class ServerAddresses {
 public:
  ServerAddresses(Host& host, Logger& log, std::vector<SocketAddress> known,
                  const std::vector<HostPort>& names, ServerAddressesOwner& owner);
  ~ServerAddresses();

  // Begins to look up every name that is not being looked up; on_looked_up() follows for each.
  void look_up();
  [[nodiscard]] bool is_looking_up() const;
  // All that are known, without doubles: of a name, what was last found.
  [[nodiscard]] const std::vector<SocketAddress>& addresses() const { return addresses_; }
  // Why names could not be looked up when last tried.
  [[nodiscard]] std::vector<Error> failures() const;

 private:
  struct Name;
  void on_answer(Instant now, Name& name, Result<std::vector<IpAddress>> answer);
  void collect();

  Host& host_;
  Logger& log_;
  std::vector<SocketAddress> known_;
  std::vector<std::unique_ptr<Name>> names_;
  std::vector<SocketAddress> addresses_;
  ServerAddressesOwner& owner_;
};

}  // namespace culvert::drive
