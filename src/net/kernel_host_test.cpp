#include "net/kernel_host.h"

#include "base/limits.h"
#include "net/loop.h"
#include "net/test_support.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include <net/if.h>
#include <sys/epoll.h>

namespace culvert::net {
namespace {

using std::chrono::milliseconds;

class Recorder : public HostHandler {
 public:
  void on_deadline(Instant now) override { note("deadline", now); }
  void on_turn_end(Instant now) override { note("turn end", now); }
  void on_handover(Instant now, const RxDatagram& datagram) override {
    handed_over.push_back({datagram.path, datagram.ecn, std::string(as_text(datagram.bytes))});
    note("handover", now);
  }
  void on_network_changed(Instant now) override { note("network", now); }

  std::vector<std::string> calls;
  std::vector<Instant> times;
  std::vector<Received> handed_over;
  std::function<void()> on_call;

 private:
  void note(const char* what, Instant now) {
    if (!times.empty()) {
      EXPECT_GE(now, times.back());
    }
    calls.emplace_back(what);
    times.push_back(now);
    if (on_call) on_call();
  }
};

class KernelHostTest : public LoopTest {
 protected:
  KernelHostTest() { host().set_handler(recorder_); }
  Recorder recorder_;
};

TEST_F(KernelHostTest, deadline_comes_once_and_not_before_its_time) {
  const Instant due = host().now() + milliseconds(5);
  host().set_deadline(due);
  recorder_.on_call = [&] { done(); };
  run();
  ASSERT_EQ(recorder_.calls, std::vector<std::string>{"deadline"});
  EXPECT_GE(recorder_.times.front(), due);
}

TEST_F(KernelHostTest, later_call_replaces_the_deadline_in_both_directions) {
  const Instant start = host().now();
  host().set_deadline(start + std::chrono::hours(1));
  host().set_deadline(start + milliseconds(2));
  int seen = 0;
  recorder_.on_call = [&] {
    if (++seen == 1) {
      host().set_deadline(start + milliseconds(3));
      host().set_deadline(start + milliseconds(30));
    } else {
      done();
    }
  };
  run();
  ASSERT_EQ(recorder_.times.size(), 2U);
  EXPECT_GE(recorder_.times[1], start + milliseconds(30));
}

TEST_F(KernelHostTest, past_deadline_fires_next_turn_and_never_means_none) {
  host().set_deadline(host().now() - milliseconds(1));
  EXPECT_TRUE(recorder_.calls.empty());
  std::unique_ptr<TimerPort> timer;
  recorder_.on_call = [&] {
    host().set_deadline(host().now() + milliseconds(1));
    host().set_deadline(kNever);
    timer = host().after(milliseconds(5), [&](Instant) { done(); });
  };
  run();
  EXPECT_EQ(recorder_.calls, std::vector<std::string>{"deadline"});
}

TEST_F(KernelHostTest, timers_come_each_for_itself_and_not_when_they_are_gone) {
  const Instant start = host().now();
  const auto later = host().after(milliseconds(6), [&](Instant now) {
    EXPECT_GE(now, start + milliseconds(6));
    recorder_.calls.emplace_back("later");
    done();
  });
  auto gone = host().after(milliseconds(1), [](Instant) { ADD_FAILURE(); });
  const auto first = host().after(milliseconds(2), [&](Instant) {
    recorder_.calls.emplace_back("first");
    gone.reset();
  });
  gone = host().after(milliseconds(4), [](Instant) { ADD_FAILURE(); });
  run();
  EXPECT_EQ(recorder_.calls, (std::vector<std::string>{"first", "later"}));
}

// A rest ends at its deadline at the latest, and what is due behind it still wakes the loop.
TEST_F(KernelHostTest, a_rest_delays_no_deadline) {
  const Instant start = host().now();
  host().set_rest(std::chrono::hours(1));
  host().set_deadline(start + milliseconds(2));
  int seen = 0;
  recorder_.on_call = [&] {
    if (++seen == 1) {
      host().set_rest(milliseconds(1));
      host().set_deadline(start + milliseconds(20));
      EXPECT_TRUE(host().post([](Instant) {}));  // an event, after which it rests
    } else {
      done();
    }
  };
  EXPECT_TRUE(host().post([](Instant) {}));
  run();
  ASSERT_EQ(recorder_.times.size(), 2U);
  EXPECT_GE(recorder_.times[0], start + milliseconds(2));
  EXPECT_GE(recorder_.times[1], start + milliseconds(20));
}

TEST_F(KernelHostTest, turn_end_comes_once_after_the_events_already_waiting) {
  UdpRecorder udp;
  auto a = host().open_udp({.bind = loopback_v4()}, udp);
  UdpRecorder other;
  auto b = host().open_udp({.bind = loopback_v4()}, other);
  ASSERT_TRUE(a && b);
  udp.port = a->get();
  other.port = b->get();
  const std::array<std::uint8_t, 3> payload{};
  for (UdpPort* to : {udp.port, other.port}) {
    const TxBatch batch{{loopback_v4(), to->local_address()}, Ecn::not_ect, 3, payload};
    EXPECT_FALSE(udp.port->send_batch({&batch, 1}).is_blocked);
  }
  udp.on_more = other.on_more = [&] {
    recorder_.calls.emplace_back("datagram");
    host().request_turn_end();
    host().request_turn_end();
  };
  recorder_.on_call = [&] { done(); };
  run();
  EXPECT_EQ(recorder_.calls, (std::vector<std::string>{"datagram", "datagram", "turn end"}));
}

TEST(LoopWatch, that_could_not_be_had_can_be_changed_and_ended) {
  Loop loop;
  WatchId none;
  loop.change(none, -1, EPOLLIN);
  loop.unwatch(none, -1);
  EXPECT_FALSE(none.is_valid());
}

TEST_F(KernelHostTest, signal_is_delivered_on_the_loop) {
  int got = 0;
  host().watch_signals({SIGUSR1}, [&](Instant, int signal) {
    got = signal;
    done();
  });
  ASSERT_EQ(std::raise(SIGUSR1), 0);
  run();
  EXPECT_EQ(got, SIGUSR1);
}

TEST_F(KernelHostTest, post_to_a_host_that_is_gone_is_dropped) {
  HostGroup group(null_logger(), {}, 1);
  int runs = 0;
  EXPECT_TRUE(group.host(0).post([&](Instant) { ++runs; }));
  EXPECT_EQ(runs, 0);  // only its loop would run it
}

class Answers : public ResolveHandler {
 public:
  void on_resolved(Instant, Result<std::vector<IpAddress>> result) override {
    answers.push_back(std::move(result));
    if (on_answer) on_answer();
  }
  std::vector<Result<std::vector<IpAddress>>> answers;
  std::function<void()> on_answer;
};

TEST_F(KernelHostTest, resolves_literals_and_localhost_without_asking_anybody) {
  Answers answers;
  answers.on_answer = [&] {
    if (answers.answers.size() == 3) done();
  };
  const auto v4 = host().resolve("192.0.2.7", Purpose::flow, answers);
  const auto v6 = host().resolve("2001:db8::7", Purpose::flow, answers);
  const auto local = host().resolve("localhost", Purpose::flow, answers);
  {
    const auto cancelled = host().resolve("192.0.2.8", Purpose::flow, answers);
  }
  EXPECT_TRUE(answers.answers.empty());
  run();
  ASSERT_EQ(answers.answers.size(), 3U);
  EXPECT_EQ(answers.answers[0]->front().text(), "192.0.2.7");
  EXPECT_EQ(answers.answers[1]->front().text(), "2001:db8::7");
  for (const IpAddress& ip : *answers.answers[2]) EXPECT_TRUE(ip.is_loopback());
  EXPECT_EQ(answers.answers[2]->front(), IpAddress::loopback(Family::v4));
}

TEST_F(KernelHostTest, impossible_name_is_an_error_and_cancelled_lookups_stay_silent) {
  Answers answers;
  answers.on_answer = [&] { done(); };
  // Not a host name (a label of 64 characters): fails without a packet.
  const std::string impossible(64, 'x');
  {
    const auto cancelled = host().resolve(impossible, Purpose::flow, answers);
  }
  const auto kept = host().resolve(impossible, Purpose::flow, answers);
  run();
  ASSERT_EQ(answers.answers.size(), 1U);
  ASSERT_FALSE(answers.answers[0]);
  EXPECT_EQ(answers.answers[0].error().kind, ErrorKind::unreachable);
  EXPECT_EQ(answers.answers[0].error().offender, impossible);
}

TEST_F(KernelHostTest, route_towards_loopback_is_loopback) {
  const auto all = host().local_addresses();
  const auto loopback = std::ranges::find(all, IpAddress::loopback(Family::v4), &LocalAddress::ip);
  ASSERT_NE(loopback, all.end());
  EXPECT_EQ(loopback->interface_index, ::if_nametoindex("lo"));
  const auto local = host().local_address_towards(IpAddress::loopback(Family::v4));
  ASSERT_TRUE(local);
  EXPECT_EQ(*local, IpAddress::loopback(Family::v4));
}

class TwoHostsTest : public LoopTest {
 protected:
  TwoHostsTest() : LoopTest({}, 2) {}
};

TEST_F(TwoHostsTest, datagrams_are_handed_over_between_threads) {
  constexpr int kCount = 500;
  Recorder here;
  Recorder there;
  KernelHost& other = group_.host(1);
  host().set_handler(here);
  other.set_handler(there);
  there.on_call = [&] {
    // Back to where it came from, changed.
    const Received& got = there.handed_over.back();
    const std::string reply = "re: " + got.bytes;
    const RxDatagram datagram{got.path, got.ecn, static_cast<std::uint16_t>(reply.size()),
                              as_bytes(reply)};
    EXPECT_TRUE(other.hand_over(0, datagram));
  };
  here.on_call = [&] {
    if (here.handed_over.size() == kCount) done();
  };
  std::jthread thread([&] { other.run(); });
  const PathId path{loopback_v4(1), loopback_v4(2)};
  for (int i = 0; i < kCount; ++i) {
    const std::string text = std::to_string(i);
    const RxDatagram datagram{path, Ecn::ce, static_cast<std::uint16_t>(text.size()),
                              as_bytes(text)};
    EXPECT_TRUE(host().hand_over(1, datagram));
  }
  EXPECT_FALSE(host().hand_over(2, {}));  // no such worker
  run();
  EXPECT_TRUE(other.post([&](Instant) { other.stop(); }));
  thread.join();
  ASSERT_EQ(here.handed_over.size(), std::size_t{kCount});
  EXPECT_EQ(here.handed_over[17].bytes, "re: 17");
  EXPECT_EQ(here.handed_over[17].path, path);
  EXPECT_EQ(here.handed_over[17].ecn, Ecn::ce);
}

// What was refused while the other thread stood still keeps nothing back afterwards.
TEST_F(TwoHostsTest, a_full_mailbox_refuses_and_takes_again_when_it_was_read) {
  KernelHost& other = group_.host(1);
  Recorder there;
  other.set_handler(there);
  const std::string text = "x";
  const RxDatagram datagram{{}, Ecn::not_ect, 1, as_bytes(text)};
  std::size_t posted = 0;
  while (posted <= limits::kMaxMail && other.post([](Instant) {})) ++posted;
  EXPECT_EQ(posted, limits::kMaxMail);
  EXPECT_FALSE(host().hand_over(1, datagram));
  EXPECT_FALSE(host().hand_over(1, datagram));

  const auto read = other.after({}, [&](Instant) { other.stop(); });
  other.run();
  EXPECT_TRUE(there.handed_over.empty());
  EXPECT_TRUE(host().hand_over(1, datagram));
  EXPECT_TRUE(host().hand_over(1, datagram));
  EXPECT_TRUE(other.post([&](Instant) { other.stop(); }));
  other.run();
  EXPECT_EQ(there.handed_over.size(), 2U);
}

TEST_F(TwoHostsTest, full_hand_over_queue_refuses) {
  Recorder there;
  group_.host(1).set_handler(there);
  const std::string text = "x";
  const RxDatagram datagram{{}, Ecn::not_ect, 1, as_bytes(text)};
  std::size_t taken = 0;
  while (taken < 100'000 && host().hand_over(1, datagram)) ++taken;  // nobody runs host 1
  EXPECT_GT(taken, 100U);
  EXPECT_LT(taken, 100'000U);
}

}  // namespace
}  // namespace culvert::net
