#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culvert::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HumanBytes, uses_the_unit_that_reads_best) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(1'572'864), "1.5 MiB");
  EXPECT_EQ(human_bytes(250ULL << 20), "250 MiB");
  EXPECT_EQ(human_bytes((1ULL << 30) - 1), "1.0 GiB");  // never 1024 MiB
  EXPECT_EQ(human_bytes(~0ULL), "16384 PiB");
}

TEST(HumanTime, uses_the_units_that_read_best) {
  EXPECT_EQ(human_time(0), "0 s");
  EXPECT_EQ(human_time(0.00085), "850 us");
  EXPECT_EQ(human_time(0.0123), "12.3 ms");
  EXPECT_EQ(human_time(5.9), "5 s");
  EXPECT_EQ(human_time(200), "3 min 20 s");
  EXPECT_EQ(human_time(7'500), "2 h 5 min");
  EXPECT_EQ(human_time(4 * 86'400 + 3 * 3'600), "4 d 3 h");
}

TEST(Aligned, makes_columns_of_characters_not_bytes) {
  EXPECT_EQ(
      aligned({{"A", "N", "Z"}, {"\xc3\xa4\xc3\xb6", "10", "end"}, {"x", "5", ""}}, {1}, "  "),
      "  A    N  Z\n  \xc3\xa4\xc3\xb6  10  end\n  x    5  \n");
}

StatusBodies client() {
  return {
      .name = "client-7",
      .status = R"({"role":"client","version":"1.0","state":"connected","uptime_seconds":65,
            "endpoint_id":"ee","listening":["[::]:5"],"server":{"endpoint_id":"ss","address":"1.2.3.4:5"},
            "counters":{"flows_active":2,"flows_opened":9,"flows_refused":1,"bytes_up":2048}})",
      .paths =
          R"({"paths":[{"local":"a","remote":"b","state":"active","rtt_seconds":0.02,"packets_sent":200,
            "packets_lost":3,"congestion_window_bytes":1024,"mtu_bytes":1452}]})",
      .sessions = R"({"sessions":[]})",
      .tunnels = R"({"tunnels":[{"name":"db","source":"tcp://h:1","target":"127.0.0.1:2",
            "state":"failed","reason":"port in use","listening":[],"flows_active":0}]})"};
}

TEST(StatusText, shows_a_client_with_its_tunnels_and_path) {
  const std::string text = status_text(client(), {});
  EXPECT_THAT(text, HasSubstr("client-7  connected  culvert 1.0  up 1 min 5 s\n"));
  EXPECT_THAT(text, HasSubstr("Server      ss 1.2.3.4:5\n"));
  EXPECT_THAT(text, HasSubstr("2 now, 9 opened, 1 refused"));
  EXPECT_THAT(text, HasSubstr("2.0 KiB up"));
  EXPECT_THAT(text, HasSubstr("db    127.0.0.1:2  tcp://h:1"));
  EXPECT_THAT(text, HasSubstr("failed: port in use\n"));
  EXPECT_THAT(text, HasSubstr("a -> b  active  20.0 ms"));
  EXPECT_THAT(text, HasSubstr("1.50 %"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(status_text(client(), {.has_colour = true}), HasSubstr("\x1b[31mfailed"));
}

TEST(StatusText, shows_the_proxy_port_of_each_server) {
  StatusBodies bodies = client();
  bodies.status = R"({"role":"client","servers":[{"name":"","proxy":
    {"target":"localhost:1080","state":"listening","reason":"cannot listen on [::1]:1080: no",
     "listening":["127.0.0.1:1080"]}}]})";
  EXPECT_THAT(status_text(bodies, {}),
              HasSubstr("Proxy       127.0.0.1:1080 listening: cannot listen on [::1]:1080: no\n"));
  bodies.status = R"({"role":"client","servers":[{"name":"home","proxy":
    {"target":"localhost:1080","state":"waiting","reason":"","listening":[]}},{"name":"work"}]})";
  EXPECT_THAT(status_text(bodies, {}), HasSubstr("Proxy       home: localhost:1080 waiting\n"));
}

TEST(StatusText, shows_several_servers_of_a_client) {
  StatusBodies bodies = client();
  bodies.status = R"({"role":"client","state":"partly connected","servers":[
    {"name":"home","state":"connected","endpoint_id":"0123456789abcdef","address":"1.2.3.4:5"},
    {"name":"work","state":"failed","reason":"no answer","endpoint_id":"ff","address":"",
     "retry_in_seconds":7}]})";
  bodies.tunnels = R"({"tunnels":[{"name":"db","server":"home","source":"tcp://h:1",
    "target":"127.0.0.1:2","state":"listening"}]})";
  const std::string text = status_text(bodies, {});
  EXPECT_THAT(text, HasSubstr("home    0123456789  1.2.3.4:5  connected\n"));
  EXPECT_THAT(text, HasSubstr("work    ff          -          failed: no answer; again in 7 s\n"));
  EXPECT_THAT(text, HasSubstr("home    db"));
  EXPECT_THAT(text, Not(HasSubstr("Server  ")));
}

