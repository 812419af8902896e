// The paths of a connection's packets, as ngtcp2 wants to be told them and tells them; cheap while
// they stay the same, as they do for nearly every packet. Internal to quic/.
#pragma once

#include "base/address.h"
#include "quic/sockaddr.h"

#include <optional>

namespace culvert::quic {

class ConnectionPaths {
 public:
  // At a client: we use this local address. Where we are not told which that is (0.0.0.0), what
  // arrives at its port came by this path.
  void use_local(const SocketAddress& local) {
    if (local.ip.is_unspecified()) unknown_local_ = local;
  }
  // For ngtcp2: a datagram has come by `path`. Valid until the next.
  [[nodiscard]] const ngtcp2_path* arrival(const PathId& path) {
    if (!unknown_local_ || path.local.port != unknown_local_->port) return arrival_.get(path);
    return arrival_.get({.local = *unknown_local_, .remote = path.remote});
  }

  // Where ngtcp2 writes by which path a packet is to go.
  [[nodiscard]] ngtcp2_path* departure() { return departure_.path(); }
  // It has written one.
  const PathId& note_sent() {
    if (ngtcp2_path_eq(sent_.path(), departure_.path()) == 0) {
      sent_value_ = to_path_id(*departure_.path());
      sent_.set(sent_value_);
    }
    return sent_value_;
  }
  // The last packet went by it.
  [[nodiscard]] const PathId& last_sent() const { return sent_value_; }

 private:
  std::optional<SocketAddress> unknown_local_;
  PathStorage arrival_;
  PathStorage departure_;
  PathStorage sent_;  // where the last packet went, and the same as a value
  PathId sent_value_;
};

}  // namespace culvert::quic
