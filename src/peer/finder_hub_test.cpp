#include "peer/finder_hub.h"

#include "base/limits.h"
#include "peer/given_addresses.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace culvert::peer {
namespace {

SocketAddress numbered_address(std::uint32_t number) {
  return {IpAddress::v4(0xC0000200U + number), 4433};
}

// Says what a test lets it say, to one who asks.
class Teller final : public PeerFinder {
 public:
  std::unique_ptr<PeerSubscription> subscribe(Instant, const PeerQuery&,
                                              FinderSink& its_sink) override {
    sink = &its_sink;
    return std::make_unique<Line>(*this);
  }
  void say(std::uint32_t number, path::Origin origin) {
    sink->on_candidate(Instant{}, {.remote = numbered_address(number), .origin = origin});
  }
  void take_back(std::uint32_t number) {
    sink->on_candidate_gone(Instant{}, numbered_address(number));
  }

  FinderSink* sink = nullptr;
  bool is_searching = false;
  int searches = 0;
  std::vector<Error> failures;

 private:
  struct Line final : PeerSubscription {
    explicit Line(Teller& its_teller) : teller(its_teller) {}
    ~Line() override { teller.sink = nullptr; }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    void search(Instant) override {
      ++teller.searches;
      teller.is_searching = true;
    }
    [[nodiscard]] bool is_searching() const override { return teller.is_searching; }
    [[nodiscard]] std::vector<Error> failures() const override { return teller.failures; }
    Teller& teller;
  };
};

// Writes down what it hears.
struct Listing final : FinderSink {
  void on_candidate(Instant, const path::Candidate& candidate) override {
    heard.push_back("+" + candidate.remote.ip.text() + " " +
                    std::string(word_of(candidate.origin)));
  }
  void on_candidate_gone(Instant, const SocketAddress& remote) override {
    heard.push_back("-" + remote.ip.text());
  }
  void on_searched(Instant) override { ++searched; }
  std::vector<std::string> take() { return std::exchange(heard, {}); }
  std::vector<std::string> heard;
  int searched = 0;
};

using Heard = std::vector<std::string>;

struct Hub {
  FinderHub hub{null_logger(), {&first, &second}};
  Teller first;
  Teller second;
  Listing listing;
  std::unique_ptr<PeerSubscription> subscription = hub.subscribe(Instant{}, {.peer = {}}, listing);
};

TEST(FinderHub, tells_at_once_what_any_of_them_finds) {
  Hub hub;
  hub.subscription->search(Instant{});
  EXPECT_EQ(hub.first.searches + hub.second.searches, 2);
  hub.second.say(1, path::Origin::discovered);
  EXPECT_EQ(hub.listing.take(), (Heard{"+192.0.2.1 discovered"})) << "the first one still looks";
  hub.first.say(2, path::Origin::name);
  EXPECT_EQ(hub.listing.take(), (Heard{"+192.0.2.2 name"}));
}

TEST(FinderHub, tells_what_several_know_once_as_the_best_of_them_knows_it) {
  Hub hub;
  hub.first.say(1, path::Origin::name);
  hub.second.say(1, path::Origin::discovered);
  EXPECT_EQ(hub.listing.take(), (Heard{"+192.0.2.1 name"}));
  hub.second.say(1, path::Origin::given);
  EXPECT_EQ(hub.listing.take(), (Heard{"+192.0.2.1 given"}));
  hub.first.say(1, path::Origin::name);
  EXPECT_EQ(hub.listing.take(), Heard{});
  // It is there as long as one says so.
  hub.second.take_back(1);
  EXPECT_EQ(hub.listing.take(), (Heard{"+192.0.2.1 name"}));
  hub.first.take_back(1);
  hub.first.take_back(1);
  EXPECT_EQ(hub.listing.take(), (Heard{"-192.0.2.1"}));
}

TEST(FinderHub, is_done_searching_when_all_are) {
  Hub hub;
  hub.first.failures = {{ErrorKind::unreachable, "name not found", "home.example"}};
  EXPECT_FALSE(hub.subscription->is_searching());
  hub.subscription->search(Instant{});
  hub.first.is_searching = false;
  hub.first.sink->on_searched(Instant{});
  EXPECT_EQ(hub.listing.searched, 1);
  EXPECT_TRUE(hub.subscription->is_searching());
  hub.second.is_searching = false;
  EXPECT_FALSE(hub.subscription->is_searching());
  ASSERT_EQ(hub.subscription->failures().size(), 1U);
  EXPECT_EQ(hub.subscription->failures()[0].offender, "home.example");
}

// A directory full of lies.
TEST(FinderHub, leaves_room_for_what_others_say_when_one_says_too_much) {
  Hub hub;
  for (std::uint32_t i = 0; i < limits::kMaxFinderCandidates + 10; ++i) {
    hub.second.say(i, path::Origin::discovered);
  }
  EXPECT_EQ(hub.listing.take().size(), limits::kMaxFinderCandidates);
  hub.first.say(200, path::Origin::name);
  EXPECT_EQ(hub.listing.take(), (Heard{"+192.0.2.200 name"}));
  hub.second.take_back(0);
  hub.second.say(201, path::Origin::discovered);
  EXPECT_EQ(hub.listing.take(), (Heard{"-192.0.2.0", "+192.0.2.201 discovered"}));
}

TEST(FinderHub, ends_all_subscriptions_with_its_own) {
  Hub hub;
  hub.subscription.reset();
  EXPECT_EQ(hub.first.sink, nullptr);
  EXPECT_EQ(hub.second.sink, nullptr);
}

TEST(GivenAddresses, are_told_before_anything_is_asked) {
  GivenAddresses given;
  Listing listing;
  const auto subscription = given.subscribe(
      Instant{}, {.peer = {}, .addresses = {numbered_address(1), numbered_address(2)}}, listing);
  EXPECT_EQ(listing.heard, (Heard{"+192.0.2.1 given", "+192.0.2.2 given"}));
  subscription->search(Instant{});
  EXPECT_FALSE(subscription->is_searching());
}

}  // namespace
}  // namespace culvert::peer
