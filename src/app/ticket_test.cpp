#include "app/ticket.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "base/rng.h"

#include <gtest/gtest.h>

namespace culvert::app {
namespace {

crypto::EndpointId some_id() {
  SeededRng rng(7);
  return crypto::SecretKey::generate(rng).public_key();
}

Ticket some_ticket() {
  return {some_id(),
          {*SocketAddress::parse("192.0.2.1:4433"), *SocketAddress::parse("[2001:db8::5]:443")}};
}

// A ticket text around arbitrary bytes, with a right checksum.
std::string seal(Bytes body) {
  ByteWriter(body).u16(crc16_ccitt_false(body));
  return "culvert" + base32_encode(body);
}

Bytes body_of(const Ticket& ticket) {
  Bytes bytes = *base32_decode(std::string_view(ticket.text()).substr(7));
  bytes.resize(bytes.size() - 2);
  return bytes;
}

TEST(Ticket, survives_a_round_trip_in_either_case) {
  const Ticket ticket = some_ticket();
  std::string text = ticket.text();
  EXPECT_TRUE(text.starts_with("culvert"));
  EXPECT_EQ(Ticket::parse(text), ticket);
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(Ticket::parse(text), ticket);
  const Ticket bare{some_id(), {}};
  EXPECT_EQ(Ticket::parse(bare.text()), bare);
}

TEST(Ticket, has_the_documented_bytes) {
  const Bytes body = body_of({some_id(), {*SocketAddress::parse("192.0.2.1:4433")}});
  ASSERT_EQ(body.size(), 1U + 32 + 1 + 1 + 4 + 2);
  EXPECT_EQ(body[0], 1);
  EXPECT_EQ(hex_encode(ByteView(body).subspan(33)), "0104c00002011151");
}

TEST(Ticket, keeps_the_first_addresses_when_there_are_too_many) {
  Ticket ticket{some_id(), {}};
  for (std::uint16_t port = 1; port <= 40; ++port) {
    ticket.addresses.push_back({IpAddress::loopback(Family::v6), port});
  }
  const auto parsed = Ticket::parse(ticket.text());
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->addresses.size(), limits::kMaxTicketAddresses);
  EXPECT_EQ(parsed->addresses.back().port, 16);
}

TEST(Ticket, every_truncation_and_every_changed_character_is_refused) {
  const std::string text = some_ticket().text();
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(Ticket::parse(text.substr(0, length))) << length;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(Ticket::parse(changed)) << i;
  }
}

TEST(Ticket, wrong_bodies_are_refused_though_their_checksum_is_right) {
  const Bytes good = body_of(some_ticket());
  ASSERT_TRUE(Ticket::parse(seal(good)));

  Bytes newer = good;
  newer[0] = 2;
  const auto refused = Ticket::parse(seal(newer));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::configuration);
  EXPECT_NE(refused.error().what.find("version 2"), std::string::npos);

  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(Ticket::parse(seal(longer)));
  Bytes strange_family = good;
  strange_family[34] = 5;
  EXPECT_FALSE(Ticket::parse(seal(strange_family)));
  Bytes port_zero = good;
  port_zero[39] = port_zero[40] = 0;
  EXPECT_FALSE(Ticket::parse(seal(port_zero)));
  Bytes too_many = good;
  too_many[33] = 17;
  EXPECT_FALSE(Ticket::parse(seal(too_many)));
}

TEST(Ticket, endpoint_ids_and_words_do_not_look_like_tickets) {
  EXPECT_FALSE(Ticket::looks_like(some_id().text()));
  EXPECT_FALSE(Ticket::looks_like("culvert"));
  EXPECT_FALSE(Ticket::looks_like(""));
  EXPECT_TRUE(Ticket::looks_like(some_ticket().text()));
  EXPECT_FALSE(Ticket::parse("culvert" + std::string(5000, 'a')));
}

}  // namespace
}  // namespace culvert::app
