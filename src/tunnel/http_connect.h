// The server's side of HTTP CONNECT (RFC 9110 9.3.6), as programs with a "HTTPS proxy" speak it.
// Header fields are read over. Sans-I/O. Requests by other methods are refused: what they ask for
// is a web proxy.
#pragma once

#include "tunnel/socks5.h"

#include <string>

namespace culvert::tunnel {

class HttpConnectServer {
 public:
  // As those of Socks5Server.
  std::size_t handle_data(ByteView bytes);
  [[nodiscard]] std::optional<SocksEvent> poll_event();
  [[nodiscard]] Bytes take_output();
  [[nodiscard]] static Bytes reply(SocksReply code);

 private:
  void read_head();
  void refuse(std::string_view status, std::string_view why);

  std::string head_;  // limits::kProxyHeadBytes at most
  Bytes output_;
  bool is_done_ = false;
  std::optional<SocksEvent> event_;
};

}  // namespace culvert::tunnel
