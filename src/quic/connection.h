// One QUIC v1 connection (RFC 9000, 9001, 9002, 9221) with mutual raw public keys
// (RFC 7250), over ngtcp2 and GnuTLS. Sans-I/O: datagrams and `now` in; packets,
// events and the next deadline out.
//
// Contract: after every input (handle_datagram, handle_timeout, or a call that queues
// data) the driver polls events and streams until empty, then poll_transmit until it
// returns false, then arms next_timeout(). Calls belong to one worker; the Endpoint owns
// the object. Time must not go back.
#pragma once

#include "base/datagram.h"
#include "base/result.h"
#include "base/time.h"
#include "buffers/session_budget.h"
#include "crypto/keys.h"
#include "quic/config.h"
#include "quic/stream.h"
#include "quic/tx_builder.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace culvert::quic {

struct HandshakeCompleted {
  crypto::EndpointId peer;
  std::string alpn;
};
struct StreamOpened {  // by the peer
  Stream* stream;
};
struct StreamReset {  // RESET_STREAM from the peer; input may hold bytes from before it
  Stream* stream;
  std::uint64_t code;
};
// STOP_SENDING from the peer; our output was discarded and reset. ngtcp2 has no callback
// for it: it is noticed when the stream is written to, closed or looked at in turn (a few
// streams after every input), and `code` is 0 unless the stream closed with one.
struct StopSending {
  Stream* stream;
  std::uint64_t code;
};
struct StreamClosed {  // both directions over and input consumed; stream dies after this poll
  Stream* stream;
};
struct StreamsAvailable {};  // open_stream() may succeed again
struct PathChanged {         // a validated path now carries the connection
  PathId path;
};
// The connection is over for the application; the object may drain a while. Not reported
// after our own close().
struct Closed {
  // kind: unreachable (never established), authentication (TLS), protocol, cancelled (peer
  // closed with application code 0), lost (everything else)
  Error error;
  std::optional<std::uint64_t> application_code;  // CONNECTION_CLOSE of type 0x1d
  std::string reason;                             // peer's reason phrase, made printable
  bool is_by_peer = false;
  bool is_refusal_for_now = false;  // CONNECTION_REFUSED: try again soon
};
using Event = std::variant<HandshakeCompleted, StreamOpened, StreamReset, StopSending, StreamClosed,
                           StreamsAvailable, PathChanged, Closed>;

struct ConnectionStats {
  Duration smoothed_rtt{};
  Duration min_rtt{};
  std::uint64_t congestion_window_bytes = 0;
  std::uint64_t bytes_in_flight = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t packets_sent = 0;
  std::uint64_t packets_repeated = 0;  // of those (congestion/repeats.h)
  std::uint64_t packets_received = 0;
  std::uint64_t packets_lost = 0;           // those that carried stream data or DATAGRAMs
  std::uint64_t datagrams_dropped = 0;      // by our own queues
  std::uint64_t max_udp_payload_bytes = 0;  // what path MTU discovery has found
};

// Signs of life and of speed, cheap to ask for. An average of the round trip that the latest
// sample shows to be outdated is not believed.
struct Liveness {
  std::uint64_t packets_received = 0;
  Instant heard_at{};                 // the last datagram
  std::uint64_t bytes_in_flight = 0;  // of packets that the peer must acknowledge
  std::uint64_t congestion_window_bytes = 0;
  Duration smoothed_rtt{};
  Duration probe_timeout{};  // RFC 9002 6.2.1, without back-off
};

enum class Migration : std::uint8_t {
  validate_first,  // data moves when the path is known to work
  // Data moves now, with a new congestion window: for when the old path is gone. Needs no
  // answer to one of three probes within a few round trips, so heavy loss does not stop it. The
  // peer follows at once, although it may answer no probe while its congestion window is full of
  // packets for the old path: the old connection id is retired on the new one.
  at_once,
};

struct Inheritance {
  std::uint64_t output_from = 0;
  ByteView head{};
  std::size_t input_skip = 0;
};

class Connection;

// The driver, which polls connections that have something to do.
class ConnectionWaker {
 public:
  // The application gave it something to do: poll events, streams and packets, soon, not now.
  virtual void on_stirred(Connection& connection) = 0;

 protected:
  ~ConnectionWaker() = default;
};

class Connection {
 public:
  virtual ~Connection() = default;

