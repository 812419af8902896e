#include "tunnel/allow_list.h"

#include "base/limits.h"

#include <gtest/gtest.h>

namespace culvert::tunnel {
namespace {

IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}
SocketAddress at(const char* text) {
  return SocketAddress::parse(text).value();
}
AllowList list_of(std::initializer_list<const char*> entries) {
  AllowList list;
  for (const char* entry : entries) EXPECT_TRUE(list.add(entry)) << entry;
  return list;
}

TEST(AllowList, denies_everything_when_empty) {
  EXPECT_FALSE(AllowList().allows(at("127.0.0.1:80")));
  EXPECT_FALSE(UnixAllowList().allows("/run/x.sock"));
}

TEST(AllowList, allows_networks_and_ports) {
  struct Case {
    const char* entry;
    const char* address;
    bool is_allowed;
  };
  const Case cases[] = {
      {"10.0.0.0/8", "10.9.8.7:1", true},
      {"10.0.0.0/8", "11.0.0.1:1", false},
      {"10.0.0.0/8:5432", "10.1.1.1:5432", true},
      {"10.0.0.0/8:5432", "10.1.1.1:5433", false},
      {"10.0.0.0/8:5432,8000-8999", "10.1.1.1:8000", true},
      {"10.0.0.0/8:5432,8000-8999", "10.1.1.1:8999", true},
      {"10.0.0.0/8:5432,8000-8999", "10.1.1.1:9000", false},
      {"10.0.0.0/8:5432,8000-8999", "11.1.1.1:8000", false},
      {"127.0.0.1:22", "127.0.0.1:22", true},
      {"127.0.0.1:22", "127.0.0.2:22", false},
      {"2001:db8::/32", "[2001:db8::5]:443", true},
      {"[2001:db8::/32]:443", "[2001:db8::5]:443", true},
      {"[2001:db8::/32]:443", "[2001:db8::5]:80", false},
      {"[::1]:80", "[::1]:80", true},
      {"::1", "[::1]:80", true},
      {"0.0.0.0/0", "[2001:db8::5]:443", false},
      {"0.0.0.0/0:1-65535", "203.0.113.1:65535", true},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(list_of({c.entry}).allows(at(c.address)), c.is_allowed)
        << c.entry << " " << c.address;
  }
  const AllowList two = list_of({"10.0.0.0/8:22", "10.1.0.0/16"});
  EXPECT_TRUE(two.allows(at("10.1.0.1:80")));
  EXPECT_FALSE(two.allows(at("10.2.0.1:80")));
  EXPECT_EQ(two.text(), "[10.0.0.0/8:22, 10.1.0.0/16]");
}

TEST(AllowList, names_the_bad_entry) {
  AllowList list;
  for (const char* entry : {"", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:", "10.0.0.0/8:0",
                            "10.0.0.0/8:65536", "10.0.0.0/8:9-8", "10.0.0.0/8:1,,2",
                            "10.0.0.0/8:1-", "[::1", "[::1]80", "host:80", "10.0.0.0/8:80x", "*"}) {
    const Status added = list.add(entry);
    ASSERT_FALSE(added) << entry;
    EXPECT_EQ(added.error().kind, ErrorKind::configuration);
    EXPECT_EQ(added.error().offender, entry);
  }
  EXPECT_TRUE(list.is_empty());
}

TEST(AllowList, has_a_bound) {
  AllowList list;
  for (std::size_t i = 0; i < AllowList::kMaxEntries; ++i) ASSERT_TRUE(list.add("127.0.0.1"));
  EXPECT_FALSE(list.add("127.0.0.1"));
}

TEST(UnixAllowList, allows_paths_and_directories_and_no_tricks) {
  UnixAllowList list;
  ASSERT_TRUE(list.add("unix:/run/docker.sock"));
  ASSERT_TRUE(list.add("unix:/run/app/*"));
  EXPECT_TRUE(list.allows("/run/docker.sock"));
  EXPECT_FALSE(list.allows("/run/docker.sock2"));
  EXPECT_TRUE(list.allows("/run/app/a.sock"));
  EXPECT_TRUE(list.allows("/run/app/deep/a.sock"));
  EXPECT_FALSE(list.allows("/run/app/"));
  EXPECT_FALSE(list.allows("/run/apple"));
  EXPECT_FALSE(list.allows("/run/app/../docker2.sock"));
  EXPECT_FALSE(list.allows("/run/app/.."));
  EXPECT_FALSE(list.allows("/run/app//../docker2.sock"));
  EXPECT_FALSE(list.allows("/run/app/./../docker2.sock"));
  EXPECT_EQ(list.directory_for("/run/docker.sock"), "");
  EXPECT_EQ(list.directory_for("/run/app/deep/a.sock"), "/run/app/");
  for (const char* bad : {"", "/run/x", "unix:x", "unix:/a*", "unix:/a/*/b", "unix:*"}) {
    EXPECT_FALSE(list.add(bad)) << bad;
  }
}

TEST(AllowedAddresses, keeps_what_is_allowed_and_interleaves_families) {
  SourcePolicy policy;
  ASSERT_TRUE(policy.tcp.add("192.0.2.0/24"));
  ASSERT_TRUE(policy.tcp.add("2001:db8::/32"));
  const Source source = Source::parse("tcp://db.example:5432").value();
  const auto addresses = allowed_addresses(
      policy, source, {ip("192.0.2.1"), ip("10.0.0.1"), ip("192.0.2.2"), ip("2001:db8::1")});
  ASSERT_TRUE(addresses);
  EXPECT_EQ(*addresses, (std::vector<SocketAddress>{at("[2001:db8::1]:5432"), at("192.0.2.1:5432"),
                                                    at("192.0.2.2:5432")}));
}

TEST(AllowedAddresses, explains_a_refusal) {
  SourcePolicy policy;
  ASSERT_TRUE(policy.tcp.add("10.0.0.0/8"));
  const auto refused = allowed_addresses(policy, Source::parse("udp://db.example:53").value(),
                                         {ip("10.0.0.1")});  // TCP only
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::refused);
  const auto other =
      allowed_addresses(policy, Source::parse("tcp://db.example:53").value(), {ip("192.0.2.1")});
  for (const char* part : {"tcp://db.example:53", "192.0.2.1", "[10.0.0.0/8]"}) {
    EXPECT_NE(other.error().text().find(part), std::string::npos) << other.error().text();
  }
}

TEST(AllowedAddresses, looks_at_a_bounded_number) {
  SourcePolicy policy;
  ASSERT_TRUE(policy.tcp.add("0.0.0.0/0"));
  const std::vector<IpAddress> many(1000, ip("192.0.2.1"));
  EXPECT_EQ(allowed_addresses(policy, Source::parse("tcp://many:1").value(), many)->size(),
            limits::kMaxResolvedAddresses);
}

}  // namespace
}  // namespace culvert::tunnel
