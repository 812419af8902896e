#include "tunnel/proxy_server.h"

#include <type_traits>

namespace culvert::tunnel {
namespace {

// Calls `what` with the server in use; `none` without one.
template <typename Variant, typename None, typename What>
auto ask(Variant& server, None none, What what) {
  return std::visit(
      [&](auto& one) -> None {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(one)>, std::monostate>) {
          return none;
        } else {
          return what(one);
        }
      },
      server);
}

}  // namespace

std::size_t ProxyServer::handle_data(ByteView bytes) {
  if (bytes.empty()) return 0;
  if (std::holds_alternative<std::monostate>(server_)) {
    const std::uint8_t first = bytes.front();
    if (first == 5) {
      server_.emplace<Socks5Server>();
    } else if (first == 4) {
      server_.emplace<Socks4Server>();
    } else if (first >= 'A' && first <= 'Z') {  // a method
      server_.emplace<HttpConnectServer>();
    } else {
      server_.emplace<Stranger>(
          SocksRefused{"it speaks neither SOCKS nor HTTP (TLS, perhaps); set it to SOCKS5"});
      return bytes.size();
    }
  }
  return ask(server_, std::size_t{0}, [&](auto& server) { return server.handle_data(bytes); });
}

std::optional<SocksEvent> ProxyServer::poll_event() {
  return ask(server_, std::optional<SocksEvent>{},
             [](auto& server) { return server.poll_event(); });
}

Bytes ProxyServer::take_output() {
  return ask(server_, Bytes{}, [](auto& server) { return server.take_output(); });
}

ProxyProtocol ProxyServer::protocol() const {
  if (std::holds_alternative<Socks5Server>(server_)) return ProxyProtocol::socks5;
  if (std::holds_alternative<Socks4Server>(server_)) return ProxyProtocol::socks4;
  if (std::holds_alternative<HttpConnectServer>(server_)) return ProxyProtocol::http;
  return ProxyProtocol::none;
}

Bytes ProxyServer::reply(ProxyProtocol protocol, SocksReply code) {
  switch (protocol) {
    case ProxyProtocol::socks5:
      return Socks5Server::reply(code, {});
    case ProxyProtocol::socks4:
      return Socks4Server::reply(code);
    case ProxyProtocol::http:
      return HttpConnectServer::reply(code);
    case ProxyProtocol::none:
      break;
  }
  return {};
}

}  // namespace culvert::tunnel
