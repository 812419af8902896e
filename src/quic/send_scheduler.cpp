#include "quic/send_scheduler.h"

#include <array>

namespace culvert::quic {
namespace {

// Bytes a stream may send before the next one's turn: few enough that an interactive
// stream beside bulk ones waits well under a millisecond, enough that packets of a bulk
// stream arrive in runs.
constexpr std::size_t kTurnBytes = 8 * 1024;
// Packets with DATAGRAMs in a row while streams wait.
constexpr std::size_t kDatagramBurst = 8;
// Chunks that one packet can draw from.
constexpr std::size_t kMaxViews = buffers::kChunksOf64KiB;
// A request, an answer, keystrokes: since the stream last had nothing to send.
constexpr std::size_t kSmallWrite = 1024;

ngtcp2_vec to_vec(ByteView view) {
  // ngtcp2 never writes to it; its type just lacks the const.
  return {.base = const_cast<std::uint8_t*>(view.data()), .len = view.size()};
}

}  // namespace

ngtcp2_ssize SendScheduler::write_packet(ngtcp2_conn& connection, const Slot& slot, bool with_data,
                                         std::size_t max_datagram_payload) {
  has_ended_small_write_ = false;
  Packet packet;
  packet.skips_streams = !with_data;
  packet.skips_datagrams = !with_data || max_datagram_payload == 0 ||
                           (datagram_packets_ >= kDatagramBurst && !streams_.sendable.is_empty());
  ngtcp2_ssize result = 0;
  for (;;) {
    if (!packet.skips_datagrams && !datagrams_.is_empty()) {
      if (add_datagram(connection, slot, max_datagram_payload, packet, result)) continue;
      break;
    }
    Stream* stream = packet.skips_streams ? nullptr : streams_.sendable.front();
    if (stream != nullptr) {
      if (add_stream(connection, slot, *stream, packet, result)) continue;
      break;
    }
    // Acknowledgements, retransmissions, and the end of a packet begun above.
    result = ngtcp2_conn_writev_stream(&connection, slot.path, slot.info, slot.bytes.data(),
                                       slot.bytes.size(), nullptr, NGTCP2_WRITE_STREAM_FLAG_NONE,
                                       -1, nullptr, 0, slot.now);
    break;
  }
  datagram_packets_ = packet.has_datagram ? datagram_packets_ + 1 : 0;
  return result;
}

bool SendScheduler::add_datagram(ngtcp2_conn& connection, const Slot& slot, std::size_t max_payload,
                                 Packet& packet, ngtcp2_ssize& result) {
  const ByteView payload = datagrams_.front();
  if (payload.size() > max_payload) {  // the path has become smaller
    datagrams_.pop();
    ++datagrams_dropped_;
    return true;
  }
  const ngtcp2_vec vec = to_vec(payload);
  int is_accepted = 0;
  result = ngtcp2_conn_writev_datagram(&connection, slot.path, slot.info, slot.bytes.data(),
                                       slot.bytes.size(), &is_accepted,
                                       NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &vec,
                                       payload.empty() ? 0 : 1,  // it asserts: no empty pieces
                                       slot.now);
  if (is_accepted != 0) {
    datagrams_.pop();
    packet.has_datagram = true;
  }
  switch (result) {
    case NGTCP2_ERR_WRITE_MORE:
      return true;
    case NGTCP2_ERR_INVALID_STATE:
    case NGTCP2_ERR_INVALID_ARGUMENT:  // the peer takes none, or none as large
      datagrams_.pop();
      ++datagrams_dropped_;
      return true;
    case 0:  // no room, or not allowed to send: a stream write tells which
      packet.skips_datagrams = true;
      return true;
    default:
      return false;
  }
}

bool SendScheduler::add_stream(ngtcp2_conn& connection, const Slot& slot, Stream& stream,
                               Packet& packet, ngtcp2_ssize& result) {
  std::array<ByteView, kMaxViews> views;
  std::array<ngtcp2_vec, kMaxViews> vecs;
  const std::size_t count = stream.output.unsent(slot.bytes.size(), views);
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    vecs[i] = to_vec(views[i]);
    total += views[i].size();
  }
  const bool is_last =
      stream.is_fin_queued && total == stream.output.end_offset() - stream.output.sent_offset();
  const bool is_alone =
      streams_.sendable.has_one() && (packet.skips_datagrams || datagrams_.is_empty());
  const std::uint32_t flags = (is_last ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0U) |
                              (is_alone ? 0U : NGTCP2_WRITE_STREAM_FLAG_MORE);
  ngtcp2_ssize written = -1;
  result = ngtcp2_conn_writev_stream(&connection, slot.path, slot.info, slot.bytes.data(),
                                     slot.bytes.size(), &written, flags, stream.id, vecs.data(),
                                     count, slot.now);
  if (written >= 0) {
    const auto size = static_cast<std::size_t>(written);
    on_written(stream, size, is_last && size == total);
  }
  switch (result) {
    case NGTCP2_ERR_WRITE_MORE:
      return true;
    case NGTCP2_ERR_STREAM_DATA_BLOCKED:
      // By the connection's window: all streams wait in the queue. By its own: it comes
      // back when the peer grants more.
      if (ngtcp2_conn_get_max_data_left(&connection) == 0) {
        packet.skips_streams = true;
      } else {
        stream.is_flow_blocked = true;
        streams_.sendable.remove(stream);
        turn_bytes_ = 0;
      }
      return true;
    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND:
      streams_.sendable.remove(stream);
      turn_bytes_ = 0;
      observer_.on_stopped_by_peer(stream, 0);
      return true;
    default:
      return false;
  }
}

void SendScheduler::on_written(Stream& stream, std::size_t count, bool with_fin) {
  stream.output.mark_sent(count);
  turn_bytes_ += count;
  if (with_fin) {
    stream.is_fin_sent = true;
    observer_.on_fin_sent(stream);
  }
  if (stream.output.end_offset() - stream.output.sent_offset() < stream.refill_below) {
    observer_.on_running_low(stream);
  }
  const bool is_done = !stream.output.has_unsent() && (!stream.is_fin_queued || stream.is_fin_sent);
  stream.burst_bytes += count;
  if (is_done) {
    has_ended_small_write_ |= stream.burst_bytes <= kSmallWrite;
    stream.burst_bytes = 0;
  }
  if (!is_done && turn_bytes_ < kTurnBytes) return;
  turn_bytes_ = 0;
  streams_.sendable.remove(stream);
  if (!is_done) streams_.sendable.push_back(stream);
}

}  // namespace culvert::quic
