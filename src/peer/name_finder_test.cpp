#include "peer/name_finder.h"

#include "ports/null_host.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace culvert::peer {
namespace {

// A machine whose name server answers when a test says so.
class NamingHost final : public NullHost {
 public:
  std::unique_ptr<ResolvePort> resolve(const std::string& host, Purpose,
                                       ResolveHandler& handler) override {
    ++lookups;
    auto port = std::make_unique<Asked>(*this);
    asked.push_back({.port = port.get(), .host = host, .handler = &handler});
    return port;
  }
  // To the oldest question about it.
  void answer(const std::string& host, Result<std::vector<IpAddress>> ips) {
    const auto found = std::ranges::find(asked, host, &Question::host);
    ASSERT_NE(found, asked.end()) << host;
    ResolveHandler* handler = found->handler;
    asked.erase(found);
    handler->on_resolved(Instant{}, std::move(ips));
  }

  struct Asked final : ResolvePort {
    explicit Asked(NamingHost& its_host) : host(its_host) {}
    ~Asked() override {
      std::erase_if(host.asked, [this](const Question& other) { return other.port == this; });
    }
    Asked(const Asked&) = delete;
    Asked& operator=(const Asked&) = delete;
    NamingHost& host;
  };
  struct Question {
    Asked* port;
    std::string host;
    ResolveHandler* handler;
  };
  std::vector<Question> asked;
  int lookups = 0;
};

struct Notes final : FinderSink {
  void on_candidate(Instant, const path::Candidate& candidate) override {
    EXPECT_EQ(candidate.origin, path::Origin::name);
    all.push_back("+" + candidate.remote.text());
  }
  void on_candidate_gone(Instant, const SocketAddress& remote) override {
    all.push_back("-" + remote.text());
  }
  void on_searched(Instant now) override {
    ++searched;
    if (auto act = std::exchange(at_end, nullptr)) act(now);
  }
  std::vector<std::string> take() { return std::exchange(all, {}); }
  std::vector<std::string> all;
  int searched = 0;
  std::function<void(Instant)> at_end{};  // once
};

using Noted = std::vector<std::string>;
const IpAddress kOne = IpAddress::v4(0xC0000201);
const IpAddress kTwo = IpAddress::v4(0xC0000202);

PeerQuery home() {
  return {.peer = {}, .names = {{"home.example", 1}}};
}

TEST(NameFinder, tells_what_a_name_stands_for_and_what_it_no_longer_does) {
  NamingHost host;
  NameFinder finder(host, null_logger());
  Notes notes;
  const auto subscription = finder.subscribe(Instant{}, home(), notes);
  EXPECT_EQ(host.lookups, 0) << "not before somebody wants to connect";
  subscription->search(Instant{});
  EXPECT_TRUE(subscription->is_searching());
  host.answer("home.example", std::vector{kOne, kTwo});
  EXPECT_EQ(notes.take(), (Noted{"+192.0.2.1:1", "+192.0.2.2:1"}));
  EXPECT_EQ(notes.searched, 1);
  EXPECT_FALSE(subscription->is_searching());

  subscription->search(Instant{});
  host.answer("home.example", std::vector{kTwo, kOne});
  EXPECT_EQ(notes.take(), Noted{}) << "the same in another order";
  subscription->search(Instant{});
  host.answer("home.example", std::vector{IpAddress::v4(0xC0000203), kTwo});
  EXPECT_EQ(notes.take(), (Noted{"+192.0.2.3:1", "-192.0.2.1:1"}));
}

TEST(NameFinder, keeps_what_a_name_stood_for_while_it_cannot_be_looked_up) {
  NamingHost host;
  NameFinder finder(host, null_logger());
  Notes notes;
  const auto subscription = finder.subscribe(Instant{}, home(), notes);
  subscription->search(Instant{});
  host.answer("home.example", std::vector{kOne});
  notes.take();
  subscription->search(Instant{});
  host.answer("home.example", fail(ErrorKind::unreachable, "name not found", "home.example"));
  EXPECT_EQ(notes.take(), Noted{});
  ASSERT_EQ(subscription->failures().size(), 1U);
  EXPECT_EQ(notes.searched, 2);
  subscription->search(Instant{});
  host.answer("home.example", std::vector{kOne});
  EXPECT_TRUE(subscription->failures().empty());
}

TEST(NameFinder, lets_no_name_wait_for_another) {
  NamingHost host;
  NameFinder finder(host, null_logger());
  Notes notes;
  const auto subscription = finder.subscribe(
      Instant{}, {.peer = {}, .names = {{"slow.example", 1}, {"home.example", 2}}}, notes);
  subscription->search(Instant{});
  host.answer("home.example", std::vector{kOne});
  EXPECT_EQ(notes.take(), (Noted{"+192.0.2.1:2"}));
  EXPECT_EQ(notes.searched, 0);
  // Another try begins meanwhile: only what is not under way is asked anew.
  subscription->search(Instant{});
  EXPECT_EQ(host.lookups, 3);
  host.answer("slow.example", fail(ErrorKind::unreachable, "no answer", "slow.example"));
  host.answer("home.example", std::vector{kOne});
  EXPECT_EQ(notes.searched, 1);
}

TEST(NameFinder, withdraws_nothing_that_another_name_stands_for) {
  NamingHost host;
  NameFinder finder(host, null_logger());
  Notes notes;
  const auto subscription = finder.subscribe(
      Instant{}, {.peer = {}, .names = {{"a.example", 1}, {"b.example", 1}}}, notes);
  subscription->search(Instant{});
  host.answer("a.example", std::vector{kOne});
  host.answer("b.example", std::vector{kOne});
  notes.take();
  subscription->search(Instant{});
  host.answer("a.example", std::vector{kTwo});
  EXPECT_EQ(notes.take(), (Noted{"+192.0.2.2:1"}));
  host.answer("b.example", std::vector{kTwo});
  EXPECT_EQ(notes.take(), (Noted{"+192.0.2.2:1", "-192.0.2.1:1"}));
}

TEST(NameFinder, looks_a_name_up_once_for_all_who_want_to_know) {
  NamingHost host;
  NameFinder finder(host, null_logger());
  Notes first;
  Notes second;
  const auto one = finder.subscribe(Instant{}, home(), first);
  auto other = finder.subscribe(Instant{}, {.peer = {}, .names = {{"home.example", 2}}}, second);
  one->search(Instant{});
  other->search(Instant{});
  EXPECT_EQ(host.lookups, 1);
  host.answer("home.example", std::vector{kOne});
  EXPECT_EQ(first.take(), (Noted{"+192.0.2.1:1"}));
  EXPECT_EQ(second.take(), (Noted{"+192.0.2.1:2"}));
  EXPECT_EQ(finder.lookups_under_way(), 0U);
}

TEST(NameFinder, tells_nobody_who_is_gone_and_looks_nothing_up_for_him) {
  NamingHost host;
  NameFinder finder(host, null_logger());
  Notes first;
  Notes second;
  auto one = finder.subscribe(Instant{}, home(), first);
  auto other = finder.subscribe(Instant{}, home(), second);
  one->search(Instant{});
  other->search(Instant{});
  one.reset();
  EXPECT_EQ(host.asked.size(), 1U) << "for the other one";
  host.answer("home.example", std::vector{kOne});
  EXPECT_EQ(first.take(), Noted{});
  EXPECT_EQ(second.take(), (Noted{"+192.0.2.1:1"}));
  other->search(Instant{});
  other.reset();
  EXPECT_TRUE(host.asked.empty());
  EXPECT_EQ(finder.lookups_under_way(), 0U);
}

// Whoever hears of it may be what ends somebody else, or begin the next try.
TEST(NameFinder, bears_what_is_done_about_an_answer) {
  NamingHost host;
  NameFinder finder(host, null_logger());
  Notes first;
  Notes second;
  const auto one = finder.subscribe(Instant{}, home(), first);
  auto other = finder.subscribe(Instant{}, home(), second);
  first.at_end = [&](Instant now) {
    other.reset();
    one->search(now);
  };
  one->search(Instant{});
  other->search(Instant{});
  host.answer("home.example", std::vector{kOne});
  EXPECT_EQ(second.take(), Noted{});
  EXPECT_EQ(host.lookups, 2);
  host.answer("home.example", std::vector{kOne, kTwo});
  EXPECT_EQ(first.take(), (Noted{"+192.0.2.1:1", "+192.0.2.2:1"}));
}

}  // namespace
}  // namespace culvert::peer
