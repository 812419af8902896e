#include "tunnel/source.h"

#include <gtest/gtest.h>

namespace culvert::tunnel {
namespace {

TEST(Source, reads_every_kind) {
  const auto tcp = Source::parse("tcp://db.internal:5432");
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->protocol, Protocol::tcp);
  EXPECT_EQ(tcp->host_port, (HostPort{"db.internal", 5432}));
  EXPECT_EQ(Source::parse("udp://[::1]:53")->host_port.literal(),
            SocketAddress::parse("[::1]:53").value());
  EXPECT_EQ(Source::parse("unix:///run/docker.sock")->path, "/run/docker.sock");
  EXPECT_EQ(Source::parse("tcp://h:1/")->text(), "tcp://h:1");
  for (const char* text : {"tcp://db.internal:5432", "udp://[::1]:53", "unix:///run/a.sock",
                           "tcp://192.0.2.1:1", "tcp://my_host:65535", "tcp://host.:1"}) {
    const auto source = Source::parse(text);
    ASSERT_TRUE(source) << text;
    EXPECT_EQ(source->text(), text);
  }
}

TEST(Source, names_what_it_cannot_read) {
  for (const std::string& text :
       {std::string(), std::string("127.0.0.1:22"), std::string("http://h:80"),
        std::string("tcp://"), std::string("tcp://h"), std::string("tcp://h:0"),
        std::string("tcp://h:65536"), std::string("tcp://:22"), std::string("tcp://a..b:1"),
        std::string("tcp://a b:1"), std::string("tcp://h:22/path"), std::string("tcp://u@h:22"),
        std::string("unix://relative"), std::string("unix:///"), "unix:///" + std::string(200, 'x'),
        "tcp://" + std::string(64, 'x') + ":1", std::string("tcp://h\x01:1")}) {
    const auto source = Source::parse(text);
    ASSERT_FALSE(source) << text;
    EXPECT_EQ(source.error().kind, ErrorKind::configuration);
    EXPECT_EQ(source.error().offender.find('\x01'), std::string::npos);
  }
}

TEST(Target, reads_every_kind) {
  EXPECT_EQ(Target::parse("127.0.0.1:5432")->address,
            SocketAddress::parse("127.0.0.1:5432").value());
  EXPECT_EQ(Target::parse("localhost:80")->kind, Target::Kind::all_loopback);
  EXPECT_TRUE(Target::parse("*:80")->address.ip.is_unspecified());
  EXPECT_EQ(Target::parse("unix:/tmp/x")->path, "/tmp/x");
  EXPECT_EQ(Target::parse("unix:///tmp/x")->path, "/tmp/x");
  EXPECT_EQ(Target::parse("udp://127.0.0.1:53")->protocol, Protocol::udp);
  EXPECT_EQ(Target::parse("127.0.0.1:0")->address.port, 0);
  for (const char* text :
       {"", "80", ":80", "example.com:80", "127.0.0.1", "127.0.0.1:x", "unix:x"}) {
    EXPECT_FALSE(Target::parse(text)) << text;
  }
}

TEST(TunnelSpec, checks_that_source_and_target_go_together) {
  const Source udp = Source::parse("udp://h:53").value();
  const Source tcp = Source::parse("tcp://h:53").value();
  EXPECT_TRUE(TunnelSpec::make("", udp, Target::parse("localhost:53").value()));
  EXPECT_FALSE(TunnelSpec::make("", udp, Target::parse("unix:/tmp/x").value()));
  EXPECT_FALSE(TunnelSpec::make("", tcp, Target::parse("udp://127.0.0.1:1").value()));
  EXPECT_TRUE(TunnelSpec::make("", tcp, Target::parse("unix:/tmp/x").value()));
}

}  // namespace
}  // namespace culvert::tunnel
