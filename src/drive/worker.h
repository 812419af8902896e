// One thread's share of the work: a QUIC endpoint, its UDP socket and other ways out, its
// connections, their timers. Turns readiness into batches: everything that arrived in a turn is
// handled first, then flows are flushed, then packets of all connections that were stirred leave
// together.
//
// A role (client.cpp, server.cpp) has one of its own, or shares one, and its UDP port, with others:
// who connects goes to the role that speaks his protocol. Runs on its Host's thread.
#pragma once

#include "base/log.h"
#include "drive/moderation.h"
#include "drive/repeated_warnings.h"
#include "drive/send_rounds.h"
#include "drive/stream_memory.h"
#include "drive/transports.h"
#include "drive/udp_egress.h"
#include "drive/worker_roles.h"
#include "ports/ports.h"
#include "ports/timer_heap.h"
#include "quic/endpoint.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::drive {

// Who a connection belongs to: a session. Called while the worker drains a connection.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  virtual void on_event(Instant now, quic::Event& event) = 0;
  virtual void on_readable(Instant now, quic::Stream& stream) = 0;
  virtual void on_writable(Instant now, quic::Stream& stream) = 0;
  virtual void on_datagram(Instant now, ByteView datagram) = 0;
};

// A role on a worker.
class WorkerHandler {
 public:
  virtual ~WorkerHandler() = default;
  // A new incoming connection, of a protocol of ours; nullptr refuses it (it is closed at once).
  virtual ConnectionHandler* on_connection(Instant now, quic::Connection& connection) = 0;
  virtual void on_network_changed(Instant now) = 0;
  // Nobody takes UDP datagrams there; of a worker that wants to know.
  virtual void on_refused(Instant now, const UdpRefusal& refusal) = 0;
};

// Takes what came in STUN's form (RFC 8489): checks of a peer's ICE agent, answers to our own
// requests, Data indications of TURN servers.
class StunHandler {
 public:
  virtual ~StunHandler() = default;
  virtual void on_stun(Instant now, const PathId& path, ByteView message) = 0;
};

// Knows TURN servers, and what is in the ChannelData that they send (RFC 8656 12.4).
class TurnInput {
 public:
  virtual ~TurnInput() = default;
  [[nodiscard]] virtual bool is_server(const SocketAddress& source) const = 0;
  // What is in it, and by which path it came: the peer's stand-in (base/mapped_address.h). None:
  // of no channel. Bytes of `channel_data`.
  [[nodiscard]] virtual std::optional<RxDatagram> unwrap(const PathId& path,
                                                         ByteView channel_data) = 0;
};

// Something that wants to run once at the end of the turn, before packets leave: a flow
// that writes all that arrived in one call.
class Flushable {
 public:
  virtual void flush(Instant now) = 0;

 protected:
  Flushable() = default;
  ~Flushable() = default;
  Flushable(const Flushable&) = delete;
  Flushable& operator=(const Flushable&) = delete;

 private:
  friend class Worker;
  std::size_t flush_index_ = kNotQueued;
  static constexpr std::size_t kNotQueued = ~std::size_t{0};
};

class Worker final : public HostHandler, public UdpHandler, private quic::ConnectionWaker {
 public:
  Worker(Host& host, Logger& log);
  ~Worker() override;

  // Once, before anything else. Nobody may connect until a role says what it speaks: that is not
  // the configuration's.
  [[nodiscard]] Status open(quic::EndpointConfig config, const UdpOptions& udp);

  // From now on the role takes the connections of peers that speak one of these, best first, until
  // it is removed; none: it only dials. Fails where another role speaks one of them.
  [[nodiscard]] Status add_role(WorkerHandler& role, std::vector<std::string> alpns);
  // Its connections are detached. Does nothing for who was not added.
  void remove_role(const WorkerHandler& role);

  [[nodiscard]] Result<quic::Connection*> connect(Instant now, const SocketAddress& remote,
                                                  const quic::ConnectOptions& options,
                                                  ConnectionHandler& handler);
  // From this local address rather than the one that the routing table picks.
  [[nodiscard]] Result<quic::Connection*> connect_from(Instant now, const IpAddress& local,
                                                       const SocketAddress& remote,
                                                       const quic::ConnectOptions& options,
                                                       ConnectionHandler& handler);
  // Another way out than the UDP socket, until remove_transport(). Its owner calls
  // on_transport_writable() when it was blocked and no longer is, and on_received() with what comes
  // in by it; not from inside a call of the worker's.
  void add_transport(PathKind kind, Transport& transport, std::size_t max_datagram_bytes);
  void remove_transport(PathKind kind);
  void on_transport_writable(Instant now, PathKind kind);
  void on_received(Instant now, const RxDatagram& batch);
  // nullptr: nobody, what comes is dropped.
  void set_stun_handler(StunHandler* handler) { stun_handler_ = handler; }
  void set_turn_input(TurnInput* input) { turn_input_ = input; }
  // What is sent from one of our addresses leaves by its interface from now on.
  void pin_local_addresses();
  // Another session takes over the connection.
  void rebind(quic::Connection& connection, ConnectionHandler& handler);
  // The handler is going: events of the connection reach nobody any more. Close it first.
  void detach(quic::Connection& connection);
  void request_flush(Flushable& flushable);
  void cancel_flush(Flushable& flushable);
  // What ends inside a callback of its own is deleted when the turn ends, in the order of its end:
  // flows before the session that they refer to.
  template <typename Object>
  void bury(std::unique_ptr<Object> dead) {
    graves_.emplace_back(dead.release(), [](void* object) { delete static_cast<Object*>(object); });
    want_turn_end();
  }
  // Now: for a role that ends, before what they refer to does.
  void delete_dead();
  // Sends what is queued now, for goodbyes on the way out. Within a turn's end it leaves the
  // sending to that, which follows at once.
  void transmit_now(Instant now);

