#include "control/http.h"

#include "base/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

TEST(HttpParser, reads_requests_out_of_any_pieces) {
  constexpr std::string_view kWire =
      "PUT /v1/log-level?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  for (std::size_t piece = 1; piece <= kWire.size(); ++piece) {
    HttpParser parser;
    std::vector<HttpRequest> requests;
    for (std::size_t at = 0; at < kWire.size(); at += piece) {
      parser.add(as_bytes(kWire.substr(at, piece)));
      while (auto request = parser.next()) requests.push_back(std::move(*request));
    }
    ASSERT_EQ(requests.size(), 2U) << piece;
    EXPECT_EQ(requests[0].method, "PUT");
    EXPECT_EQ(requests[0].path, "/v1/log-level");
    EXPECT_EQ(requests[0].body, "abc");
    EXPECT_TRUE(requests[0].keeps_alive);
    EXPECT_EQ(requests[1].path, "/metrics");
    EXPECT_FALSE(requests[1].keeps_alive);
    EXPECT_FALSE(parser.error());
  }
}

int status_after(const std::string& wire) {
  HttpParser parser;
  parser.add(as_bytes(wire));
  EXPECT_FALSE(parser.next());
  return parser.error() ? parser.error()->status : 0;
}

TEST(HttpParser, refuses_what_is_too_large_or_no_http) {
  EXPECT_EQ(status_after("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status_after("GET / HTTP/1.1\r\nX: " + std::string(limits::kControlHeaderBytes, 'x')),
            431);
  EXPECT_EQ(status_after("PUT / HTTP/1.1\r\nContent-Length: " +
                         std::to_string(limits::kControlBodyBytes + 1) + "\r\n\r\n"),
            413);
  EXPECT_EQ(status_after("GET / HTTP/1.1\r\nHost: a\r\n"), 0);  // may go on
}

TEST(HttpParser, says_nothing_more_after_an_error) {
  HttpParser parser;
  parser.add(as_bytes(std::string_view("bad\r\n\r\n")));
  EXPECT_FALSE(parser.next());
  parser.add(as_bytes(std::string_view("GET / HTTP/1.1\r\n\r\n")));
  EXPECT_FALSE(parser.next());
}

TEST(ToWire, says_how_long_the_body_is_and_whether_more_may_follow) {
  const HttpResponse response{.status = 405, .body = "{}", .allow = "GET, POST"};
  const std::string kept = to_wire(response, true);
  EXPECT_THAT(kept, HasSubstr("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(kept, HasSubstr("Allow: GET, POST\r\n"));
  EXPECT_THAT(kept, HasSubstr("Content-Length: 2\r\n"));
  EXPECT_THAT(kept, Not(HasSubstr("Connection: close")));
  EXPECT_TRUE(kept.ends_with("\r\n\r\n{}"));
  EXPECT_THAT(to_wire(response, false), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(to_wire({.status = 204}, true), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(to_wire({.is_event_stream = true}, true), Not(HasSubstr("Content-Length")));
}

TEST(HttpParser, tells_the_host_and_refuses_two) {
  HttpParser parser;
  parser.add(
      as_bytes(std::string_view("GET / HTTP/1.1\r\nhost: a:1\r\n\r\nGET / HTTP/1.0\r\n\r\n")));
  EXPECT_EQ(parser.next()->host, "a:1");
  EXPECT_EQ(parser.next()->host, std::nullopt);
  EXPECT_EQ(status_after("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
}

TEST(HttpParser, knows_whether_it_is_within_a_request) {
  HttpParser parser;
  EXPECT_FALSE(parser.is_within_request());
  parser.add(as_bytes(std::string_view("GET / HTTP/1.1\r\nHo")));
  EXPECT_FALSE(parser.next());
  EXPECT_TRUE(parser.is_within_request());
  parser.add(as_bytes(std::string_view("st: a\r\n\r\n")));
  EXPECT_TRUE(parser.next());
  EXPECT_FALSE(parser.is_within_request());
  parser.add(as_bytes(std::string_view("G")));
  EXPECT_FALSE(parser.next());
  EXPECT_TRUE(parser.is_within_request());
}

TEST(IsOwnHost, takes_addresses_and_names_that_are_ours) {
  const std::vector<std::string> names{"box", "metrics.example"};
  for (const char* host :
       {"127.0.0.1", "192.0.2.7:9090", "[::1]", "[2001:db8::1]:9090", "localhost", "LOCALHOST:1",
        "localhost.", "box", "BOX:1", "metrics.example.:9"}) {
    EXPECT_TRUE(is_own_host(host, names)) << host;
  }
  for (const char* host : {"", ":", "evil.example", "box.evil.example", "evil.example:127.0.0.1",
                           "127.0.0.1.nip.io", "[::1", "[]", "[box]", "[::1]x", "localhost.evil"}) {
    EXPECT_FALSE(is_own_host(host, names)) << host;
  }
}

TEST(PathSegments, decodes_each_and_refuses_what_is_malformed) {
  EXPECT_THAT(path_segments("/v1/tunnels/a%2fb%20c"),
              Optional(ElementsAre("v1", "tunnels", "a/b c")));
  for (const char* path : {"", "v1", "/", "/v1/", "//v1", "/a%", "/a%2", "/a%zz", "/a%00b"}) {
    EXPECT_FALSE(path_segments(path)) << path;
  }
  const std::string label = "tcp://[::1]:22 -> 127.0.0.1:2222 \xc3\xa4%";
  EXPECT_THAT(path_segments("/" + percent_encoded(label)), Optional(ElementsAre(label)));
}

}  // namespace
}  // namespace culvert::control
