#include "flow/listen_places.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace culvert::flow {
namespace {

using std::chrono::seconds;

// A machine, as far as bind() is concerned.
struct Machine {
  std::map<std::string, Error> refuses;  // by address
  std::vector<std::string> opened;
  std::size_t tries = 0;
  std::uint16_t next_port = 40'000;

  ListenPlaces::Open open() {
    return [this](std::size_t, const StreamAddress& at) -> Result<StreamAddress> {
      ++tries;
      if (const auto found = refuses.find(to_text(at)); found != refuses.end()) {
        return std::unexpected(found->second);
      }
      StreamAddress bound = at;
      if (auto* address = std::get_if<SocketAddress>(&bound); address && address->port == 0) {
        address->port = next_port++;
      }
      opened.push_back(to_text(bound));
      return bound;
    };
  }
  void take(const std::string& address) {
    refuses[address] = {ErrorKind::io, "cannot listen: in use", address};
  }
};

using Texts = std::vector<std::string>;

ListenPlaces places_of(std::string_view target) {
  return ListenPlaces(tunnel::Target::parse(target).value());
}

Instant at(int s) {
  return Instant(seconds(s));
}

TEST(ListenPlaces, means_both_families_by_localhost_and_by_every_address) {
  struct Case {
    const char* target;
    Texts expected;
  };
  const Case cases[] = {
      {"2222", {"127.0.0.1:2222", "[::1]:2222"}},
      {"localhost:80", {"127.0.0.1:80", "[::1]:80"}},
      {"*:80", {"[::]:80", "0.0.0.0:80"}},
      {"[::]:80", {"[::]:80", "0.0.0.0:80"}},
      {"0.0.0.0:80", {"0.0.0.0:80"}},
      {"127.0.0.1:80-82", {"127.0.0.1:80-82"}},
      {"localhost:80-82", {"127.0.0.1:80-82", "[::1]:80-82"}},
      {"unix:/tmp/s", {"unix:/tmp/s"}},
  };
  for (const Case& c : cases) {
    Machine machine;
    ListenPlaces places = places_of(c.target);
    places.open_due(at(1), machine.open());
    EXPECT_EQ(places.take_opened(), c.expected) << c.target;
    EXPECT_EQ(places.open_texts(), c.expected) << c.target;
    EXPECT_EQ(places.next_timeout(), kNever);
  }
}

TEST(ListenPlaces, gives_all_addresses_the_port_that_the_first_got) {
  Machine machine;
  ListenPlaces places = places_of("*:0");
  places.open_due(at(1), machine.open());
  EXPECT_EQ(places.open_texts(), (Texts{"[::]:40000", "0.0.0.0:40000"}));
}

TEST(ListenPlaces, goes_on_without_ipv6_and_says_nothing) {
  Machine machine;
  machine.refuses["[::1]:80"] = {ErrorKind::unreachable, "cannot listen: no such address", {}};
  ListenPlaces places = places_of("localhost:80");
  places.open_due(at(1), machine.open());
  EXPECT_EQ(places.open_texts(), Texts{"127.0.0.1:80"});
  EXPECT_EQ(places.take_failure(), "");
  EXPECT_EQ(places.next_timeout(), kNever);

  machine.take("[::1]:81");
  ListenPlaces taken = places_of("localhost:81");
  taken.open_due(at(1), machine.open());
  EXPECT_EQ(taken.take_failure(), "cannot listen on [::1]:81: in use") << "which it is there for";
}

TEST(ListenPlaces, opens_the_others_when_a_port_is_taken_and_says_so_once) {
  Machine machine;
  machine.take("127.0.0.1:8002");
  machine.take("127.0.0.1:8004");
  ListenPlaces places = places_of("127.0.0.1:8000-8005");
  places.open_due(at(1), machine.open());
  EXPECT_EQ(places.take_opened(),
            (Texts{"127.0.0.1:8000-8001", "127.0.0.1:8003", "127.0.0.1:8005"}));
  EXPECT_EQ(places.take_failure(), "cannot listen on 127.0.0.1:8002 and 1 more: in use");
  ASSERT_EQ(places.next_retry(), at(2));
  for (int second = 2; second < 20; ++second) {
    places.open_due(at(second), machine.open());
    EXPECT_EQ(places.take_failure(), "");
    EXPECT_TRUE(places.take_opened().empty());
  }
  EXPECT_EQ(machine.tries, 6U + 2 * 4) << "at 2, 4, 8 and 16 s";
  machine.refuses.erase("127.0.0.1:8004");
  places.open_due(*places.next_retry(), machine.open());
  EXPECT_EQ(places.take_opened(), Texts{"127.0.0.1:8004"});
  EXPECT_EQ(places.take_failure(), "");
  EXPECT_EQ(places.failure(), "cannot listen on 127.0.0.1:8002: in use");
  machine.refuses.clear();
  places.open_due(*places.next_retry(), machine.open());
  EXPECT_EQ(places.open_texts(), Texts{"127.0.0.1:8000-8005"});
  EXPECT_EQ(places.next_timeout(), kNever);
  EXPECT_EQ(places.next_retry(), std::nullopt);
}

TEST(ListenPlaces, tells_each_reason_with_the_first_that_it_is_of) {
  Machine machine;
  machine.take("127.0.0.1:8001");
  for (const char* address : {"127.0.0.1:8003", "127.0.0.1:8005"}) {
    machine.refuses[address] = {ErrorKind::io, "cannot listen: a limit is reached", address};
  }
  machine.take("127.0.0.1:8004");
  ListenPlaces places = places_of("127.0.0.1:8000-8005");
  places.open_due(at(1), machine.open());
  EXPECT_EQ(places.take_failure(),
            "cannot listen on 127.0.0.1:8001 and 1 more: in use; on 127.0.0.1:8003 and 1 more: a "
            "limit is reached");
}

TEST(ListenPlaces, opens_a_large_range_over_several_turns_and_tells_of_it_as_one) {
  Machine machine;
  const auto last = std::to_string(1000 + limits::kMaxTunnelPorts - 1);
  ListenPlaces places = places_of("127.0.0.1:1000-" + last);
  std::size_t turns = 0;
  while (!places.has_tried_all()) {
    const std::size_t before = machine.tries;
    places.open_due(at(1), machine.open());
    EXPECT_LE(machine.tries - before, limits::kListenersPerTurn);
    ++turns;
    if (places.has_tried_all()) break;
    EXPECT_EQ(places.next_timeout(), at(1)) << "at once";
    EXPECT_TRUE(places.take_opened().empty()) << "not a line for each turn";
  }
  EXPECT_EQ(turns, limits::kMaxTunnelPorts / limits::kListenersPerTurn);
  EXPECT_EQ(places.take_opened(), Texts{"127.0.0.1:1000-" + last});
  EXPECT_EQ(machine.tries, limits::kMaxTunnelPorts);
}

TEST(ListenPlaces, has_nothing_to_do_when_the_last_taken_port_comes_at_the_end_of_a_turn) {
  Machine machine;
  for (std::size_t i = 0; i < limits::kListenersPerTurn; ++i) {
    machine.take("127.0.0.1:" + std::to_string(1000 + i));
  }
  ListenPlaces places = places_of("127.0.0.1:1000-1199");
  while (!places.has_tried_all()) places.open_due(at(1), machine.open());
  machine.refuses.clear();
  places.open_due(*places.next_retry(), machine.open());
  EXPECT_EQ(places.open_texts(), Texts{"127.0.0.1:1000-1199"});
  EXPECT_EQ(places.next_timeout(), kNever);
}

TEST(ListenPlaces, tries_many_taken_ports_again_over_several_turns) {
  Machine machine;
  for (int port = 1000; port < 1200; ++port) machine.take("127.0.0.1:" + std::to_string(port));
  ListenPlaces places = places_of("127.0.0.1:1000-1199");
  while (!places.has_tried_all()) places.open_due(at(1), machine.open());
  EXPECT_FALSE(places.is_any_open());
  EXPECT_EQ(places.take_failure(), "cannot listen on 127.0.0.1:1000 and 199 more: in use");
  machine.refuses.clear();
  for (int turn = 0; turn < 4; ++turn) {
    EXPECT_LE(places.next_timeout(), at(3));
    const std::size_t before = machine.tries;
    places.open_due(at(3), machine.open());
    EXPECT_LE(machine.tries - before, limits::kListenersPerTurn);
  }
  EXPECT_EQ(places.open_texts(), Texts{"127.0.0.1:1000-1199"});
  EXPECT_EQ(machine.tries, 400U);
}

}  // namespace
}  // namespace culvert::flow
