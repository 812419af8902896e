// Tells when a connection has gone silent although its peer owes an answer. Sans-I/O.
#pragma once

#include "base/time.h"

#include <cstdint>

namespace culvert::path {

// What a connection shows of its peer.
struct SignsOfLife {
  std::uint64_t packets_received = 0;
  std::uint64_t bytes_in_flight = 0;  // of packets that the peer must acknowledge
  Duration probe_timeout{};           // RFC 9002 6.2.1, without back-off
};

class SilenceWatch {
 public:
  enum class News : std::uint8_t {
    none,
    pause,  // it was sending a flow and has stopped, and owes nothing: ask it
    silent,
    alive_again,
  };

  void begin(Instant now);
  // To be called again after next_look(). It is silent after `patience`, or three probe
  // timeouts if those are longer.
  [[nodiscard]] News look(Instant now, const SignsOfLife& life, Duration patience);
  [[nodiscard]] Duration next_look(Duration patience) const;
  [[nodiscard]] bool is_silent() const { return is_silent_; }

 private:
  std::uint64_t packets_seen_ = 0;
  Instant last_life_{};
  bool was_sending_ = false;
  bool is_waiting_ = false;  // it owed us an acknowledgement when last looked at
  bool is_silent_ = false;
};

}  // namespace culvert::path
