#include "tunnel/socks5.h"

#include "base/encoding.h"

#include <gtest/gtest.h>

namespace culvert::tunnel {
namespace {

Bytes hex(std::string_view text) {
  return hex_decode(text).value();
}
// Greeting and request as curl --socks5-hostname sends them: example.com:80.
const Bytes kGreeting = hex("05020001");
const Bytes kConnectName = hex("050100030b6578616d706c652e636f6d0050");

TEST(Socks5Server, reads_a_connect_by_name_in_any_pieces) {
  Bytes all = kGreeting;
  all.insert(all.end(), kConnectName.begin(), kConnectName.end());
  all.insert(all.end(), {'G', 'E', 'T'});
  for (std::size_t piece = 1; piece <= all.size(); ++piece) {
    Socks5Server socks;
    std::size_t used = 0;
    std::optional<SocksEvent> event;
    for (std::size_t at = 0; at < all.size() && !event; at += piece) {
      used += socks.handle_data(ByteView(all).subspan(at, std::min(piece, all.size() - at)));
      event = socks.poll_event();
    }
    ASSERT_TRUE(event && std::holds_alternative<SocksConnect>(*event)) << piece;
    EXPECT_EQ(std::get<SocksConnect>(*event).destination, (HostPort{"example.com", 80}));
    EXPECT_EQ(used, kGreeting.size() + kConnectName.size());  // GET stays the application's
    EXPECT_EQ(socks.take_output(), hex("0500"));
  }
}

TEST(Socks5Server, reads_addresses_and_udp_associate) {
  const std::pair<const char*, HostPort> connects[] = {
      {"05010001c00002010016", {"192.0.2.1", 22}},
      {"0501000420010db80000000000000000000000010016", {"2001:db8::1", 22}},
  };
  for (const auto& [request, destination] : connects) {
    Socks5Server socks;
    socks.handle_data(kGreeting);
    socks.handle_data(hex(request));
    const auto event = socks.poll_event();
    ASSERT_TRUE(event && std::holds_alternative<SocksConnect>(*event));
    EXPECT_EQ(std::get<SocksConnect>(*event).destination, destination);
  }
  Socks5Server socks;
  socks.handle_data(kGreeting);
  socks.handle_data(hex("05030001c00002011f90"));
  const auto event = socks.poll_event();
  ASSERT_TRUE(event && std::holds_alternative<SocksUdpAssociate>(*event));
  EXPECT_EQ(std::get<SocksUdpAssociate>(*event).sender, (HostPort{"192.0.2.1", 8080}));
}

TEST(Socks5Server, refuses_with_the_answer_that_tells_why) {
  const std::pair<const char*, const char*> cases[] = {
      {"050102", "05ff"},  // only with a password
      {"050100"
       "05020001c00002010016",
       "050005070001000000000000"},  // BIND
      {"050100"
       "05010009c00002010016",
       "050005080001000000000000"},  // no such address type
      {"050100"
       "0501000300"
       "0016",
       "050005010001000000000000"},  // an empty name
      {"050100"
       "05010003032e2f5b0016",
       "050005010001000000000000"},  // a name with '/' and '['
      {"050100"
       "04010001c00002010016",
       "050005010001000000000000"},  // version 4 in the request
      {"0401005000000001"
       "00",
       ""},                  // SOCKS4: no answer
      {"474554202f20", ""},  // HTTP
  };
  for (const auto& [input, answer] : cases) {
    Socks5Server socks;
    socks.handle_data(hex(input));
    const auto event = socks.poll_event();
    ASSERT_TRUE(event && std::holds_alternative<SocksRefused>(*event)) << input;
    EXPECT_EQ(hex_encode(socks.take_output()), answer) << input;
    EXPECT_FALSE(std::get<SocksRefused>(*event).why.empty()) << input;
    EXPECT_EQ(socks.handle_data(kGreeting), 0U);  // takes no more
  }
}

TEST(SocksReply, names_our_end) {
  EXPECT_EQ(hex_encode(Socks5Server::reply(SocksReply::succeeded,
                                           SocketAddress::parse("127.0.0.1:1080").value())),
            "050000017f0000010438");
  EXPECT_EQ(hex_encode(Socks5Server::reply(SocksReply::connection_refused,
                                           SocketAddress::parse("[::1]:1").value())),
            "05050004000000000000000000000000000000010001");
}

TEST(SocksUdpOwner, is_the_first_sender_at_the_address_of_the_connection_or_who_was_announced) {
  struct Case {
    const char* client;
    HostPort announced;
    std::vector<std::pair<const char*, bool>> senders;
  };
  const Case cases[] = {
      {"192.0.2.1",
       {"0.0.0.0", 0},
       {{"192.0.2.2:1000", false},
        {"192.0.2.1:1000", true},
        {"192.0.2.1:1001", false},
        {"192.0.2.1:1000", true}}},
      {"192.0.2.1", {"0.0.0.0", 7}, {{"192.0.2.1:8", false}, {"192.0.2.1:7", true}}},
      {"192.0.2.1", {"192.0.2.1", 7}, {{"192.0.2.1:8", false}, {"192.0.2.1:7", true}}},
      {"192.0.2.1", {"::", 7}, {{"192.0.2.1:8", false}, {"192.0.2.1:7", true}}},
      // Behind a NAT: what it believes of itself is not what we see.
      {"192.0.2.1", {"10.0.0.1", 7}, {{"10.0.0.1:7", false}, {"192.0.2.1:8", true}}},
      {"192.0.2.1", {"client.example", 7}, {{"192.0.2.1:8", true}}},
      {"192.0.2.1", {"192.0.2.1", 0}, {{"192.0.2.1:8", true}}},
      {"::1", {"::", 0}, {{"127.0.0.1:8", false}, {"[::1]:8", true}, {"[::1]:9", false}}},
      {"::1", {"::1", 9}, {{"[::1]:8", false}, {"[::1]:9", true}}},
  };
  for (const Case& one : cases) {
    SocksUdpOwner owner(IpAddress::parse(one.client).value(), one.announced);
    for (const auto& [sender, is_admitted] : one.senders) {
      EXPECT_EQ(owner.admits(SocketAddress::parse(sender).value()), is_admitted)
          << one.client << " " << one.announced.text() << " " << sender;
    }
  }
}

TEST(SocksDatagram, reads_and_writes_its_header) {
  for (const HostPort& peer :
       {HostPort{"192.0.2.1", 53}, HostPort{"2001:db8::1", 53}, HostPort{"dns.example", 53}}) {
    Bytes datagram;
    encode_socks_datagram_header(peer, datagram);
    const std::size_t header = datagram.size();
    datagram.push_back('x');
    const auto decoded = decode_socks_datagram(datagram);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->destination, peer);
    EXPECT_EQ(as_text(decoded->payload), "x");
    for (std::size_t size = 0; size < header; ++size) {
      EXPECT_FALSE(decode_socks_datagram(ByteView(datagram).first(size)));
    }
    datagram[2] = 1;  // a fragment
    EXPECT_EQ(decode_socks_datagram(datagram).error(), DecodeError::unsupported);
  }
}

}  // namespace
}  // namespace culvert::tunnel
