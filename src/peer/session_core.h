// What a session is at either end: its connection of the moment, its lanes, its flows, and their
// streams while there is no connection. Who dials, who is let in and what a flow begins with is
// its session's business. Private to drive/.
#pragma once

#include "base/multipath.h"
#include "drive/worker.h"
#include "peer/control_stream.h"
#include "peer/flow_set.h"
#include "peer/lanes.h"
#include "peer/parked_streams.h"
#include "peer/stream_user.h"

#include <cstdint>
#include <memory>
#include <unordered_map>

namespace culvert::peer {

// Whoever takes the datagrams of one flow.
class DatagramUser {
 public:
  virtual void on_datagram(Instant now, ByteView payload) = 0;

 protected:
  ~DatagramUser() = default;
};

class SessionCoreOwner {
 public:
  // The peer has opened a stream, on any lane.
  virtual void on_flow_stream(quic::Stream& stream) = 0;
  virtual void on_flow_ended(Instant now) = 0;
  // More waits in parked streams than a session may have: a flow is reset.
  virtual void on_beyond_share(Instant now) = 0;

 protected:
  ~SessionCoreOwner() = default;
};

// Of the role; they outlive its sessions.
struct SessionCounters {
  std::uint64_t& flows_active;
  std::uint64_t& flows_dropped;
  std::uint64_t& udp_dropped;
  std::uint64_t& connections_unread;
};

// Owned by its session.
class SessionCore {
 public:
  SessionCore(drive::Worker& worker, SessionCounters counters, SessionCoreOwner& owner);
  ~SessionCore();

  // --- the connection that carries all that is not striped --------------------------------
  // Null between two.
  [[nodiscard]] quic::Connection* connection() const { return connection_; }
  // Null between two connections.
  [[nodiscard]] ControlStream* control() const { return control_.get(); }
  // There is none at present.
  void adopt(quic::Connection& connection, std::unique_ptr<ControlStream> control,
             drive::ConnectionHandler& handler, ControlHandler& control_handler);
  // It was lost: its flows wait for the next one.
  void suspend(Instant now);
  // It lives, but the peer has moved on to another one: ends it. Flows wait, or are left to
  // end_flows().
  void replace(Instant now, bool keeps_flows);
  // The control stream of one of its connections is of no use any more.
  void count(const session::ChannelFailure& failure) {
    if (failure.is_unread) ++counters_.connections_unread;
  }
  // It is over, and so is all that needs it.
  void let_go();

  // --- from whoever handles one of the lanes ------------------------------------------------
  void on_stream_event(Instant now, const quic::Event& event);
  void on_readable(Instant now, quic::Stream& stream);
  void on_writable(Instant now, quic::Stream& stream);
  void on_datagram(Instant now, ByteView datagram);
  [[nodiscard]] Lanes& lanes() { return lanes_; }
  [[nodiscard]] const Lanes& lanes() const { return lanes_; }

  // --- flows ----------------------------------------------------------------------------------
  template <typename Flow>
  Flow& add(std::unique_ptr<Flow> flow) {
    if (flow->is_flow()) ++counters_.flows_active;
    return flows_.add(std::move(flow));
  }
  // It has let go of its stream.
  void retire(Instant now, StreamUser& flow);
  [[nodiscard]] const FlowSet& flows() const { return flows_; }
  // As if their connection had ended for good. How many they were.
  std::size_t end_flows(Instant now);
  [[nodiscard]] ParkedStreams& parked() { return parked_; }
  [[nodiscard]] const ParkedStreams& parked() const { return parked_; }
  // Resets the flow of a parked stream, which stays.
  void drop(Instant now, quic::Stream& parked);

  // Ids are the client's choice.
  void add_datagram_user(std::uint64_t id, DatagramUser& user) { datagram_users_[id] = &user; }
  [[nodiscard]] bool has_datagram_user(std::uint64_t id) const {
    return datagram_users_.contains(id);
  }
  void remove_datagram_user(std::uint64_t id) { datagram_users_.erase(id); }
  // A datagram of a flow. False: it does not fit.
  [[nodiscard]] bool send_datagram(Multipath mode, ByteView header, ByteView payload);

 private:
  void read_rest(Instant now);
  void park(Instant now);

  drive::Worker& worker_;
  SessionCounters counters_;
  SessionCoreOwner& owner_;
  Lanes lanes_;
  quic::Connection* connection_ = nullptr;
  std::unique_ptr<ControlStream> control_;
  FlowSet flows_;
  ParkedStreams parked_;
  std::unordered_map<std::uint64_t, DatagramUser*> datagram_users_;
};

}  // namespace culvert::peer
