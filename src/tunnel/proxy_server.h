// What a local program says to the proxy port: SOCKS5, SOCKS4, 4A or HTTP CONNECT, told apart by
// the first byte. Sans-I/O.
#pragma once

#include "tunnel/http_connect.h"
#include "tunnel/socks4.h"
#include "tunnel/socks5.h"

#include <utility>
#include <variant>

namespace culvert::tunnel {

enum class ProxyProtocol : std::uint8_t { none, socks5, socks4, http };

class ProxyServer {
 public:
  // As those of Socks5Server.
  std::size_t handle_data(ByteView bytes);
  [[nodiscard]] std::optional<SocksEvent> poll_event();
  [[nodiscard]] Bytes take_output();

  [[nodiscard]] ProxyProtocol protocol() const;
  // The answer to SocksConnect.
  [[nodiscard]] static Bytes reply(ProxyProtocol protocol, SocksReply code);

 private:
  // Bytes that belong to none of them.
  struct Stranger {
    std::optional<SocksEvent> event;
    std::size_t handle_data(ByteView) { return 0; }
    std::optional<SocksEvent> poll_event() { return std::exchange(event, std::nullopt); }
    static Bytes take_output() { return {}; }
  };

  std::variant<std::monostate, Socks5Server, Socks4Server, HttpConnectServer, Stranger> server_;
};

}  // namespace culvert::tunnel
