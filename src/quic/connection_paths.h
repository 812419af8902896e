// The paths of a connection's packets, as ngtcp2 wants to be told them and tells them; cheap while
// they stay the same, as they do for nearly every packet. Internal to quic/.
#pragma once

#include "base/address.h"
#include "quic/sockaddr.h"
#include "quic/told_paths.h"

namespace culvert::quic {

class ConnectionPaths {
 public:
  // What they are called there.
  [[nodiscard]] ToldPaths& names() { return names_; }
  [[nodiscard]] const ToldPaths& names() const { return names_; }
  // For ngtcp2: a datagram has come by `path`. Valid until the next.
  [[nodiscard]] const ngtcp2_path* arrival(const PathId& path) { return names_.arrival(path); }

  // Where ngtcp2 writes by which path a packet is to go.
  [[nodiscard]] ngtcp2_path* departure() { return departure_.path(); }
  // It has written one.
  const PathId& note_sent() {
    if (ngtcp2_path_eq(sent_.path(), departure_.path()) == 0) {
      sent_value_ = names_.meant_by(*departure_.path());
      sent_.set(to_path_id(*departure_.path()));
    }
    return sent_value_;
  }
  // The last packet went by it.
  [[nodiscard]] const PathId& last_sent() const { return sent_value_; }

 private:
  ToldPaths names_;
  PathStorage departure_;
  PathStorage sent_;  // where the last packet went, and the same as a value
  PathId sent_value_;
};

}  // namespace culvert::quic
