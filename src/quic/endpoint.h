// All connections of one worker: routes datagrams by connection id, accepts, answers
// what belongs to no connection (Version Negotiation, Retry, stateless reset), and
// never keeps state for it (RFC 9000 5.2, 6, 8.1, 10.3).
//
// Our connection ids are 10 bytes: the worker's index, then 9 random ones. A datagram
// that the kernel gave to the wrong worker is recognised and handed over by the driver.
#pragma once

#include "base/datagram.h"
#include "base/log.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "buffers/stream_buffer.h"
#include "quic/config.h"
#include "quic/connection.h"
#include "quic/tx_builder.h"

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace culvert::quic {

inline constexpr std::size_t kConnectionIdBytes = 10;

// Where a datagram went.
struct RoutedTo {
  Connection* connection;
};
struct BelongsToWorker {
  std::uint8_t index;
};
struct Dropped {};  // unknown, invalid, over a limit, or answered statelessly
using Routing = std::variant<RoutedTo, BelongsToWorker, Dropped>;

struct EndpointStats {
  std::uint64_t accepted = 0;
  std::uint64_t retries_sent = 0;
  std::uint64_t version_negotiations_sent = 0;
  std::uint64_t stateless_resets_sent = 0;
  std::uint64_t dropped_unknown = 0;
  std::uint64_t dropped_malformed = 0;
  std::uint64_t refused = 0;    // over the limit of unauthenticated ones
  std::uint64_t displaced = 0;  // of these: their places were given to others
};

class Endpoint {
 public:
  // Fails when keys or TLS cannot be set up.
  [[nodiscard]] static Result<std::unique_ptr<Endpoint>> create(EndpointConfig config, Rng& rng,
                                                                Logger& log,
                                                                buffers::ChunkPool& chunks);
  virtual ~Endpoint() = default;

  // One datagram (not a GRO batch). RoutedTo: the connection has handled it; the driver
  // now polls that connection. New connections appear here too, once, before their
  // HandshakeCompleted. Stateless answers are written to `replies`.
  [[nodiscard]] virtual Routing handle_datagram(Instant now, const PathId& path, Ecn ecn,
                                                ByteView bytes, TxBuilder& replies) = 0;
  // Starts a client connection; the driver polls it for its first packet.
  [[nodiscard]] virtual Result<Connection*> connect(Instant now, const PathId& path,
                                                    const ConnectOptions& options) = 0;
  // From now on peers may connect that speak one of these, in order of preference; none: nobody
  // may. Instead of what the configuration says.
  virtual void accept_protocols(std::vector<std::string> alpns) = 0;
  // Destroys a connection for good; it must be drained, or be dropped without a word.
  virtual void remove(Connection& connection) = 0;

  // Connections whose peer has not authenticated at the session layer have few places
  // (admission.h), and make Retry mandatory above kRetryThreshold. The driver says when one
  // has; a server then gives it a ticket for the next time.
  virtual void set_authenticated(Connection& connection) = 0;

  // For Connection::share_budget, as the configuration has it.
  [[nodiscard]] virtual std::shared_ptr<buffers::SessionBudget> make_session_budget() const = 0;

  [[nodiscard]] virtual std::size_t connection_count() const = 0;
  [[nodiscard]] virtual const EndpointStats& stats() const = 0;
  [[nodiscard]] virtual ProtectionBackend protection() const = 0;
};

}  // namespace culvert::quic
