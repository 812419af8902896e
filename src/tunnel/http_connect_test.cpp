#include "tunnel/http_connect.h"

#include "base/limits.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace culvert::tunnel {
namespace {

std::string answer_of(HttpConnectServer& http) {
  return std::string(as_text(http.take_output()));
}

TEST(HttpConnectServer, reads_a_connect_in_any_pieces) {
  const std::pair<std::string, HostPort> cases[] = {
      {"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Connection: "
       "keep-alive\r\n\r\n",
       {"example.com", 443}},
      {"CONNECT 192.0.2.1:22 HTTP/1.0\r\n\r\n", {"192.0.2.1", 22}},
      {"CONNECT [2001:db8::1]:22 HTTP/1.1\n\n", {"2001:db8::1", 22}},
  };
  for (const auto& [request, destination] : cases) {
    const std::string all = request + "\x16\x03\r\n\r\n";
    for (std::size_t piece = 1; piece <= all.size(); ++piece) {
      HttpConnectServer http;
      std::size_t used = 0;
      std::optional<SocksEvent> event;
      for (std::size_t at = 0; at < all.size() && !event; at += piece) {
        used += http.handle_data(as_bytes(std::string_view(all).substr(at, piece)));
        event = http.poll_event();
      }
      ASSERT_TRUE(event && std::holds_alternative<SocksConnect>(*event)) << request;
      EXPECT_EQ(std::get<SocksConnect>(*event).destination, destination);
      EXPECT_EQ(used, request.size());  // what follows is the tunnel's
      EXPECT_TRUE(http.take_output().empty());
      EXPECT_EQ(http.handle_data(as_bytes(all)), 0U);
    }
  }
}

TEST(HttpConnectServer, waits_for_the_end_of_the_head) {
  const std::string_view request = "CONNECT h:1 HTTP/1.1\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size < request.size(); ++size) {
    HttpConnectServer http;
    EXPECT_EQ(http.handle_data(as_bytes(request.substr(0, size))), size);
    EXPECT_FALSE(http.poll_event()) << size;
  }
}

TEST(HttpConnectServer, refuses_what_it_cannot_do_with_an_answer) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "405"},
      {"CONNECTION h:1 HTTP/1.1\r\n\r\n", "405"},
      {"CONNECT h HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT h:1\r\n\r\n", "400"},
      {"CONNECT h:1 SPDY/3\r\n\r\n", "400"},
      {"CONNECT h:99999 HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT :1 HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT a b:1 HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT h/x:1 HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT ::1:1 HTTP/1.1\r\n\r\n", "400"},
      {"CONNECT  HTTP/1.1\r\n\r\n", "400"},
      {std::string("CONNECT h\0:1 HTTP/1.1\r\n\r\n", 25), "400"},
      {"\r\n\r\n", "405"},
  };
  for (const auto& [request, status] : cases) {
    HttpConnectServer http;
    EXPECT_EQ(http.handle_data(as_bytes(request)), request.size());
    const auto event = http.poll_event();
    ASSERT_TRUE(event && std::holds_alternative<SocksRefused>(*event)) << request;
    EXPECT_FALSE(std::get<SocksRefused>(*event).why.empty());
    EXPECT_EQ(answer_of(http).substr(0, 12), "HTTP/1.1 " + std::string(status)) << request;
  }
}

TEST(HttpConnectServer, reads_no_head_without_end) {
  HttpConnectServer http;
  const std::string endless = "CONNECT h:1 HTTP/1.1\r\nA: " + std::string(100'000, 'x');
  EXPECT_EQ(http.handle_data(as_bytes(endless)), limits::kProxyHeadBytes);
  const auto event = http.poll_event();
  ASSERT_TRUE(event && std::holds_alternative<SocksRefused>(*event));
  EXPECT_EQ(answer_of(http).substr(0, 12), "HTTP/1.1 431");
  EXPECT_EQ(http.handle_data(as_bytes(endless)), 0U);
}

TEST(HttpConnectReply, says_what_happened) {
  const std::pair<SocksReply, std::string_view> cases[] = {
      {SocksReply::succeeded, "200"},          {SocksReply::not_allowed, "403"},
      {SocksReply::connection_refused, "502"}, {SocksReply::host_unreachable, "502"},
      {SocksReply::ttl_expired, "504"},        {SocksReply::general_failure, "503"},
  };
  for (const auto& [code, status] : cases) {
    const Bytes bytes = HttpConnectServer::reply(code);
    const std::string_view text = as_text(bytes);
    EXPECT_EQ(text.substr(9, 3), status);
    EXPECT_TRUE(text.ends_with("\r\n\r\n"));
    EXPECT_EQ(text.find("Content-Length") == std::string_view::npos, code == SocksReply::succeeded);
  }
}

}  // namespace
}  // namespace culvert::tunnel
