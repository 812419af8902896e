// The server's side of SOCKS4 (CONNECT) and of 4A, which gives names. Sans-I/O. The user id is
// read and means nothing: the listener is on our own machine.
#pragma once

#include "tunnel/socks5.h"

namespace culvert::tunnel {

class Socks4Server {
 public:
  // As those of Socks5Server.
  std::size_t handle_data(ByteView bytes);
  [[nodiscard]] std::optional<SocksEvent> poll_event();
  [[nodiscard]] Bytes take_output();
  // The protocol knows yes and no.
  [[nodiscard]] static Bytes reply(SocksReply code);

 private:
  [[nodiscard]] Decoded<std::size_t> read_request(ByteView input);

  // Longest: 8 bytes, a user id and a name of at most 255 bytes each, and the zeros behind them.
  Bytes input_;
  Bytes output_;
  bool is_done_ = false;
  std::optional<SocksEvent> event_;
};

}  // namespace culvert::tunnel