TEST(StatusText, shows_a_servers_clients) {
  const StatusBodies bodies{
      .name = "server-8",
      .status = R"({"role":"server","state":"serving","counters":{"sessions_active":1,
        "sessions_accepted":3,"sessions_refused":2}})",
      .sessions = R"({"sessions":[{"id":12,"client":"0123456789abcdef","comment":"laptop",
        "address":"5.6.7.8:9","age_seconds":3,"flows":4}]})"};
  const std::string text = status_text(bodies, {});
  EXPECT_THAT(text, HasSubstr("1 now, 3 let in, 2 refused"));
  EXPECT_THAT(text, HasSubstr("12  0123456789  laptop   5.6.7.8:9  3 s"));
}

TEST(StatusText, shows_how_the_audit_log_is) {
  StatusBodies bodies{.name = "server-8",
                      .status = R"({"role":"server","state":"serving","audit":{"lines_written":7,
        "lines_lost":2,"refusals_suppressed":5,"bytes_waiting":0,"failure":""}})"};
  EXPECT_THAT(status_text(bodies, {}), HasSubstr("7 lines, 2 lost, 5 refusals left out\n"));
  bodies.status = R"({"role":"server","audit":{"failure":"cannot write: full"}})";
  EXPECT_THAT(status_text(bodies, {}), HasSubstr("left out; now: cannot write: full\n"));
}

TEST(StatusText, lets_no_escape_sequence_through) {
  StatusBodies bodies = client();
  bodies.tunnels = "{\"tunnels\":[{\"name\":\"\\u001b[2Jevil\\n\",\"state\":\"listening\"}]}";
  EXPECT_THAT(status_text(bodies, {}), Not(HasSubstr("\x1b")));
}

TEST(StatusText, survives_answers_it_does_not_understand) {
  for (const char* body : {"", "[]", "{", "{\"tunnels\":5,\"paths\":[1],\"counters\":[]}"}) {
    const StatusBodies bodies{
        .name = "x", .status = body, .paths = body, .sessions = body, .tunnels = body};
    EXPECT_FALSE(status_text(bodies, {}).empty()) << body;
    EXPECT_FALSE(tunnels_text(body, {}).empty()) << body;
  }
}

TEST(StatusText, shows_rates_since_an_earlier_answer) {
  const StatusBodies before = client();
  StatusBodies now = client();
  now.status = R"({"role":"client","version":"1.0","state":"connected","uptime_seconds":67,
      "counters":{"bytes_up":6144,"bytes_down":0}})";
  now.paths = R"({"paths":[{"local":"a","remote":"b","state":"active","bytes_sent":4096},
      {"local":"c","remote":"d","state":"standby","bytes_sent":4096}]})";
  now.tunnels = R"({"tunnels":[{"name":"db","source":"tcp://h:1","target":"127.0.0.1:2",
      "state":"listening","bytes_up":1048576}]})";
  const std::string text = status_text(now, {}, &before);
  EXPECT_THAT(text, HasSubstr("Now         2.0 KiB/s up, 0 B/s down\n"));
  EXPECT_THAT(text, HasSubstr("512 KiB/s"));  // of the tunnel
  EXPECT_THAT(text, HasSubstr("2.0 KiB/s"));  // of the path
  EXPECT_THAT(status_text(now, {}), Not(HasSubstr("/s")));
  // Another process by the same name, or one that was asked in the same moment.
  EXPECT_THAT(status_text(before, {}, &now), Not(HasSubstr("/s")));
  EXPECT_THAT(status_text(now, {}, &now), Not(HasSubstr("/s")));
  for (const char* body : {"", "[]", "{\"tunnels\":5,\"paths\":[1],\"counters\":[]}"}) {
    const StatusBodies odd{
        .name = "x", .status = body, .paths = body, .sessions = body, .tunnels = body};
    EXPECT_FALSE(status_text(now, {}, &odd).empty());
    EXPECT_FALSE(status_text(odd, {}, &now).empty());
  }
}

TEST(TunnelsText, says_when_there_are_none) {
  EXPECT_EQ(tunnels_text("{\"tunnels\":[]}", {}), "  no tunnels\n");
}

}  // namespace
}  // namespace culvert::cli
