#include "tunnel/embedded_v4.h"

#include "tunnel/allow_list.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::tunnel {
namespace {

std::vector<std::string> embedded_in(const char* text) {
  const auto found = embedded_v4(IpAddress::parse(text).value());
  std::vector<std::string> out;
  if (!found) return {"none"};
  for (const IpAddress& ip : found->addresses) out.push_back(ip.text());
  std::ranges::sort(out);
  return out;
}

TEST(EmbeddedV4, knows_every_form_of_the_specifications) {
  using Texts = std::vector<std::string>;
  const std::pair<const char*, Texts> cases[] = {
      {"192.0.2.33", {"none"}},
      {"::ffff:192.0.2.33", {"none"}},  // is IPv4 already
      {"2001:db8::c000:221", {"none"}},
      {"::", {"none"}},
      {"::1", {"none"}},
      {"fe80::c000:221%3", {"none"}},
      {"::192.0.2.33", {"192.0.2.33"}},
      {"::ffff:0:192.0.2.33", {"192.0.2.33"}},
      {"64:ff9b::192.0.2.33", {"192.0.2.33"}},
      {"64:ff9b::192.0.2.33%7", {"192.0.2.33"}},
      {"2002:c000:221::", {"192.0.2.33"}},
      {"2002:c000:221:1:2:3:4:5", {"192.0.2.33"}},
      {"2001:0:4136:e378:8000:63bf:3fff:fdde", {"192.0.2.33"}},  // RFC 4380's way
      // RFC 6052 2.4's layouts below 64:ff9b:1::/48: whatever it could mean.
      {"64:ff9b:1:c000:2:2100::", {"0.2.33.0", "192.0.2.33", "2.33.0.0"}},
      {"64:ff9b:1:c0:0:221::", {"0.2.33.0", "192.0.2.33"}},
      {"64:ff9b:1:0:c0:2:2100:0", {"192.0.2.33", "33.0.0.0"}},
      {"64:ff9b:1::192.0.2.33", {"192.0.2.33"}},
      {"64:ff9b:1::", {}},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(embedded_in(text), expected) << text;
}

TEST(EmbeddedV4, is_what_allow_lists_judge) {
  AllowList everything_v6;
  ASSERT_TRUE(everything_v6.add("::/0"));
  ASSERT_TRUE(everything_v6.add("198.51.100.0/24:443"));
  struct Case {
    const char* address;
    bool is_allowed;
  };
  for (const Case& c : {
           Case{"[2001:db8::1]:80", true},
           Case{"[::1]:80", true},
           Case{"[::ffff:127.0.0.1]:80", false},
           Case{"[::127.0.0.1]:80", false},
           Case{"[::ffff:0:127.0.0.1]:80", false},
           Case{"[64:ff9b::127.0.0.1]:80", false},
           Case{"[64:ff9b::127.0.0.1%1]:80", false},
           Case{"[64:ff9b:1::169.254.169.254]:80", false},
           Case{"[64:ff9b:1::]:80", false},
           Case{"[2002:7f00:1::]:80", false},
           Case{"[2002:a9fe:a9fe::1]:80", false},
           Case{"[64:ff9b::198.51.100.7]:443", true},
           Case{"[64:ff9b::198.51.100.7]:80", false},
           Case{"[2002:c633:6407::1]:443", true},
       }) {
    EXPECT_EQ(everything_v6.allows(SocketAddress::parse(c.address).value()), c.is_allowed)
        << c.address;
  }
  // Who names the form, or a part of it, means it.
  AllowList named;
  ASSERT_TRUE(named.add("64:ff9b::/96"));
  EXPECT_TRUE(named.allows(SocketAddress::parse("[64:ff9b::127.0.0.1]:80").value()));
  EXPECT_FALSE(named.allows(SocketAddress::parse("[2002:7f00:1::]:80").value()));
}

TEST(EmbeddedV4, scopes_make_no_other_address) {
  AllowList list;
  ASSERT_TRUE(list.add("[fe80::/10]:80"));
  EXPECT_TRUE(list.allows(SocketAddress::parse("[fe80::1%3]:80").value()));
  EXPECT_FALSE(list.allows(SocketAddress::parse("[::1%3]:80").value()));
  EXPECT_FALSE(list.allows(SocketAddress::parse("[::ffff:127.0.0.1%3]:80").value()));
  EXPECT_FALSE(list.allows(SocketAddress::parse("[fe80::1%3]:81").value()));
}

}  // namespace
}  // namespace culvert::tunnel
