#include "http/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culvert::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

TEST(ResponseToWire, says_how_long_the_body_is_and_whether_more_may_follow) {
  const Response response{.status = 405, .body = "{}", .allow = "GET, POST"};
  const std::string kept = to_wire(response, true);
  EXPECT_THAT(kept, HasSubstr("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(kept, HasSubstr("Allow: GET, POST\r\n"));
  EXPECT_THAT(kept, HasSubstr("Content-Length: 2\r\n"));
  EXPECT_THAT(kept, Not(HasSubstr("Connection: close")));
  EXPECT_TRUE(kept.ends_with("\r\n\r\n{}"));
  EXPECT_THAT(to_wire(response, false), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(to_wire(Response{.status = 204}, true), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(to_wire(Response{.is_event_stream = true}, true), Not(HasSubstr("Content-Length")));
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

TEST(CallToWire, says_what_it_was_given_and_how_long_the_body_is) {
  const Call get{.target = "/relay?x=1", .headers = {{"Accept", "text/plain"}}};
  EXPECT_EQ(to_wire(get, "relay.example.", true),
            "GET /relay?x=1 HTTP/1.1\r\nHost: relay.example.\r\nAccept: text/plain\r\n\r\n");
  const Call put{.method = "PUT", .target = "/", .body = "abc"};
  EXPECT_EQ(to_wire(put, "a", false),
            "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(to_wire(Call{.method = "POST"}, "a", true),
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
}

// What comes from elsewhere (a token, a URL) must not become lines of its own.
TEST(CallToWire, writes_nothing_that_would_be_read_as_something_else) {
  EXPECT_FALSE(to_wire(Call{.target = "/ HTTP/1.1\r\nX: y"}, "a", true));
  EXPECT_FALSE(to_wire(Call{.target = ""}, "a", true));
  EXPECT_FALSE(to_wire(Call{.method = "GET /"}, "a", true));
  EXPECT_FALSE(to_wire(Call{}, "a\r\nX: y", true));
  EXPECT_FALSE(to_wire(Call{}, "", true));
  EXPECT_FALSE(to_wire(Call{.headers = {{"X", "y\r\nZ: w"}}}, "a", true));
  EXPECT_FALSE(to_wire(Call{.headers = {{"X:", "y"}}}, "a", true));
  EXPECT_FALSE(to_wire(Call{.headers = {{"X", std::string("y\0", 2)}}}, "a", true));
}

TEST(Find, takes_the_first_in_any_case) {
  const std::vector<Header> headers{{"A", "1"}, {"Content-Type", "2"}, {"content-type", "3"}};
  EXPECT_EQ(find(headers, "CONTENT-TYPE"), "2");
  EXPECT_EQ(find(headers, "B"), std::nullopt);
}

}  // namespace
}  // namespace culvert::http
