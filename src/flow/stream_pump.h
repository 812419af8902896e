// Moves bytes both ways between a port (TCP, Unix socket, stdio) and the stream of a flow:
// backpressure, half-close and reset in both directions, nothing held while idle.
//
//   port readable  -> straight into the stream's send buffer -> submit
//   stream readable -> at the end of the turn one writev to the port -> consume
//
// While the stream is parked (its connection was lost) what has arrived still reaches the
// port, and nothing is read from it. Owned by a flow; the stream outlives it or it is
// detached first.
#pragma once

#include "base/appetite.h"
#include "base/limits.h"
#include "buffers/byte_stream.h"
#include "drive/traffic_counters.h"
#include "drive/worker.h"
#include "ports/ports.h"

#include <cstdint>
#include <memory>

namespace culvert::flow {

class PumpOwner {
 public:
  // Both directions have ended in order; the port is closed.
  virtual void on_pump_finished(Instant now) = 0;
  // The port was reset or failed, and the peer has what came from it before; the stream has been
  // reset, but for a direction that had ended in order.
  virtual void on_pump_broken(Instant now) = 0;

 protected:
  ~PumpOwner() = default;
};

class StreamPump final : public StreamHandler, public drive::Flushable {
 public:
  StreamPump(drive::Worker& worker, buffers::ByteStream& stream, drive::TrafficCounters& counters,
             PumpOwner& owner);
  ~StreamPump() override;

  // Begins to read from the port. It is connected; this becomes its handler.
  void attach(std::unique_ptr<StreamPort> port);
  // Lets bytes from the stream reach the port: once the head of the flow has been read.
  void open_downstream();

  // From the flow, for events of the stream.
  void on_quic_readable();
  void on_quic_writable(Instant now);
  // Goes on with another stream, which has inherited the state of the one before.
  void on_resumed(Instant now, buffers::ByteStream& stream);
  // The peer wants no more of our bytes, but may still send: stop reading the port.
  void stop_upstream();
  // As stop_upstream(), of a peer that has sent all it will: ends with what is left of that.
  void end_upstream(Instant now);
  // Before abort(): gives the port what has arrived, as far as it takes it at once.
  void deliver_rest();
  // Resets both sides; no callback.
  void abort(std::uint64_t flow_code);
  // Lets go of the stream as abort() does, but ends the port in order.
  void close_politely();
  // The stream is over. What it delivered in full ends the port in order, anything else by
  // a reset. The stream is not touched again. True: both directions were whole.
  bool on_quic_closed();
  // Writes to the port ahead of the stream's bytes (a SOCKS reply). Small; if the port does
  // not take it at once it is broken.
  bool write_ahead(ByteView bytes);

  [[nodiscard]] bool has_port() const { return port_ != nullptr; }

 private:
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant now, const Error& error) override;
  void on_stream_readable(Instant now) override;
  void on_stream_writable(Instant now) override;
  void flush(Instant now) override;

  void pump_up(Instant now);
  void pump_down(Instant now);
  void break_off(Instant now);
  void break_when_delivered(Instant now);
  void drop_input();
  void finish_if_done(Instant now);

  drive::Worker& worker_;
  buffers::ByteStream* stream_;
  drive::TrafficCounters& counters_;
  PumpOwner& owner_;
  std::unique_ptr<StreamPort> port_;
  // What most requests fit, and one chunk: memory for all that a bulk flow reads would cost a small
  // request a third of what is done for it.
  Appetite<1024, limits::kReadBytesPerTurn> reads_;
  bool is_up_done_ = false;    // port's end seen and FIN queued, or stopped
  bool is_down_done_ = false;  // stream's FIN passed on to the port
  bool is_down_open_ = false;
  bool is_port_blocked_ = false;
  bool is_write_broken_ = false;  // the port takes no more; what came from it is still read
  bool is_breaking_ = false;      // the port is gone; what came from it is on its way
};

}  // namespace culvert::flow
