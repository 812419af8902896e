// Decides what goes into the next packet of a connection: DATAGRAMs first, but bounded
// so that they cannot starve streams; streams in turn, a few kilobytes each; small
// writes share packets. Internal to quic/.
#pragma once

#include "buffers/datagram_queue.h"
#include "quic/stream_table.h"

#include <ngtcp2/ngtcp2.h>

namespace culvert::quic {

class SendScheduler {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // The stream's FIN was written for the first time.
    virtual void on_fin_sent(Stream& stream) = 0;
    // Fewer bytes than its `refill_below` are unsent.
    virtual void on_running_low(Stream& stream) = 0;
    // A write showed that the peer has sent STOP_SENDING.
    virtual void on_stopped_by_peer(Stream& stream, std::uint64_t code) = 0;
  };

  SendScheduler(StreamTable& streams, buffers::DatagramQueue& datagrams, Observer& observer)
      : streams_(streams), datagrams_(datagrams), observer_(observer) {}

  // Where one packet is to be written.
  struct Slot {
    ngtcp2_path* path;
    ngtcp2_pkt_info* info;
    ByteSpan bytes;
    ngtcp2_tstamp now;
  };
  // Writes at most one packet. > 0: its size; 0: nothing may or need be sent now; < 0: an
  // ngtcp2 error that ends the connection. Without `with_data` only what ngtcp2 itself has to
  // send: acknowledgements, retransmissions, probes. `max_datagram_payload` 0: leave DATAGRAMs.
  [[nodiscard]] ngtcp2_ssize write_packet(ngtcp2_conn& connection, const Slot& slot, bool with_data,
                                          std::size_t max_datagram_payload);

  // Whether the packet just written has the end of what a stream had to say, and that was little.
  [[nodiscard]] bool has_ended_small_write() const { return has_ended_small_write_; }

  [[nodiscard]] std::uint64_t datagrams_dropped() const { return datagrams_dropped_; }

 private:
  struct Packet {  // what we know of the one being filled
    bool skips_datagrams = false;
    bool skips_streams = false;
    bool has_datagram = false;
  };
  // Each adds one frame. Returns true to go on filling; false when `result` is final.
  bool add_datagram(ngtcp2_conn& connection, const Slot& slot, std::size_t max_payload,
                    Packet& packet, ngtcp2_ssize& result);
  bool add_stream(ngtcp2_conn& connection, const Slot& slot, Stream& stream, Packet& packet,
                  ngtcp2_ssize& result);
  void on_written(Stream& stream, std::size_t count, bool with_fin);

  StreamTable& streams_;
  buffers::DatagramQueue& datagrams_;
  Observer& observer_;
  std::size_t turn_bytes_ = 0;        // written by the stream at the front of the queue
  std::size_t datagram_packets_ = 0;  // in a row
  bool has_ended_small_write_ = false;
  std::uint64_t datagrams_dropped_ = 0;
};

}  // namespace culvert::quic
