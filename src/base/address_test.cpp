#include "base/address.h"

#include <gtest/gtest.h>

#include <unordered_set>

namespace culvert {
namespace {

IpAddress ip(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(IpAddress());
}

TEST(IpAddress, prints_what_rfc_5952_wants) {
  const std::pair<const char*, const char*> cases[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2: one group stays
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // 4.2.3: the longest run
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // 4.2.3: the first of equals
      {"fe80::1%3", "fe80::1%3"},
      {"[2001:db8::2]", "2001:db8::2"},
      {"::ffff:192.0.2.9", "192.0.2.9"},  // mapped
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
  };
  for (const auto& [text, canonical] : cases) {
    EXPECT_EQ(ip(text).text(), canonical);
    EXPECT_EQ(ip(canonical), ip(text));
  }
}

TEST(IpAddress, refuses_what_is_no_address) {
  for (const char* text : {"",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "1.2.3.-4",
                           "01.2.3.4",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "1.2.3.4x",
                           ":",
                           ":::",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1::2::3",
                           "12345::",
                           "g::",
                           "::1.2.3",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "fe80::1%eth0",
                           "fe80::1%",
                           "[1.2.3.4]",
                           "[::1",
                           "::1]",
                           "1::2:",
                           "1.2.3.4%1",
                           "localhost"}) {
    const auto parsed = IpAddress::parse(text);
    EXPECT_FALSE(parsed) << text;
    if (!parsed) {
      EXPECT_EQ(parsed.error().kind, ErrorKind::configuration);
    }
  }
}

TEST(IpAddress, knows_its_class) {
  EXPECT_TRUE(ip("127.200.0.1").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  EXPECT_TRUE(ip("0.0.0.0").is_unspecified());
  EXPECT_TRUE(ip("::").is_unspecified());
  EXPECT_TRUE(ip("224.0.0.251").is_multicast());
  EXPECT_TRUE(ip("ff02::1").is_multicast());
  EXPECT_TRUE(ip("169.254.1.1").is_link_local());
  EXPECT_TRUE(ip("fe80::1").is_link_local());
  EXPECT_FALSE(ip("fec0::1").is_link_local());
  EXPECT_EQ(ip("::1").bytes().size(), 16U);
  EXPECT_EQ(ip("1.2.3.4").bytes().size(), 4U);
}

TEST(IpAddress, knows_the_network_that_strangers_are_counted_by) {
  EXPECT_EQ(ip("192.0.2.1").source_network(), ip("192.0.2.1"));
  EXPECT_EQ(ip("::ffff:192.0.2.1").source_network(), ip("192.0.2.1"));
  EXPECT_EQ(ip("2001:db8:0:1:2:3:4:5").source_network(), ip("2001:db8:0:1::"));
  EXPECT_NE(ip("2001:db8:0:2::1").source_network(), ip("2001:db8:0:1::"));
  EXPECT_EQ(ip("fe80::1%3").source_network(), ip("fe80::1%3"));
}

TEST(SocketAddress, reads_and_prints_both_families) {
  EXPECT_EQ(SocketAddress::parse("192.0.2.1:80")->text(), "192.0.2.1:80");
  EXPECT_EQ(SocketAddress::parse("[2001:db8::1]:443")->text(), "[2001:db8::1]:443");
  EXPECT_EQ(SocketAddress::parse("[::]:0")->port, 0);
  for (const char* text : {"192.0.2.1", "2001:db8::1:443", "[::1]", "[::1]443", "1.2.3.4:65536",
                           "1.2.3.4:", "1.2.3.4:-1", "name:80", ":80", "1.2.3.4:080"}) {
    EXPECT_FALSE(SocketAddress::parse(text)) << text;
  }
}

TEST(HostPort, keeps_names_and_finds_literals) {
  EXPECT_EQ(HostPort::parse("db.internal:5432"), (HostPort{"db.internal", 5432}));
  EXPECT_EQ(HostPort::parse("[::1]:53")->host, "::1");
  EXPECT_EQ(HostPort::parse("[::1]:53")->text(), "[::1]:53");
  EXPECT_EQ(HostPort::parse("192.0.2.1:1")->literal(), SocketAddress::parse("192.0.2.1:1").value());
  EXPECT_FALSE(HostPort::parse("name:1")->literal());
  for (const char* text : {"", ":", "name", "name:", ":1", "name:x", "name:65536", "[]:1"}) {
    EXPECT_FALSE(HostPort::parse(text)) << text;
  }
  EXPECT_NE(HostPort::parse("name").error().what.find("a port is missing"), std::string::npos);
  // Whoever writes a port alone has not forgotten the port.
  EXPECT_NE(
      HostPort::parse("4433").error().what.find("a host is missing before the port (host:4433)"),
      std::string::npos);
}

TEST(Cidr, contains_exactly_its_addresses) {
  const auto contains = [](const char* network, const char* address) {
    return Cidr::parse(network).value().contains(ip(address));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("192.168.4.0/22", "192.168.7.255"));
  EXPECT_FALSE(contains("192.168.4.0/22", "192.168.8.0"));
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.9"));
  EXPECT_FALSE(contains("0.0.0.0/0", "2001:db8::1"));
  EXPECT_FALSE(contains("::/0", "203.0.113.9"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(contains("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(contains("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(contains("::1", "::1"));
  // The mapped form is the IPv4 address, so it cannot slip past an IPv4 list.
  EXPECT_TRUE(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
}

TEST(Cidr, refuses_host_bits_and_bad_lengths_and_says_the_fix) {
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1",
                           "10.0.0.0/08", "10.0.0.0/8/8", "x/8"}) {
    EXPECT_FALSE(Cidr::parse(text)) << text;
  }
  const auto host_bits = Cidr::parse("10.1.2.3/8");
  ASSERT_FALSE(host_bits);
  EXPECT_NE(host_bits.error().text().find("10.0.0.0/8"), std::string::npos);
  EXPECT_EQ(Cidr::parse("10.0.0.0/8")->text(), "10.0.0.0/8");
}

TEST(SocketAddress, hashes_apart) {
  std::unordered_set<std::size_t> hashes;
  for (std::uint16_t port = 1; port <= 1000; ++port) {
    hashes.insert(std::hash<SocketAddress>{}({ip("192.0.2.1"), port}));
  }
  EXPECT_EQ(hashes.size(), 1000U);
}

}  // namespace
}  // namespace culvert
