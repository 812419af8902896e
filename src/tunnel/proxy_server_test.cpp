#include "tunnel/proxy_server.h"

#include "base/encoding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace culvert::tunnel {
namespace {

TEST(ProxyServer, tells_protocols_apart_by_the_first_byte) {
  const std::string http = "CONNECT example.com:80 HTTP/1.1\r\n\r\n";
  const std::pair<Bytes, ProxyProtocol> cases[] = {
      {hex_decode("05010005010003"
                  "0b6578616d706c652e636f6d0050")
           .value(),
       ProxyProtocol::socks5},
      {hex_decode("040100500000000100"
                  "6578616d706c652e636f6d00")
           .value(),
       ProxyProtocol::socks4},
      {Bytes(http.begin(), http.end()), ProxyProtocol::http},
  };
  for (const auto& [request, protocol] : cases) {
    ProxyServer proxy;
    EXPECT_EQ(proxy.protocol(), ProxyProtocol::none);
    for (std::size_t i = 0; i < request.size(); ++i) {
      EXPECT_FALSE(proxy.poll_event());
      EXPECT_EQ(proxy.handle_data(ByteView(request).subspan(i, 1)), 1U);
      EXPECT_EQ(proxy.protocol(), protocol);
    }
    const auto event = proxy.poll_event();
    ASSERT_TRUE(event && std::holds_alternative<SocksConnect>(*event));
    EXPECT_EQ(std::get<SocksConnect>(*event).destination, (HostPort{"example.com", 80}));
  }
}

TEST(ProxyServer, says_of_anything_else_that_it_is_neither) {
  for (int first = 0; first < 256; ++first) {
    if (first == 4 || first == 5 || (first >= 'A' && first <= 'Z')) continue;
    ProxyServer proxy;
    const Bytes bytes{static_cast<std::uint8_t>(first), 3, 1};
    EXPECT_EQ(proxy.handle_data(bytes), bytes.size());
    const auto event = proxy.poll_event();
    ASSERT_TRUE(event && std::holds_alternative<SocksRefused>(*event)) << first;
    EXPECT_TRUE(proxy.take_output().empty());
    EXPECT_EQ(proxy.handle_data(bytes), 0U);
    EXPECT_FALSE(proxy.poll_event());
  }
}

TEST(ProxyServer, answers_as_it_was_asked) {
  const auto first = [](ProxyProtocol protocol, SocksReply code) {
    const Bytes answer = ProxyServer::reply(protocol, code);
    return hex_encode(ByteView(answer).first(std::min<std::size_t>(answer.size(), 2)));
  };
  EXPECT_EQ(first(ProxyProtocol::socks5, SocksReply::not_allowed), "0502");
  EXPECT_EQ(first(ProxyProtocol::socks4, SocksReply::not_allowed), "005b");
  EXPECT_EQ(first(ProxyProtocol::http, SocksReply::not_allowed), hex_encode(as_bytes("HT")));
  EXPECT_EQ(first(ProxyProtocol::none, SocksReply::not_allowed), "");
}

}  // namespace
}  // namespace culvert::tunnel