  // --- input -------------------------------------------------------------------------
  // One datagram (not a GRO batch). Never fails: what is wrong with it is dropped, or
  // closes the connection and shows as Closed.
  virtual void handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes) = 0;
  virtual void handle_timeout(Instant now) = 0;
  [[nodiscard]] virtual Instant next_timeout() const = 0;

  // --- output ------------------------------------------------------------------------
  // Writes packets until there is nothing to send, the congestion controller or pacer
  // says stop, the arena is full or `budget_bytes` is spent. True: there may be more to
  // send right now (arena or budget ended it).
  // `out`'s arena holds at least one datagram of max_udp_payload_size when empty.
  [[nodiscard]] virtual bool poll_transmit(Instant now, std::size_t budget_bytes,
                                           TxBuilder& out) = 0;
  [[nodiscard]] virtual std::optional<Event> poll_event() = 0;
  // Streams with new input, a FIN or a reset since last polled; nullptr when none.
  [[nodiscard]] virtual Stream* poll_readable() = 0;
  // Streams with wants_space set whose output has space again; clears the wish.
  [[nodiscard]] virtual Stream* poll_writable() = 0;
  // Sending may have made streams writable.
  [[nodiscard]] virtual bool has_writable() const = 0;
  // Next received DATAGRAM payload; valid until the next call on this connection.
  [[nodiscard]] virtual std::optional<ByteView> poll_datagram() = 0;

  // --- streams -----------------------------------------------------------------------
  // nullptr: the peer grants no more streams now (StreamsAvailable follows), or closed.
  [[nodiscard]] virtual Stream* open_stream() = 0;
  // For inherit(): it is not known whether somebody reads it.
  [[nodiscard]] virtual Stream* open_stream_to_resume() = 0;
  virtual void submit(Stream& stream) = 0;                            // output grew
  virtual void finish(Stream& stream) = 0;                            // FIN after output
  virtual void reset(Stream& stream, std::uint64_t code) = 0;         // RESET_STREAM, drop output
  virtual void stop_sending(Stream& stream, std::uint64_t code) = 0;  // STOP_SENDING, drop input
  virtual void consume(Stream& stream, std::size_t count) = 0;  // input was read: grow windows
  // The stream carries messages of up to 64 KiB, which are read and written whole: there is room
  // for one in each direction.
  virtual void carry_messages(Stream& stream) = 0;
  // The peer shall say something: whoever only receives is owed nothing, and cannot tell silence
  // from the end of what it was sent.
  virtual void ping(Instant now) = 0;
  // Lets the peer have `count` streams open at a time (it starts at initial_streams_bidi);
  // closed streams give their place back by themselves.
  virtual void allow_streams(std::uint64_t count) = 0;
  // It belongs to a session, whose budget bounds from now on what waits in its buffers. Until
  // then very little does (limits::kConnectionWindowFirst), but for streams that are read.
  virtual void share_budget(std::shared_ptr<buffers::SessionBudget> budget) = 0;

  // --- resume ------------------------------------------------------------------------
  // Only when is_closed(): all streams, marked as parked; events about them are dropped, so
  // poll those first. They live on with the caller.
  [[nodiscard]] virtual std::vector<std::unique_ptr<Stream>> take_streams() = 0;
  // `fresh`, of this connection, goes on where `parked` stopped, context included: it sends
  // the parked output from offset `output_from` on behind `head`, and throws away the first
  // `input_skip` bytes that arrive. Reset and end of the output are passed on, too.
  virtual void inherit(Stream& fresh, Stream& parked, const Inheritance& what) = 0;

  // --- datagrams (RFC 9221) ----------------------------------------------------------
  // Largest payload that fits the path now; 0 when the peer takes none.
  [[nodiscard]] virtual std::size_t max_datagram_payload() const = 0;
  // Queues header + payload as one DATAGRAM frame. False: does not fit the path. A full
  // queue drops its oldest and counts it.
  virtual bool send_datagram(ByteView header, ByteView payload) = 0;

  // --- state -------------------------------------------------------------------------
  [[nodiscard]] virtual bool is_client() const = 0;
  [[nodiscard]] virtual bool is_established() const = 0;
  [[nodiscard]] virtual bool is_closed() const = 0;   // Closed was reported or close() called
  [[nodiscard]] virtual bool is_drained() const = 0;  // nothing left to do: Endpoint may drop it
  [[nodiscard]] virtual const crypto::EndpointId& peer() const = 0;  // after the handshake
  // As agreed on. A server's knows it from the client's first message on; empty before.
  [[nodiscard]] virtual const std::string& alpn() const = 0;
  [[nodiscard]] virtual PathId path() const = 0;
  [[nodiscard]] virtual ConnectionStats stats() const = 0;
  [[nodiscard]] virtual Liveness liveness() const = 0;
  // Smoothed, as of the last poll_transmit(). Zero: none has come so far.
  [[nodiscard]] virtual Duration round_trip() const = 0;
  [[nodiscard]] virtual bool owns_connection_id(ByteView dcid) const = 0;
  // TLS exporter (RFC 8446 7.5): binds authentication proofs to this connection.
  [[nodiscard]] virtual Status export_keying_material(std::string_view label, ByteView context,
                                                      ByteSpan out) const = 0;

  // --- life --------------------------------------------------------------------------
  // Client: go on by another path (RFC 9000 9): from another address of ours, to another of the
  // server's, or both, whatever their families. PathChanged follows when the server is heard there;
  // where it is not, a connection that validates first stays where it is, one that went at once has
  // to be sent elsewhere. Refused before the handshake is confirmed, and while the server has given
  // no spare connection id.
  virtual Status migrate(Instant now, const PathId& path, Migration migration) = 0;
  // CONNECTION_CLOSE with an application code; data not yet sent is dropped.
  virtual void close(Instant now, std::uint64_t code, std::string_view reason) = 0;

  // The driver's own. What follows from input and time it knows by itself; of everything else the
  // connection tells `waker`.
  ConnectionWaker* waker = nullptr;
  void* context = nullptr;

 protected:
  void stir() {
    if (waker != nullptr) waker->on_stirred(*this);
  }
};

}  // namespace culvert::quic
