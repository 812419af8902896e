// What ngtcp2 1.11, Debian's, makes us do that no specification asks for, and the version that
// ends it (1.25 is the latest looked at). What is more than a few lines has a file of its own:
//
// - EarlyPackets: packets a server sends before its client has ended the handshake make 1.11 and
//   1.25 abort.
// - BbrControl: a congestion controller of one's own cannot be brought; still so in 1.25.
// - LibraryMemory: what a peer makes it hold is not bounded; still so in 1.25.
// - HeldAnswer: an acknowledgement of its waits an eighth of a round trip whatever follows, and
// what
//   it owes has no timer that is always right: it is asked after every packet. Still so in 1.25.
// - TlsSession: without a peer's transport parameters it aborts at the end of a handshake; and up
//   to 1.22 it writes a preferred address to qlog past the end of a buffer.
// - ToldPaths: a client does not migrate to another address of its server from the local address in
//   use; still so in 1.25.
// - ConnectionImpl::report_if_over: a stream that is not read any more waits for ever for data that
//   came out of order; still so in 1.25.
//
// Internal to quic/.
#pragma once

#include "base/time.h"
#include "quic/connection.h"

#include <ngtcp2/ngtcp2.h>

namespace culvert::quic {

// No search for the path's MTU. `no_pmtud` says that, but 1.11 asserts that it is off when a peer
// migrates back (1.25 does not), and versions from 1.17 on that no probe is above the largest legal
// size: so a list of one probe, never larger than a path that is not this large by itself, which
// ends the search at once.
void leave_out_path_mtu_discovery(ngtcp2_settings& settings);

// When the peer changes its address twice within one path validation, an id that is already
// retired is counted as still in use, the peer's replacement is found one too many and the
// connection closed with CONNECTION_ID_LIMIT_ERROR; still so in 1.25. Our limit was sent with the
// handshake, so honest peers keep to it; the library's own check gets room for the ids that a
// validation can hold (its own and its fallback's). Surplus ids are dropped, so memory stays
// bounded. Call after the handshake.
void tolerate_own_count_of_ids(ngtcp2_conn& connection);

// Whether STOP_SENDING has come for a stream of which we send. There is a callback for that from
// 1.24 on; 1.11 refuses writes.
[[nodiscard]] bool has_peer_stopped(ngtcp2_conn& connection, StreamId id, ngtcp2_tstamp now);

// When a path changes, the loss timer goes with the congestion state, and there is a new one only
// when something is sent next that asks for an acknowledgement, which may be never; still so in
// 1.25. Pings see to that: tells how often, instead of the keep-alive, until the round trip is
// known again.
//
// And where a timer of loss ran out it may write several packets, which it does not tell of.
class LossTimerWatch {
 public:
  void note_timer_ran_out() { may_owe_probes_ = true; }
  void note_nothing_to_send() { may_owe_probes_ = false; }
  [[nodiscard]] bool may_owe_probes() const { return may_owe_probes_; }

  // Whether there is a sample of the round trip. True: how often to ping has changed.
  bool note_rtt_sample(bool is_there);
  // A ping is wanted at once, for any other reason; until something is in flight.
  void want_ping() { is_ping_wanted_ = true; }
  bool note_in_flight(bool is_something);
  [[nodiscard]] ngtcp2_duration ping_after(Duration keep_alive) const;

 private:
  bool had_rtt_sample_ = false;
  bool may_lack_timer_ = false;
  bool is_ping_wanted_ = false;
  bool may_owe_probes_ = false;  // a timer ran out since there last was nothing to send
};

}  // namespace culvert::quic