  [[nodiscard]] Host& host() { return host_; }
  [[nodiscard]] Logger& log() { return log_; }
  // For what peers and local programs can cause as often as they like.
  [[nodiscard]] RepeatedWarnings& warnings() { return warnings_; }
  [[nodiscard]] TimerHeap& timers() { return timers_; }
  [[nodiscard]] buffers::ChunkPool& chunks() { return memory_.chunks(); }
  [[nodiscard]] UdpEgress& egress() { return egress_; }
  [[nodiscard]] const UdpEgress& egress() const { return egress_; }
  [[nodiscard]] quic::Endpoint& endpoint() { return *endpoint_; }
  [[nodiscard]] const quic::Endpoint& endpoint() const { return *endpoint_; }
  [[nodiscard]] SocketAddress local_address() const { return udp_->local_address(); }
  // Among the process's workers.
  [[nodiscard]] std::uint8_t index() const { return index_; }
  [[nodiscard]] const Transports& transports() const { return transports_; }
  // Datagrams, to other workers of the process.
  [[nodiscard]] std::uint64_t handed_over() const { return handed_over_; }
  // Datagrams that came for nobody here: from addresses that no wire has, STUN without a handler,
  // data of no channel, or for a worker that there is not or that takes no more.
  [[nodiscard]] std::uint64_t strays() const { return strays_; }

 private:
  // What the worker keeps for a connection; found by Connection::context.
  struct Slot final : Timer {
    Slot(Worker& owner, quic::Connection& its_connection);
    void on_timer(Instant now) override;
    Worker& worker;
    quic::Connection& connection;
    ConnectionHandler* handler = nullptr;
    bool is_unclaimed = false;  // nobody knows so far whose protocol the peer speaks
    bool is_dirty = false;      // in dirty_
    bool is_sending = false;    // in sending_
  };
  static Slot& slot_of(quic::Connection& connection);
  Slot& adopt(quic::Connection& connection, ConnectionHandler* handler);

  void on_udp_readable(Instant now) override;
  void on_udp_writable(Instant now) override;
  void on_deadline(Instant now) override;
  void on_turn_end(Instant now) override;
  void on_handover(Instant now, const RxDatagram& datagram) override;
  void on_network_changed(Instant now) override;

  // It is polled at the end of this turn.
  void on_stirred(quic::Connection& connection) override;

  void offer(Instant now, Slot& slot);
  friend class RefusalWish;

  // By which worker of the process it is taken: none for ours, or for nobody's.
  using Taker = std::optional<std::uint8_t>;
  void take_from_wire(Instant now, const RxDatagram& batch);
  void handle_batch(Instant now, const RxDatagram& batch, bool may_hand_over);
  Taker handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes);
  Taker handle_quic(Instant now, const PathId& path, Ecn ecn, ByteView bytes);
  Taker handle_stun(Instant now, const PathId& path, ByteView bytes);
  void hand_over(std::uint8_t worker, const RxDatagram& batch);
  void drain(Instant now, Slot& slot);
  void deliver_input(Instant now, Slot& slot);
  void drain_dirty(Instant now);
  void want_turn_end();
  void end_settling();
  void flush_flows(Instant now);
  void transmit(Instant now);
  void queue_to_send(Slot& slot);
  bool must_wait(Slot& slot);
  void settle_sent(quic::Connection& connection);
  void settle(Instant now);
  void arm();

  Host& host_;
  Logger& log_;
  WorkerRoles roles_;
  TimerHeap timers_;
  RepeatedWarnings warnings_{timers_, log_};
  StreamMemory memory_{timers_, host_};
  UdpEgress egress_;
  std::unique_ptr<UdpPort> udp_;
  std::unique_ptr<quic::Endpoint> endpoint_;
  std::unordered_map<quic::Connection*, std::unique_ptr<Slot>> slots_;
  std::vector<quic::Connection*> dirty_;  // to drain and to send
  SendRounds<quic::Connection> sending_;  // drained in this turn, may have packets
  std::vector<Flushable*> flushes_;
  quic::TxBuilder tx_;
  Transports transports_;
  StunHandler* stun_handler_ = nullptr;
  TurnInput* turn_input_ = nullptr;
  std::uint8_t index_ = 0;
  bool is_settling_ = false;
  std::vector<RxDatagram> rx_;
  Moderation moderation_;
  std::uint64_t handed_over_ = 0;
  std::uint64_t strays_ = 0;
  std::vector<std::unique_ptr<void, void (*)(void*)>> graves_;
};

// While it is set, the worker's socket hears who refuses datagrams (UdpPort::want_refusals), and
// its roles are told. A member of who dials.
class RefusalWish {
 public:
  explicit RefusalWish(Worker& worker) : worker_(worker) {}
  ~RefusalWish() { set(false); }
  RefusalWish(const RefusalWish&) = delete;
  RefusalWish& operator=(const RefusalWish&) = delete;
  void set(bool is_wanted) {
    if (is_wanted == is_set_) return;
    is_set_ = is_wanted;
    worker_.udp_->want_refusals(worker_.roles_.wants_refusals(is_wanted));
  }

 private:
  Worker& worker_;
  bool is_set_ = false;
};

}  // namespace culvert::drive
