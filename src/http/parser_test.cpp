#include "http/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace culvert::http {
namespace {

using ::testing::HasSubstr;

constexpr MessageBounds kBounds{.head_bytes = 16 << 10, .body_bytes = 64 << 10};

TEST(RequestParser, reads_requests_out_of_any_pieces) {
  constexpr std::string_view kWire =
      "PUT /v1/log-level?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  for (std::size_t piece = 1; piece <= kWire.size(); ++piece) {
    RequestParser parser(kBounds);
    std::vector<Request> requests;
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
  RequestParser parser(kBounds);
  parser.add(as_bytes(wire));
  EXPECT_FALSE(parser.next());
  return parser.error() ? parser.error()->status : 0;
}

TEST(RequestParser, refuses_what_is_too_large_or_no_http) {
  EXPECT_EQ(status_after("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status_after("GET / HTTP/1.1\r\nX: " + std::string(kBounds.head_bytes, 'x')), 431);
  EXPECT_EQ(status_after("PUT / HTTP/1.1\r\nContent-Length: " +
                         std::to_string(kBounds.body_bytes + 1) + "\r\n\r\n"),
            413);
  EXPECT_EQ(status_after("GET / HTTP/1.1\r\nHost: a\r\n"), 0);  // may go on
}

TEST(RequestParser, says_nothing_more_after_an_error) {
  RequestParser parser(kBounds);
  parser.add(as_bytes(std::string_view("bad\r\n\r\n")));
  EXPECT_FALSE(parser.next());
  parser.add(as_bytes(std::string_view("GET / HTTP/1.1\r\n\r\n")));
  EXPECT_FALSE(parser.next());
}

TEST(RequestParser, tells_the_host_and_refuses_two) {
  RequestParser parser(kBounds);
  parser.add(
      as_bytes(std::string_view("GET / HTTP/1.1\r\nhost: a:1\r\n\r\nGET / HTTP/1.0\r\n\r\n")));
  EXPECT_EQ(parser.next()->host, "a:1");
  EXPECT_EQ(parser.next()->host, std::nullopt);
  EXPECT_EQ(status_after("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
}

TEST(RequestParser, knows_whether_it_is_within_a_request) {
  RequestParser parser(kBounds);
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

// A reply in all its framings, in pieces of every size, and what is left behind it.
struct ReplyCase {
  std::string_view wire;
  int status;
  std::string_view body;
  bool keeps_alive;
};
constexpr ReplyCase kReplies[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", 200, "abc", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", 200,
     "abc", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
    {"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", 404, "", true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\nHTTP/1.1 200 \r\n"
     "Content-Length: 1\r\n\r\nx",
     200, "x", true},
};

TEST(ReplyParser, reads_every_framing_out_of_any_pieces) {
  for (const ReplyCase& expected : kReplies) {
    for (std::size_t piece = 1; piece <= expected.wire.size(); ++piece) {
      ReplyParser parser(kBounds, false);
      EXPECT_FALSE(parser.has_begun());
      std::optional<Reply> reply;
      for (std::size_t at = 0; at < expected.wire.size(); at += piece) {
        parser.add(as_bytes(expected.wire.substr(at, piece)));
        EXPECT_TRUE(parser.has_begun());
        ASSERT_FALSE(reply) << "before its end: " << expected.wire;
        reply = parser.next();
      }
      ASSERT_TRUE(reply) << piece << ": " << parser.error().value_or("") << expected.wire;
      EXPECT_EQ(reply->status, expected.status);
      EXPECT_EQ(reply->body, expected.body);
      EXPECT_EQ(reply->keeps_alive, expected.keeps_alive);
    }
  }
}

TEST(ReplyParser, takes_a_body_without_a_length_to_the_end_and_no_other) {
  ReplyParser parser(kBounds, false);
  parser.add(as_bytes(std::string_view("HTTP/1.0 200 OK\r\n\r\nab")));
  EXPECT_FALSE(parser.next());
  parser.add(as_bytes(std::string_view("c")));
  EXPECT_FALSE(parser.next());
  parser.add_end();
  const auto reply = parser.next();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "abc");
  EXPECT_FALSE(reply->keeps_alive);

  for (const std::string_view cut :
       {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na"}) {
    ReplyParser cut_short(kBounds, false);
    cut_short.add(as_bytes(cut));
    cut_short.add_end();
    EXPECT_FALSE(cut_short.next()) << cut;
    EXPECT_TRUE(cut_short.error()) << cut;
  }
}

TEST(ReplyParser, knows_that_a_reply_to_head_has_no_body) {
  ReplyParser parser(kBounds, true);
  parser.add(as_bytes(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")));
  const auto reply = parser.next();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "");
}

TEST(ReplyParser, ends_at_an_upgrade_and_keeps_what_is_behind_it) {
  ReplyParser parser(kBounds, false);
  parser.add(
      as_bytes(std::string_view("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                                "Sec-WebSocket-Accept: x\r\n\r\nmore")));
  const auto reply = parser.next();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 101);
  EXPECT_EQ(find(reply->headers, "sec-websocket-accept"), "x");
  EXPECT_EQ(parser.take_rest(), "more");
}

TEST(ReplyParser, refuses_what_is_too_large_or_no_http) {
  const auto error_of = [](const std::string& wire) {
    ReplyParser parser(kBounds, false);
    parser.add(as_bytes(wire));
    EXPECT_FALSE(parser.next());
    return parser.error().value_or("");
  };
  EXPECT_NE(error_of("220 mail ESMTP\r\n"), "");
  EXPECT_NE(error_of("HTTP/1.1 200 OK\r\nX: " + std::string(kBounds.head_bytes, 'x')), "");
  EXPECT_THAT(error_of("HTTP/1.1 200 OK\r\nContent-Length: " +
                       std::to_string(kBounds.body_bytes + 1) + "\r\n\r\n"),
              HasSubstr("body limit"));
  EXPECT_THAT(error_of("HTTP/1.0 200 OK\r\n\r\n" + std::string(kBounds.body_bytes + 1, 'x')),
              HasSubstr("body limit"));
}

}  // namespace
}  // namespace culvert::http
