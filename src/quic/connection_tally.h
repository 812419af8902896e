// What a connection counts of its packets. Internal to quic/.
#pragma once

#include "base/time.h"
#include "quic/connection.h"

#include <cstddef>
#include <cstdint>

namespace culvert::quic {

class ConnectionTally {
 public:
  void on_received(Instant now, std::size_t bytes) {
    ++stats_.packets_received;
    stats_.bytes_received += bytes;
    heard_at_ = now;
  }
  void on_sent(std::size_t bytes) {
    ++stats_.packets_sent;
    stats_.bytes_sent += bytes;
  }
  void on_repeated(std::size_t bytes) {
    on_sent(bytes);
    ++stats_.packets_repeated;
  }
  void on_datagrams_dropped(std::uint64_t count) { stats_.datagrams_dropped += count; }
  void on_datagram_lost() { ++packets_lost_; }
  // Packets with data of a stream that is over.
  void on_stream_lost(std::uint64_t packets) { packets_lost_ += packets; }

  // When the peer was heard of last.
  [[nodiscard]] Instant heard_at() const { return heard_at_; }
  [[nodiscard]] std::uint64_t packets_received() const { return stats_.packets_received; }
  // What is counted here; the rest is the library's.
  [[nodiscard]] ConnectionStats stats() const {
    ConnectionStats stats = stats_;
    stats.packets_lost = packets_lost_;
    return stats;
  }

 private:
  ConnectionStats stats_;
  std::uint64_t packets_lost_ = 0;
  Instant heard_at_{};
};

}  // namespace culvert::quic
