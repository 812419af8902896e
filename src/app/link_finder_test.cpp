// The main loop here is that of the test's own thread, which runs it until something is to be
// looked at; links have threads. Nothing waits for a fixed time.
#include "app/link_finder.h"

#include "app/node.h"
#include "base/rng.h"

#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace culvert::app {
namespace {

// A finder on the main loop that knows what a test tells it.
class Clerk final : public peer::PeerFinder {
 public:
  std::unique_ptr<peer::PeerSubscription> subscribe(Instant, const peer::PeerQuery& query,
                                                    peer::FinderSink& sink) override {
    threads.insert(std::this_thread::get_id());
    ++subscribed;
    return std::make_unique<Visitor>(*this, query, sink);
  }
  void say(Instant now, std::uint16_t port) {
    for (Visitor* visitor : visitors) {
      visitor->sink.on_candidate(now, {.remote = {IpAddress::loopback(Family::v4), port},
                                       .origin = path::Origin::discovered});
    }
  }
  void take_back(Instant now, std::uint16_t port) {
    for (Visitor* visitor : visitors) {
      visitor->sink.on_candidate_gone(now, {IpAddress::loopback(Family::v4), port});
    }
  }
  void end_searches(Instant now, const std::vector<Error>& failures = {}) {
    for (Visitor* visitor : visitors) {
      visitor->why = failures;
      if (std::exchange(visitor->is_busy, false)) visitor->sink.on_searched(now);
    }
  }

  struct Visitor final : peer::PeerSubscription {
    Visitor(Clerk& its_clerk, peer::PeerQuery its_query, peer::FinderSink& its_sink)
        : clerk(its_clerk), query(std::move(its_query)), sink(its_sink) {
      clerk.visitors.insert(this);
    }
    ~Visitor() override {
      clerk.threads.insert(std::this_thread::get_id());
      clerk.visitors.erase(this);
    }
    Visitor(const Visitor&) = delete;
    Visitor& operator=(const Visitor&) = delete;
    void search(Instant) override {
      clerk.threads.insert(std::this_thread::get_id());
      is_busy = clerk.is_slow;
      ++clerk.searches;
      if (clerk.on_search) clerk.on_search();
    }
    [[nodiscard]] bool is_searching() const override { return is_busy; }
    [[nodiscard]] std::vector<Error> failures() const override { return why; }
    Clerk& clerk;
    peer::PeerQuery query;
    peer::FinderSink& sink;
    bool is_busy = false;
    std::vector<Error> why;
  };
  std::set<Visitor*> visitors;
  std::set<std::thread::id> threads;
  std::function<void()> on_search;
  bool is_slow = true;
  int subscribed = 0;
  int searches = 0;
};

// A loop with a thread, and what asks there.
class Link final : private peer::FinderSink {
 public:
  Link(net::KernelHost& main, peer::PeerFinder& finder)
      : main_(main), finder_(main, finder, host()), thread_([this] { host().run(); }) {}
  ~Link() {
    do_there([this](Instant) { host().stop(); });
    thread_.join();
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void ask(const std::string& name) {
    do_there([this, name](Instant now) {
      subscription_ = finder_.subscribe(now, {.peer = {}, .names = {{name, 1}}}, *this);
      subscription_->search(now);
    });
  }
  void ask_again() {
    do_there([this](Instant now) { subscription_->search(now); });
  }
  void end_asking() {
    do_there([this](Instant) { subscription_.reset(); });
  }
  // What it has heard so far.
  std::string heard() {
    std::string copy;
    do_there([&](Instant) { copy = heard_; });
    return copy;
  }
  [[nodiscard]] std::vector<Error> failures() {
    std::vector<Error> copy;
    do_there([&](Instant) { copy = subscription_->failures(); });
    return copy;
  }
  // The main loop stops when a search has ended.
  int searches_ended = 0;  // read on the main loop

 private:
  net::KernelHost& host() { return group_.host(0); }
  // On its thread, and waits for it.
  void do_there(const std::function<void(Instant)>& task) {
    std::promise<void> done;
    ASSERT_TRUE(host().post([&](Instant now) {
      task(now);
      done.set_value();
    }));
    done.get_future().wait();
  }
  void on_candidate(Instant, const path::Candidate& candidate) override {
    heard_ += " +" + std::to_string(candidate.remote.port);
  }
  void on_candidate_gone(Instant, const SocketAddress& remote) override {
    heard_ += " -" + std::to_string(remote.port);
  }
  void on_searched(Instant) override {
    heard_ += " .";
    main_.post([this](Instant) {
      ++searches_ended;
      main_.stop();
    });
  }

  net::KernelHost& main_;
  net::HostGroup group_{null_logger(), {}, 1};
  LinkFinder finder_;
  std::unique_ptr<peer::PeerSubscription> subscription_;
  std::string heard_;
  std::jthread thread_;
};

struct Office {
  Office() {
    clerk.on_search = [this] { host.stop(); };
  }
  // What has come to the main loop so far.
  void run_what_waits() {
    host.post([this](Instant) { host.stop(); });
    host.run();
  }

