#include "tunnel/source.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

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
  EXPECT_EQ(Source::parse("unix:/run/docker.sock")->text(), "unix:///run/docker.sock");
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
       {"", ":80", "example.com:80", "127.0.0.1", "127.0.0.1:x", "unix:x", "65536", "-", "80-"}) {
    EXPECT_FALSE(Target::parse(text)) << text;
  }
}

TEST(Target, is_the_same_path_however_many_slashes_it_begins_with) {
  for (const char* text : {"unix:/r/s", "unix:///r/s", "unix:////r/s", "unix://///r/s"}) {
    const auto target = Target::parse(text);
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(target->path, "/r/s") << text;
    EXPECT_EQ(Target::parse(target->text()), *target) << text;
  }
  EXPECT_FALSE(Target::parse("unix:////"));
}

TEST(Target, means_loopback_by_a_port_alone) {
  for (const auto& [text, canonical] :
       {std::pair("2222", "localhost:2222"), std::pair("8000-8009", "localhost:8000-8009"),
        std::pair("tcp://2222", "localhost:2222")}) {
    const auto target = Target::parse(text);
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(target->kind, Target::Kind::all_loopback) << text;
    EXPECT_EQ(target->text(), canonical);
    for (const SocketAddress& address : target->addresses()) {
      EXPECT_TRUE(address.ip.is_loopback()) << address.text();
    }
  }
}

TEST(Target, means_both_families_by_every_address) {
  const std::vector<SocketAddress> both{{IpAddress::any(Family::v6), 80},
                                        {IpAddress::any(Family::v4), 80}};
  EXPECT_EQ(Target::parse("*:80")->addresses(), both);
  EXPECT_EQ(Target::parse("[::]:80")->addresses(), both);
  EXPECT_EQ(Target::parse("0.0.0.0:80")->addresses(), std::vector{both[1]}) << "was asked for";
  EXPECT_EQ(Target::parse("localhost:80")->addresses().size(), 2U);
  EXPECT_TRUE(Target::parse("unix:/tmp/x")->addresses().empty());
}

TEST(Target, of_one_service_is_one_port) {
  EXPECT_EQ(Target::parse_one_port("localhost:1080")->kind, Target::Kind::all_loopback);
  EXPECT_EQ(Target::parse_one_port("1080")->address.port, 1080);
  EXPECT_EQ(Target::parse_one_port("*:1080")->addresses().size(), 2U);
  for (const char* text : {"unix:/tmp/x", "1080-1081", "udp://127.0.0.1:1080", "example.com:1"}) {
    const auto target = Target::parse_one_port(text);
    ASSERT_FALSE(target) << text;
    EXPECT_EQ(target.error().offender, text);
  }
}

TEST(Ranges, are_read_and_written_on_both_sides) {
  const auto source = Source::parse_range("udp://db.internal:8000-8009");
  ASSERT_TRUE(source);
  EXPECT_EQ(source->host_port, (HostPort{"db.internal", 8000}));
  EXPECT_EQ(source->port_count, 10);
  EXPECT_EQ(source->text(), "udp://db.internal:8000-8009");
  EXPECT_EQ(source->at(9), Source::parse("udp://db.internal:8009").value());
  EXPECT_EQ(Source::parse_range("tcp://[::1]:80-81")->text(), "tcp://[::1]:80-81");
  EXPECT_EQ(Source::parse_range("tcp://h:80-80").value(), Source::parse("tcp://h:80").value());
  EXPECT_EQ(Target::parse("[::1]:8000-8009")->text(), "[::1]:8000-8009");
  EXPECT_EQ(Target::parse("*:8000-8009")->port_count, 10);
}

TEST(Ranges, are_refused_where_one_port_is_meant) {
  const auto source = Source::parse("tcp://h:80-81");
  ASSERT_FALSE(source) << "what a peer asks for";
  EXPECT_EQ(source.error().offender, "tcp://h:80-81");
}

TEST(Ranges, that_are_none_are_named) {
  for (const char* range :
       {"9-8", "0-5", "1-65536", "1-", "-2", "1-2-3", "1--2", "1-02", "1-x", "1- 2", "1-20000"}) {
    for (const bool is_source : {true, false}) {
      const std::string text = (is_source ? "tcp://h:" : "127.0.0.1:") + std::string(range);
      const auto source = Source::parse_range(text);
      const auto target = Target::parse(text);
      ASSERT_FALSE(is_source ? source.has_value() : target.has_value()) << text;
      const Error& error = is_source ? source.error() : target.error();
      EXPECT_EQ(error.kind, ErrorKind::configuration);
      EXPECT_EQ(error.offender, text);
    }
  }
}

TEST(Ranges, have_as_many_ports_on_both_sides) {
  const Source source = Source::parse_range("tcp://h:8000-8009").value();
  EXPECT_TRUE(TunnelSpec::make("", source, Target::parse("9000-9009").value()));
  for (const char* target : {"9000-9008", "9000", "0", "unix:/tmp/x"}) {
    const auto made = TunnelSpec::make("", source, Target::parse(target).value());
    ASSERT_FALSE(made) << target;
    EXPECT_NE(made.error().what.find("tcp://h:8000-8009"), std::string::npos);
  }
  EXPECT_FALSE(
      TunnelSpec::make("", Source::parse("tcp://h:1").value(), Target::parse("9000-9001").value()));
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
