// Connection over ngtcp2: wiring of the parts. What goes into a packet is decided by
// SendScheduler, what a close means by close_reason, TLS by TlsSession. Internal to quic/.
#pragma once

#include "base/log.h"
#include "base/rng.h"
#include "buffers/datagram_queue.h"
#include "congestion/pacer.h"
#include "congestion/repeats.h"
#include "quic/admission.h"
#include "quic/bbr_control.h"
#include "quic/close_packet.h"
#include "quic/connection.h"
#include "quic/connection_id.h"
#include "quic/early_packets.h"
#include "quic/held_answer.h"
#include "quic/library_memory.h"
#include "quic/ngtcp2_quirks.h"
#include "quic/own_ids.h"
#include "quic/path_guard.h"
#include "quic/send_scheduler.h"
#include "quic/sockaddr.h"
#include "quic/stopped_clock.h"
#include "quic/stream_table.h"
#include "quic/tls_session.h"

#include <ngtcp2/ngtcp2.h>

#include <deque>
#include <memory>
#include <vector>

namespace culvert::quic {

// What a connection needs from its endpoint, which outlives it.
class ConnectionHost : public IdRegistry {
 public:
  // The connection has begun to close or drain.
  virtual void on_over(ConnectionImpl& connection) = 0;
  // Client: what a server gave us for the next time (NEW_TOKEN); empty: nothing.
  virtual void keep_ticket(const crypto::EndpointId& server, ByteView ticket) = 0;
  [[nodiscard]] virtual ByteView ticket_for(const crypto::EndpointId& server) const = 0;

  [[nodiscard]] virtual const EndpointConfig& config() const = 0;
  [[nodiscard]] virtual const TlsCredentials& credentials() const = 0;
  [[nodiscard]] virtual ProtectionBackend protection() const = 0;
  [[nodiscard]] virtual Rng& rng() = 0;
  [[nodiscard]] virtual Logger& log() = 0;
  [[nodiscard]] virtual buffers::ChunkPool& chunks() = 0;
};

// What a server knows of a client's first Initial.
struct AcceptedInitial {
  ConnectionId destination;  // of this packet
  ConnectionId source;
  std::uint32_t version = 0;
  // After Retry: the validated token, and the destination of the client's very first packet.
  ByteView token;
  std::optional<ConnectionId> original_destination;
};

class ConnectionImpl final : public Connection, private SendScheduler::Observer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ConnectionImpl>> connect(
      ConnectionHost& host, Instant now, const PathId& path, const ConnectOptions& options);
  [[nodiscard]] static Result<std::unique_ptr<ConnectionImpl>> accept(
      ConnectionHost& host, Instant now, const PathId& path, const AcceptedInitial& initial);
  ~ConnectionImpl() override;

