#include "app/own_addresses.h"

#include "base/rng.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace culvert::app {
namespace {

const IpAddress kLan = IpAddress::v4(0xC0000201);
const IpAddress kLan6 = *IpAddress::parse("2001:db8::1");
const IpAddress kVpn = IpAddress::v4(0x0A080001);
const IpAddress kHidden = IpAddress::v4(0xC0000301);
const IpAddress kSelf = IpAddress::loopback(Family::v4);

std::string told(const std::vector<path::Candidate>& candidates) {
  std::string text;
  for (const path::Candidate& candidate : candidates) text += candidate.remote.text() + " ";
  return text;
}

std::string at_any(Family family, const std::vector<LocalAddress>& interfaces) {
  return told(own_candidates({}, {IpAddress::any(family), 7}, interfaces));
}

TEST(OwnAddresses, of_a_wildcard_are_those_of_the_interfaces) {
  const LocalAddress self{.ip = kSelf};
  const LocalAddress lan{.ip = kLan};
  const LocalAddress lan6{.ip = kLan6};
  const LocalAddress vpn{.ip = kVpn, .use = AddressUse::inner};
  const LocalAddress hidden{.ip = kHidden, .use = AddressUse::never};
  EXPECT_EQ(at_any(Family::v6, {self, vpn, lan, lan6, hidden}), "192.0.2.1:7 [2001:db8::1]:7 ");
  EXPECT_EQ(at_any(Family::v4, {self, vpn, lan, lan6, hidden}), "192.0.2.1:7 ");
  EXPECT_EQ(at_any(Family::v6, {self, vpn, hidden}), "10.8.0.1:7 ") << "there is no other";
  EXPECT_EQ(at_any(Family::v6, {self, hidden}), "127.0.0.1:7 ");
  EXPECT_EQ(at_any(Family::v6, {{.ip = kSelf, .use = AddressUse::never}}), "");
}

TEST(OwnAddresses, begin_with_those_outside_and_have_no_doubles) {
  const std::vector<path::Candidate> own = own_candidates(
      {{kHidden, 99}, {kLan, 7}}, {IpAddress::any(Family::v4), 7}, {{.ip = kLan}, {.ip = kVpn}});
  EXPECT_EQ(told(own), "192.0.3.1:99 192.0.2.1:7 10.8.0.1:7 ");
  EXPECT_EQ(own.at(1).origin, path::Origin::given);
  EXPECT_EQ(own.at(2).origin, path::Origin::discovered);
  EXPECT_EQ(told(own_candidates({{kHidden, 99}}, {kVpn, 7}, {{.ip = kLan}})),
            "192.0.3.1:99 10.8.0.1:7 ")
      << "the socket is nowhere else";
}

struct Lines final : LogSink {
  void write(LogLevel, std::string_view, std::string_view line) override { all.emplace_back(line); }
  std::vector<std::string> all;
};

TEST(TicketPublisher, tells_the_new_ticket_when_the_addresses_have_changed) {
  SeededRng rng(1);
  const crypto::EndpointId id = crypto::SecretKey::generate(rng).public_key();
  Lines lines;
  Logger log(lines, LogLevel::info);
  TicketPublisher publisher(id, log);
  const std::vector<path::Candidate> before{{.remote = {kLan, 7}}};
  publisher.publish(before);
  EXPECT_EQ(publisher.ticket(), (Ticket{.id = id, .addresses = {{kLan, 7}}}));
  EXPECT_TRUE(lines.all.empty()) << "whoever starts the server prints the first one";
  const std::vector<path::Candidate> after{{.remote = {kLan6, 7}}};
  publisher.publish(after);
  EXPECT_EQ(publisher.ticket().addresses, (std::vector<SocketAddress>{{kLan6, 7}}));
  ASSERT_EQ(lines.all.size(), 1U);
  EXPECT_NE(lines.all[0].find(publisher.ticket().text()), std::string::npos);
}

}  // namespace
}  // namespace culvert::app
