#include "net/name_services.h"

#include <gtest/gtest.h>

namespace culvert::net {
namespace {

TEST(NameServices, are_those_of_the_line_hosts) {
  struct Case {
    const char* text;
    bool has_multicast;
    bool has_others;
  };
  const Case cases[] = {
      {"", false, false},
      {"hosts: files dns\n", false, false},
      {"passwd: files sss\nhosts:files dns\n", false, false},  // no such database: "hosts:files"
      {"passwd: files sss\nhosts:\tfiles\tdns\r\nservices: db\n", false, false},
      {"hosts: files mdns4_minimal [NOTFOUND=return] dns\n", true, false},
      {"hosts: files [ NOTFOUND = continue ] mdns dns", true, false},
      {"  hosts:  files dns[!UNAVAIL=return]myhostname # sss\n", false, true},
      {"hosts: files dns # libvirt\n#hosts: sss\n", false, false},
      {"hosts: mymachines resolve [!UNAVAIL=return] files mdns4 dns\n", true, true},
      {"hosts: files [NOTFOUND=return", false, false},
      {"hosts: files [", false, false},
      {"hosts:", false, false},
  };
  for (const Case& one : cases) {
    const NameServices found = parse_name_services(one.text);
    EXPECT_EQ(found.has_multicast, one.has_multicast) << one.text;
    EXPECT_EQ(found.has_others, one.has_others) << one.text;
  }
}

TEST(NameServices, know_names_in_local_or_any) {
  for (const char* name : {"nas.local", "NAS.Local.", "a.b.local"}) {
    EXPECT_TRUE(is_multicast_name(name)) << name;
  }
  for (const char* name : {"", ".", "local", ".local", "nas.local.example", "naslocal"}) {
    EXPECT_FALSE(is_multicast_name(name)) << name;
  }
  const NameServices multicast{.has_multicast = true};
  EXPECT_TRUE(multicast.may_know("nas.local"));
  EXPECT_FALSE(multicast.may_know("nas"));
  const NameServices others{.has_others = true};
  EXPECT_TRUE(others.may_know("nas"));
  EXPECT_FALSE(NameServices{}.may_know("nas.local"));
}

// What only glibc takes for a name: neither a file nor a server has it.
TEST(AskGlibc, knows_what_this_machine_knows) {
  const auto found = ask_glibc("127.1");
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(*found, std::vector{*IpAddress::parse("127.0.0.1")});
  const auto none = ask_glibc(std::string(300, 'x'));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::unreachable);
  EXPECT_NE(none.error().what.find("cannot resolve"), std::string::npos);
}

}  // namespace
}  // namespace culvert::net