  void handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes) override;
  void handle_timeout(Instant now) override;
  [[nodiscard]] Instant next_timeout() const override;

  [[nodiscard]] bool poll_transmit(Instant now, std::size_t budget_bytes, TxBuilder& out) override;
  [[nodiscard]] std::optional<Event> poll_event() override;
  [[nodiscard]] Stream* poll_readable() override;
  [[nodiscard]] Stream* poll_writable() override;
  [[nodiscard]] bool has_writable() const override { return !streams_.writable.is_empty(); }
  [[nodiscard]] std::optional<ByteView> poll_datagram() override;

  [[nodiscard]] Stream* open_stream() override;
  [[nodiscard]] Stream* open_stream_to_resume() override;
  void submit(Stream& stream) override;
  void finish(Stream& stream) override;
  void reset(Stream& stream, std::uint64_t code) override;
  void stop_sending(Stream& stream, std::uint64_t code) override;
  void consume(Stream& stream, std::size_t count) override;
  void carry_messages(Stream& stream) override;
  void ping(Instant now) override;
  void allow_streams(std::uint64_t count) override;
  void share_budget(std::shared_ptr<buffers::SessionBudget> budget) override;
  [[nodiscard]] std::vector<std::unique_ptr<Stream>> take_streams() override;
  void inherit(Stream& fresh, Stream& parked, const Inheritance& what) override;

  [[nodiscard]] std::size_t max_datagram_payload() const override;
  bool send_datagram(ByteView header, ByteView payload) override;

  [[nodiscard]] bool is_client() const override { return is_client_; }
  [[nodiscard]] bool is_established() const override { return is_established_; }
  [[nodiscard]] bool is_closed() const override { return life_ != Life::open; }
  [[nodiscard]] bool is_drained() const override { return life_ == Life::drained; }
  [[nodiscard]] const crypto::EndpointId& peer() const override { return tls_->peer(); }
  [[nodiscard]] const std::string& alpn() const override { return alpn_; }
  [[nodiscard]] PathId path() const override;
  [[nodiscard]] ConnectionStats stats() const override;
  [[nodiscard]] Liveness liveness() const override;
  [[nodiscard]] Duration round_trip() const override { return round_trip_; }
  [[nodiscard]] bool owns_connection_id(ByteView dcid) const override;
  [[nodiscard]] Status export_keying_material(std::string_view label, ByteView context,
                                              ByteSpan out) const override;

  Status migrate(Instant now, const PathId& path, Migration migration) override;
  void close(Instant now, std::uint64_t code, std::string_view reason) override;

  // --- for the endpoint and tests ----------------------------------------------------
  // The first packet was no valid beginning: forget the connection without a word.
  [[nodiscard]] bool was_dropped() const { return was_dropped_; }
  // The first packet held only part of a ClientHello: the client must prove its address
  // before we keep anything.
  [[nodiscard]] bool wants_retry() const { return wants_retry_; }
  // RFC 9001 6: new keys for both directions. False while the last update is unfinished.
  bool update_keys(Instant now);
  [[nodiscard]] ngtcp2_conn* raw() { return connection_; }
  [[nodiscard]] std::size_t library_bytes() const { return library_memory_.bytes(); }
  [[nodiscard]] const BbrControl& bbr_control() const { return bbr_control_; }

  // The last instant it was told of.
  [[nodiscard]] Instant last_now() const { return clock_.last_of_ours(); }
  // Server: sends NEW_TOKEN.
  void give_ticket(ByteView ticket);
  // Others need its place: one word to the peer, and it is drained.
  void displace(Instant now);

  // The endpoint's own, while it counts as unauthenticated.
  std::optional<Admission::Place> place;

 private:
  friend struct Callbacks;  // connection_callbacks.cpp: ngtcp2 calls the on_* below

  enum class Life : std::uint8_t {
    open,
    must_close,  // the close packet is not written yet
    closing,     // it was sent; repeated when the peer goes on sending (RFC 9000 10.2.1)
    draining,    // the peer closed: silence (10.2.2)
    drained,
  };

  ConnectionImpl(ConnectionHost& host, Instant now, bool is_client);
  Status set_up(const PathId& path, const ConnectionId& destination, const AcceptedInitial* initial,
                const TlsOptions& tls);
  // Whether all there is to send is the acknowledgement of one packet, and it may wait.
  [[nodiscard]] bool is_holding_answer() const;
  [[nodiscard]] bool has_data_to_send() const;
  // When data may leave that pacing holds back; kNever: it holds nothing back.
  [[nodiscard]] Instant paced_until() const;
  [[nodiscard]] std::uint64_t bytes_in_flight() const;
  // Copies that are due. False: no room in `out`.
  [[nodiscard]] bool write_repeats(Instant now, TxBuilder& out);
  [[nodiscard]] bool is_worth_repeating() const;
  // Whether the packet just written has everything that there was to say.
  [[nodiscard]] bool has_said_all(std::size_t bytes, std::size_t path_size) const;
  // Since `in_flight_before`, whose new value it becomes.
  void note_sent(ngtcp2_tstamp timestamp, std::uint64_t& in_flight_before);
  // A timer of ngtcp2's, in our time.
  [[nodiscard]] Instant from_library(ngtcp2_tstamp timestamp) const;
  // To be called before anything else is done at `now`.
  Instant advance(Instant now);
  void account_for_stop(Instant now);
  [[nodiscard]] ngtcp2_tstamp library_now() const { return to_timestamp(clock_.last()); }
  [[nodiscard]] Duration idle_timeout() const;
  [[nodiscard]] PathId arrival_path(const PathId& path) const;

  // ngtcp2 callbacks; 0 or NGTCP2_ERR_CALLBACK_FAILURE.
  bool on_handshake_completed();
  void on_stream_opened(StreamId id);
  void on_stream_data(StreamId id, Stream* stream, bool is_fin, ByteView data);
  void on_stream_acked(Stream& stream, std::uint64_t count);
  void settle_acknowledged();
  void on_stream_reset(Stream& stream, std::uint64_t code);
  void on_stream_closed(Stream& stream, std::optional<std::uint64_t> code);
  void on_orphan_closed(StreamId id);  // its Stream is gone already
  void on_stream_window(Stream& stream);
  void on_streams_available();
  void on_datagram(ByteView payload);
  void on_path_validated(const ngtcp2_path& path);
  bool on_new_connection_id(ngtcp2_cid& id, std::uint8_t* token, std::size_t size);
  void on_connection_id_retired(const ngtcp2_cid& id);
  void on_peer_token(bool is_in_use, ByteView token);
  // SendScheduler::Observer
  void on_fin_sent(Stream& stream) override;
  void on_running_low(Stream& stream) override;
  void on_stopped_by_peer(Stream& stream, std::uint64_t code) override;

  [[nodiscard]] ByteView skip_known(Stream& stream, ByteView data);
  void look_for_stopped_streams();
  // What congestion control allows at present.
  void update_allowances(Instant now);
  void set_keep_alive();
  void offer_space(Stream& stream);
  void extend_connection();
  void extend_stream(Stream& stream, std::uint64_t count);
  void drop_input(Stream& stream);
  // How much the stream may hold that is not acknowledged.
  void limit_output(Stream& stream);
  // Tells the budget what its output holds now.
  void account_output(Stream& stream);
  void discard_output(Stream& stream);
  // Likewise of queues of DATAGRAMs; and empties those that were not used for long.
  void account_datagrams();
  void rest_datagrams();
  // The peer makes ngtcp2 hold more than any peer needs, or than there is.
  [[nodiscard]] bool is_library_bloated();
  void give_place_back();
  // Reports StreamClosed once nothing is left for the application to see.
  void report_if_over(Stream& stream);

  void read(Instant now, const PathId& path, Ecn ecn, ByteView bytes);
  void read_guarded(Instant now);
  // Whether there is nothing to object to, beyond what ngtcp2 does.
  [[nodiscard]] bool check_peer();
  // Writes a packet that is not sent, over `scratch`. Negative: an error of ngtcp2.
  ngtcp2_ssize write_decoy(ngtcp2_tstamp timestamp, ByteSpan scratch);
  void read_early_packets(Instant now);
  [[nodiscard]] bool has_early_packets_to_read() const {
    return has_ended_handshake_ && !early_packets_.is_empty();
  }

  void fail_with(int library_error);
  void begin_close();  // what close_packet_ says
  void begin_drain();
  void begin_end(Life life);
  void report(Closed closed);
  [[nodiscard]] bool write_close_packet(TxBuilder& out);
  void commit(TxBuilder& out, const ngtcp2_path& path, std::uint32_t ecn, std::size_t size,
              Batching batching = Batching::shared);

  ConnectionHost& host_;
  const bool is_client_;
  const bool has_own_pacer_;  // ngtcp2's BBR has a rate of its own to pace by
  Life life_ = Life::open;
  bool is_established_ = false;
  bool has_ended_handshake_ = false;
  bool was_dropped_ = false;
  bool wants_retry_ = false;
  bool was_reset_ = false;  // a stateless reset arrived
  bool is_displaced_ = false;
  bool is_stream_wanted_ = false;  // open_stream() failed
  bool may_have_stopped_ = false;  // input came since streams were looked at
  bool may_owe_probes_ = false;    // a timer ran out since there last was nothing to send
  std::string alpn_;
  OwnIds ids_;

  StreamTable streams_;
  buffers::ReceiveCredit credit_;  // goes before the streams
  buffers::DatagramQueue incoming_datagrams_;
  buffers::DatagramQueue outgoing_datagrams_;
  SendScheduler scheduler_;
  EarlyPackets early_packets_;  // a client's
  PathGuard path_guard_;        // a server's
  BbrControl bbr_control_;
  LibraryContext library_context_;
  LibraryMemory library_memory_;
  congestion::Pacer pacer_;
  congestion::Repeats repeats_;
  Duration round_trip_{};  // smoothed
  std::deque<Event> events_;
  std::unique_ptr<Stream> reported_closed_;  // lives until the next poll_event
  bool is_datagram_lent_ = false;            // front() was handed out by poll_datagram
  std::size_t datagrams_held_ = 0;           // memory of the queues, as the budget knows it
  std::size_t datagrams_waiting_ = 0;
  std::size_t library_counted_ = 0;  // likewise
  Instant datagrams_used_at_{};
  std::size_t unsent_limit_ = 0;
  // Of the packet that is being read: an ACK frame tells of each of its many packets alone.
  Stream* acknowledged_ = nullptr;
  std::size_t acknowledged_bytes_ = 0;
  std::uint64_t streams_granted_;  // places the peer has, in use or not
  std::uint64_t streams_allowed_;  // places it should have

  std::unique_ptr<TlsSession> tls_;
  ngtcp2_conn* connection_ = nullptr;
  StoppedClock clock_;  // what ngtcp2 is told
  Instant heard_at_{};
  HeldAnswer answer_;
  LossTimerWatch loss_timer_;
  std::string qlog_id_;
  // We were told no local address (0.0.0.0): what arrives at its port came by this path.
  std::optional<SocketAddress> wildcard_local_;
  PathStorage rx_path_;
  PathStorage tx_path_;
  PathStorage sent_path_;  // where the last packet went, and the same as a value
  PathId sent_path_value_;

  ClosePacket close_packet_;
  Instant drained_at_ = kNever;

  std::uint64_t lost_with_closed_streams_ = 0;
  std::uint64_t datagrams_lost_ = 0;
  ConnectionStats stats_;
};

}  // namespace culvert::quic