  net::HostGroup group{null_logger(), {}, 1};
  net::KernelHost& host = group.host(0);
  Clerk clerk;
};

TEST(LinkFinder, asks_on_the_main_loop_and_tells_on_its_own) {
  Office office;
  Link link(office.host, office.clerk);
  link.ask("home.example");
  office.host.run();
  ASSERT_EQ(office.clerk.visitors.size(), 1U);
  EXPECT_EQ((*office.clerk.visitors.begin())->query.names.at(0).host, "home.example");
  const Instant now = office.host.now();
  office.clerk.say(now, 1);
  EXPECT_EQ(link.heard(), " +1") << "at once";
  office.clerk.say(now, 2);
  office.clerk.take_back(now, 1);
  office.clerk.end_searches(now, {{ErrorKind::unreachable, "no answer", "home.example"}});
  EXPECT_EQ(link.heard(), " +1 +2 -1 .");
  ASSERT_EQ(link.failures().size(), 1U);
  EXPECT_EQ(link.failures()[0].offender, "home.example");

  // The next try asks anew, whoever has nothing to look for ends at once.
  office.clerk.is_slow = false;
  office.host.run();
  link.ask_again();
  office.host.run();
  office.run_what_waits();
  EXPECT_EQ(office.clerk.searches, 2);
  EXPECT_EQ(link.heard(), " +1 +2 -1 . .");
  EXPECT_EQ(office.clerk.subscribed, 1);
  EXPECT_EQ(office.clerk.threads, std::set{std::this_thread::get_id()});
}

// As when a reload removes a server while a name is looked up for it.
TEST(LinkFinder, ends_with_its_link_what_that_asked_for_and_nothing_else) {
  Office office;
  auto first = std::make_unique<Link>(office.host, office.clerk);
  Link second(office.host, office.clerk);
  Link third(office.host, office.clerk);
  for (Link* link : {first.get(), &second, &third}) {
    link->ask("home.example");
    office.host.run();
  }
  EXPECT_EQ(office.clerk.visitors.size(), 3U);
  first.reset();
  EXPECT_EQ(office.clerk.visitors.size(), 2U);
  office.clerk.say(office.host.now(), 1);
  EXPECT_EQ(second.heard(), " +1");
  EXPECT_EQ(third.heard(), " +1");
  EXPECT_EQ(office.clerk.threads, std::set{std::this_thread::get_id()});
}

TEST(LinkFinder, does_nothing_for_a_link_that_is_gone_when_its_wish_arrives) {
  Office office;
  auto link = std::make_unique<Link>(office.host, office.clerk);
  link->ask("home.example");
  link.reset();
  office.run_what_waits();
  EXPECT_EQ(office.clerk.subscribed, 0);
}

TEST(LinkFinder, tells_nobody_who_has_stopped_asking) {
  Office office;
  Link link(office.host, office.clerk);
  link.ask("home.example");
  office.host.run();
  link.end_asking();
  office.clerk.say(office.host.now(), 1);
  EXPECT_EQ(link.heard(), "");
  office.run_what_waits();
  EXPECT_TRUE(office.clerk.visitors.empty());
}

// Three servers of one client, of which two are known by the same name.
TEST(Node, has_one_finder_for_all_its_links) {
  SeededRng rng(1);
  Node node(crypto::SecretKey::generate(rng), {}, 1, null_logger());
  Link first(node.main(), node.finder());
  Link second(node.main(), node.finder());
  Link third(node.main(), node.finder());
  for (Link* link : {&first, &second, &third}) link->ask("127.0.0.1");
  while (first.searches_ended + second.searches_ended + third.searches_ended < 3) node.main().run();
  for (Link* link : {&first, &second, &third}) EXPECT_EQ(link->heard(), " +1 .");
}

}  // namespace
}  // namespace culvert::app
