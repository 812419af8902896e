// Connection over ngtcp2: wiring of the parts. What goes into a packet is decided by
// SendScheduler, what a close means by close_reason, TLS by TlsSession. Internal to quic/.
#pragma once

#include "base/log.h"
#include "base/rng.h"
#include "buffers/datagram_buffers.h"
#include "congestion/repeats.h"
#include "quic/admission.h"
#include "quic/bbr_control.h"
#include "quic/connection.h"
#include "quic/connection_id.h"
#include "quic/connection_life.h"
#include "quic/connection_paths.h"
#include "quic/connection_tally.h"
#include "quic/held_answer.h"
#include "quic/input_gate.h"
#include "quic/library_memory.h"
#include "quic/ngtcp2_quirks.h"
#include "quic/own_ids.h"
#include "quic/pending_events.h"
#include "quic/send_allowance.h"
#include "quic/send_scheduler.h"
#include "quic/sockaddr.h"
#include "quic/stopped_clock.h"
#include "quic/stream_places.h"
#include "quic/stream_table.h"
#include "quic/tls_session.h"

#include <ngtcp2/ngtcp2.h>

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

  [[nodiscard]] bool is_client() const override { return gate_.is_client(); }
  [[nodiscard]] bool is_established() const override { return tls_->is_complete(); }
  [[nodiscard]] bool is_closed() const override { return !life_.is_open(); }
  [[nodiscard]] bool is_drained() const override { return life_.is_drained(); }
  [[nodiscard]] const crypto::EndpointId& peer() const override { return tls_->peer(); }
  [[nodiscard]] const std::string& alpn() const override { return tls_->alpn(); }
  [[nodiscard]] PathId path() const override;
  [[nodiscard]] ConnectionStats stats() const override;
  [[nodiscard]] Liveness liveness() const override;
  [[nodiscard]] Duration round_trip() const override { return allowance_.round_trip(); }
  [[nodiscard]] bool owns_connection_id(ByteView dcid) const override;
  [[nodiscard]] Status export_keying_material(std::string_view label, ByteView context,
                                              ByteSpan out) const override;

  Status migrate(Instant now, const PathId& path, Migration migration) override;
  void close(Instant now, std::uint64_t code, std::string_view reason) override;

  // --- for the endpoint and tests ----------------------------------------------------
  // The first packet was no valid beginning: forget the connection without a word.
  [[nodiscard]] bool was_dropped() const { return life_.was_dropped(); }
  // The first packet held only part of a ClientHello: the client must prove its address
  // before we keep anything.
  [[nodiscard]] bool wants_retry() const { return life_.wants_retry(); }
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

  // ngtcp2 callbacks; 0 or NGTCP2_ERR_CALLBACK_FAILURE.
  bool on_handshake_completed();
  void on_stream_opened(StreamId id);
  void on_stream_data(StreamId id, Stream* stream, bool is_fin, ByteView data);
  void on_stream_acked(Stream& stream, std::uint64_t count);
  void settle_acknowledged(const std::optional<AcknowledgedRun<Stream>::Run>& run);
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
  // The peer makes ngtcp2 hold more than any peer needs, or than there is.
  [[nodiscard]] bool is_library_bloated();
  void give_place_back();
  // Reports StreamClosed once nothing is left for the application to see.
  void report_if_over(Stream& stream);

  void read(Instant now, const PathId& path, Ecn ecn, ByteView bytes);
  // What has waited and may be read now.
  void read_waiting(Instant now);
  // Whether there is nothing to object to, beyond what ngtcp2 does.
  [[nodiscard]] bool check_peer();
  // Writes a packet that is not sent, over `scratch`. Negative: an error of ngtcp2.
  ngtcp2_ssize write_decoy(ngtcp2_tstamp timestamp, ByteSpan scratch);

  void fail_with(int library_error);
  void begin_close();  // with what life_.packet() says
  void begin_drain();
  // When closing and draining have lasted long enough.
  [[nodiscard]] Instant drained_at() const;
  void report(Closed closed);
  [[nodiscard]] bool write_close_packet(TxBuilder& out);
  void commit(TxBuilder& out, std::uint32_t ecn, std::size_t size,
              Batching batching = Batching::shared);

  ConnectionHost& host_;
  ConnectionLife life_;
  InputGate gate_;
  OwnIds ids_;

  StreamTable streams_;
  StreamPlaces places_;
  buffers::ReceiveCredit credit_;  // goes before the streams
  buffers::DatagramBuffers datagrams_;
  SendScheduler scheduler_;
  BbrControl bbr_control_;
  LibraryMemory library_memory_;
  SendAllowance allowance_;
  congestion::Repeats repeats_;
  PendingEvents events_;
  bool may_have_stopped_ = false;  // input came since streams were looked at

  std::unique_ptr<TlsSession> tls_;
  ngtcp2_conn* connection_ = nullptr;
  StoppedClock clock_;  // what ngtcp2 is told
  HeldAnswer answer_;
  LossTimerWatch loss_timer_;
  std::string qlog_id_;
  ConnectionPaths paths_;
  ConnectionTally tally_;
};

}  // namespace culvert::quic
