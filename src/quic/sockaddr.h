// Addresses and instants at the edge to ngtcp2. Internal to quic/.
#pragma once

#include "base/address.h"
#include "base/time.h"

#include <ngtcp2/ngtcp2.h>

namespace culvert::quic {

// An ngtcp2_path with the memory behind it. Neither copied nor moved: it points to itself.
class PathStorage {
 public:
  PathStorage() { ngtcp2_path_storage_zero(&storage_); }
  explicit PathStorage(const PathId& path) { set(path); }
  PathStorage(const PathStorage&) = delete;
  PathStorage& operator=(const PathStorage&) = delete;

  void set(const PathId& path);
  // Cheap when `path` is what was set last, as it is for nearly every packet.
  const ngtcp2_path* get(const PathId& path);

  [[nodiscard]] ngtcp2_path* path() { return &storage_.path; }
  [[nodiscard]] const ngtcp2_path* path() const { return &storage_.path; }

 private:
  ngtcp2_path_storage storage_{};
  PathId value_;
  bool has_value_ = false;
};

[[nodiscard]] PathId to_path_id(const ngtcp2_path& path);

// Fills a socket address of the right family; returns its length.
[[nodiscard]] ngtcp2_socklen to_sockaddr(const SocketAddress& address, ngtcp2_sockaddr_union& out);

[[nodiscard]] inline ngtcp2_tstamp to_timestamp(Instant instant) {
  return static_cast<ngtcp2_tstamp>(instant.time_since_epoch().count());
}
[[nodiscard]] inline Instant to_instant(ngtcp2_tstamp timestamp) {
  if (timestamp >= static_cast<ngtcp2_tstamp>(Duration::max().count())) return kNever;
  return Instant(Duration(static_cast<Duration::rep>(timestamp)));
}

}  // namespace culvert::quic
