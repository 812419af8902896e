#include "tunnel/socks4.h"

#include "base/encoding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace culvert::tunnel {
namespace {

Bytes octets(std::string_view text) {
  return hex_decode(text).value();
}

// Port 80 of 192.0.2.1, user "me"; as 4A, example.com.
const Bytes kSocks4Request = octets("04010050c00002016d6500");
const Bytes kSocks4aRequest = octets("0401005000000001006578616d706c652e636f6d00");

TEST(Socks4Server, reads_a_connect_by_address_or_name_in_any_pieces) {
  const std::pair<Bytes, HostPort> cases[] = {{kSocks4Request, {"192.0.2.1", 80}},
                                              {kSocks4aRequest, {"example.com", 80}}};
  for (const auto& [request, destination] : cases) {
    Bytes all = request;
    all.insert(all.end(), {'G', 'E', 'T', 0});
    for (std::size_t piece = 1; piece <= all.size(); ++piece) {
      Socks4Server socks;
      std::size_t used = 0;
      std::optional<SocksEvent> event;
      for (std::size_t at = 0; at < all.size() && !event; at += piece) {
        used += socks.handle_data(ByteView(all).subspan(at, std::min(piece, all.size() - at)));
        event = socks.poll_event();
      }
      ASSERT_TRUE(event && std::holds_alternative<SocksConnect>(*event)) << piece;
      EXPECT_EQ(std::get<SocksConnect>(*event).destination, destination);
      EXPECT_EQ(used, request.size());  // GET stays the application's
      EXPECT_TRUE(socks.take_output().empty());
      EXPECT_EQ(socks.handle_data(all), 0U);
    }
  }
}

TEST(Socks4Server, waits_for_every_byte_of_a_request) {
  for (const Bytes& request : {kSocks4Request, kSocks4aRequest}) {
    for (std::size_t size = 0; size < request.size(); ++size) {
      Socks4Server socks;
      EXPECT_EQ(socks.handle_data(ByteView(request).first(size)), size);
      EXPECT_FALSE(socks.poll_event()) << size;
    }
  }
}

TEST(Socks4Server, refuses_what_it_cannot_do_with_an_answer) {
  const std::string long_text(256, 'a');
  const std::string long_hex = hex_encode(as_bytes(long_text));
  for (const std::string& request : {
           std::string("04020050c000020100"),  // BIND
           std::string("05010050c000020100"),  // another version
           "04010050c0000201" + long_hex,      // a user id without end
           "040100500000000100" + long_hex,    // a name without end
           std::string("0401005000000001"
                       "00"
                       "00"),  // an empty name
           std::string("0401005000000001"
                       "00"
                       "2e2f5b00"),
       }) {
    Socks4Server socks;
    const Bytes bytes = octets(request);
    EXPECT_EQ(socks.handle_data(bytes), bytes.size());
    const auto event = socks.poll_event();
    ASSERT_TRUE(event && std::holds_alternative<SocksRefused>(*event)) << request;
    EXPECT_EQ(hex_encode(socks.take_output()), "005b000000000000") << request;
    EXPECT_EQ(socks.handle_data(bytes), 0U);
  }
}

TEST(Socks4Server, takes_an_address_that_is_zero_as_one) {
  Socks4Server socks;
  socks.handle_data(octets("040100500000000000"));  // 0.0.0.0 is no name
  const auto event = socks.poll_event();
  ASSERT_TRUE(event && std::holds_alternative<SocksConnect>(*event));
  EXPECT_EQ(std::get<SocksConnect>(*event).destination, (HostPort{"0.0.0.0", 80}));
}

TEST(Socks4Reply, says_yes_or_no) {
  EXPECT_EQ(hex_encode(Socks4Server::reply(SocksReply::succeeded)), "005a000000000000");
  EXPECT_EQ(hex_encode(Socks4Server::reply(SocksReply::not_allowed)), "005b000000000000");
}

}  // namespace
}  // namespace culvert::tunnel
