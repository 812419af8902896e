// The names by which a connection's packets are known: the connection ids that we gave its peer,
// and the tokens of the peer's stateless resets (RFC 9000 5.1, 10.3.1). Each is registered with the
// endpoint as long as it is in use.
#pragma once

#include "quic/connection_id.h"

#include <ngtcp2/ngtcp2.h>

#include <array>
#include <optional>
#include <vector>

namespace culvert::quic {

class ConnectionImpl;
using ResetToken = std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN>;

// Where names lead to connections: the endpoint.
class IdRegistry {
 public:
  virtual ~IdRegistry() = default;
  // A new random id of ours, not in use.
  [[nodiscard]] virtual ConnectionId make_connection_id() = 0;
  [[nodiscard]] virtual ResetToken reset_token(const ConnectionId& id) = 0;
  // False when the id is taken.
  virtual bool register_id(const ConnectionId& id, ConnectionImpl* connection) = 0;
  virtual void unregister_id(const ConnectionId& id) = 0;
  // The peer's stateless reset tokens: a reset carries no id of ours, only this
  // (RFC 9000 10.3.1). Kept as ids, whose table is keyed against guessing.
  virtual bool register_peer_token(const ConnectionId& token, ConnectionImpl* connection) = 0;
  virtual void unregister_peer_token(const ConnectionId& token) = 0;
};

class OwnIds {
 public:
  // `connection` is what its names lead to; it is not looked at.
  OwnIds(IdRegistry& registry, ConnectionImpl* connection)
      : registry_(registry), connection_(connection) {}
  ~OwnIds();
  OwnIds(const OwnIds&) = delete;
  OwnIds& operator=(const OwnIds&) = delete;

  // False: another connection has it.
  [[nodiscard]] bool add(const ConnectionId& id);
  // A new one.
  [[nodiscard]] std::optional<ConnectionId> make();
  // The peer uses it no more. Nothing for one that is not ours.
  void retire(ByteView id);
  [[nodiscard]] bool contains(ByteView id) const;

  void add_peer_token(ByteView token);
  void retire_peer_token(ByteView token);

 private:
  IdRegistry& registry_;
  ConnectionImpl* connection_;
  std::vector<ConnectionId> ids_;
  std::vector<ConnectionId> peer_tokens_;
};

}  // namespace culvert::quic
