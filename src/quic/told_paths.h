// What a connection's paths are called where ngtcp2 is concerned. Its clients migrate from one
// local address to another, and refuse to go from the address in use to another address of the
// server (ngtcp2_conn_initiate_migration, still so in 1.25). So such a path has a local port of its
// own there, which stands for the real one. And a client that was told no local address (0.0.0.0)
// has what arrives at its port come by that.
//
// ngtcp2 does nothing with addresses but compare them. A server's are what they are. Internal to
// quic/.
#pragma once

#include "base/address.h"
#include "quic/sockaddr.h"

#include <ngtcp2/ngtcp2.h>

#include <cstddef>
#include <vector>

namespace culvert::quic {

class ToldPaths {
 public:
  // Client: the path of the handshake, which has its own name.
  void begin(const PathId& path);
  // By which path ngtcp2 is told that a packet has come; valid until it is asked again. Cheap for a
  // connection that never migrated.
  [[nodiscard]] const ngtcp2_path* arrival(const PathId& path);
  // What to tell ngtcp2 that it may go to `path`, being on `present` (in its own words).
  [[nodiscard]] PathId name_of(const ngtcp2_path& present, const PathId& path) const;
  // It was told so.
  void remember(const ngtcp2_path& present, const PathId& path, const PathId& name);
  // What ngtcp2 means.
  [[nodiscard]] PathId meant_by(const ngtcp2_path& told) const;

  // How many are remembered: those of the last few migrations. Of earlier ones nothing comes.
  static constexpr std::size_t kMostKnown = 8;
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  struct Known {
    PathId path;
    SocketAddress local;  // of its name; the remote address is the same
  };
  [[nodiscard]] PathId meaning(const PathId& name) const;
  [[nodiscard]] bool is_name_of_another(const SocketAddress& local, const PathId& path) const;

  std::vector<Known> known_;  // the last one chosen is the last
  PathStorage arrival_;
};

}  // namespace culvert::quic
