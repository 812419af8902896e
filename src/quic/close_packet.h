// The packet that ends a connection: what it says, and how often it is sent. RFC 9000 10.2.1: a
// peer that goes on sending may not have it, and gets it again, ever less often.
#pragma once

#include "base/datagram.h"
#include "quic/tx_builder.h"

#include <ngtcp2/ngtcp2.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::quic {

class ClosePacket {
 public:
  // What is to be said (19.19); one of them, once.
  void set_application_error(std::uint64_t code, std::string_view reason);  // the reason is cut
  void set_transport_error(std::uint64_t code);
  void set_tls_alert(std::uint8_t alert);
  void set_library_error(int error);
  [[nodiscard]] const ngtcp2_ccerr& error() const { return error_; }

  // It is written and goes out by `path`.
  void on_written(const PathId& path, ByteView packet);
  // The peer has sent something since: its 1st, 2nd, 4th, 8th ... packet has an answer.
  void on_received();
  [[nodiscard]] bool is_due() const { return is_due_; }
  // Sends it once more. False: no room in `out`.
  [[nodiscard]] bool resend(TxBuilder& out);

 private:
  ngtcp2_ccerr error_{};
  std::string reason_;  // error_ points into it
  PathId path_;
  std::vector<std::uint8_t> packet_;
  std::uint64_t received_ = 0;
  bool is_due_ = false;
};

}  // namespace culvert::quic
