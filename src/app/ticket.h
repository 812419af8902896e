// A ticket: all a client needs to reach a server, as one word to copy.
//
//   "culvert" + lower-case base32 (RFC 4648 6, no padding) of
//     u8      version = 1
//     32      EndpointId (Ed25519 public key)
//     u8      number of addresses, 0..16
//     each:   u8 family (4 or 6), 4 or 16 bytes of address, u16 port (network order, not 0)
//     u16     CRC-16/CCITT-FALSE of everything before it
//
// The prefix is matched in either case, as the base32 is: a ticket survives being read
// aloud or upper-cased. IPv6 scopes mean nothing to another machine and are not carried.
// Pure: no I/O.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "crypto/keys.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::app {

struct Ticket {
  crypto::EndpointId id;
  std::vector<SocketAddress> addresses;

  // Whether `text` starts like a ticket; for flags that take a ticket or an EndpointId.
  [[nodiscard]] static bool looks_like(std::string_view text);
  // Errors are of kind configuration and say what is wrong with the text.
  [[nodiscard]] static Result<Ticket> parse(std::string_view text);
  // At most limits::kMaxTicketAddresses addresses are written; the first ones win.
  [[nodiscard]] std::string text() const;

  friend bool operator==(const Ticket&, const Ticket&) = default;
};

}  // namespace culvert::app
