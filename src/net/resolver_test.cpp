#include "net/resolver.h"

#include "base/limits.h"
#include "net/test_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace culvert::net {
namespace {

// A name server: what ends in ".slow.test" it never answers; the others it has, or not.
class NameServer final : public UdpHandler {
 public:
  explicit NameServer(KernelHost& host) : port_(*host.open_udp({.bind = loopback_v4()}, *this)) {}

  [[nodiscard]] std::string address() const { return port_->local_address().text(); }
  std::map<std::string, std::string> records;  // name: an address
  std::map<std::string, int> questions;

 private:
  // RFC 1035 4.1.
  void on_udp_readable(Instant) override {
    std::array<RxDatagram, 8> batch;
    while (const std::size_t count = port_->recv_batch(batch)) {
      for (const RxDatagram& datagram : std::span(batch).first(count)) {
        for_each_segment(datagram, [&](ByteView query) { answer(datagram.path.remote, query); });
      }
    }
  }
  void on_udp_writable(Instant) override {}

  void answer(const SocketAddress& asker, ByteView query) {
    std::string name;
    std::size_t at = 12;
    while (at < query.size() && query[at] != 0) {
      const std::size_t length = query[at];
      if (!name.empty()) name += '.';
      name.append(query.begin() + static_cast<std::ptrdiff_t>(at + 1),
                  query.begin() + static_cast<std::ptrdiff_t>(at + 1 + length));
      at += 1 + length;
    }
    const std::size_t end = at + 5;  // of the question
    ASSERT_LE(end, query.size());
    ++questions[name];
    if (name.ends_with(".slow.test")) return;
    const bool is_v6 = query[at + 2] == 28;  // AAAA
    const auto record = records.find(name);
    const auto ip =
        record == records.end() ? std::nullopt : std::optional(*IpAddress::parse(record->second));
    const bool has_answer = ip && ip->is_v6() == is_v6;
    Bytes reply(query.begin(), query.begin() + static_cast<std::ptrdiff_t>(end));
    reply[2] = 0x81;
    reply[3] = ip ? 0x80 : 0x83;  // no error, or no such name
    reply[7] = has_answer ? 1 : 0;
    reply[9] = reply[11] = 0;  // nothing else, in particular no EDNS
    if (has_answer) {
      const auto size = static_cast<std::uint8_t>(ip->bytes().size());
      const Bytes head{0xc0, 12, 0, query[at + 2], 0, 1, 0, 0, 0, 60, 0, size};
      reply.insert(reply.end(), head.begin(), head.end());
      reply.insert(reply.end(), ip->bytes().begin(), ip->bytes().end());
    }
    const TxBatch batch{.path = {.local = {}, .remote = asker},
                        .segment_size = static_cast<std::uint16_t>(reply.size()),
                        .bytes = reply};
    static_cast<void>(port_->send_batch(std::span(&batch, 1)));
  }

  std::unique_ptr<UdpPort> port_;
};

struct Asked final : ResolveHandler {
  void on_resolved(Instant now, Result<std::vector<IpAddress>> result) override {
    answered_at = now;
    answer = std::move(result);
    port.reset();  // as a user may, from inside
    if (on_answer) on_answer();
  }
  std::unique_ptr<ResolvePort> port;
  std::optional<Result<std::vector<IpAddress>>> answer;
  Instant answered_at{};
  std::function<void()> on_answer;
};

class ResolverTest : public LoopTest {
 protected:
  ResolverTest() : server_(host()) { use_patience(std::chrono::seconds(5)); }

  void use_patience(Duration with_a_server) {
    group_.set_resolver({.server_timeout = with_a_server,
                         .servers = server_.address(),
                         .name_services = [] { return NameServices{}; }});
  }

  std::unique_ptr<Asked> ask(const std::string& name, Purpose purpose = Purpose::flow) {
    auto asked = std::make_unique<Asked>();
    asked->port = host().resolve(name, purpose, *asked);
    return asked;
  }
  // Runs until all of them have an answer.
  void run_until(const std::vector<Asked*>& all) {
    for (Asked* asked : all) {
      asked->on_answer = [this, all] {
        if (std::ranges::all_of(all, [](const Asked* a) { return a->answer.has_value(); })) done();
      };
    }
    run();
  }

  NameServer server_;
};

// A machine with the line `hosts` of an nsswitch.conf, whose modules know what `ask` does.
class ModulesTest : public ResolverTest {
 protected:
  using Ask = std::function<Result<std::vector<IpAddress>>(const std::string&)>;
  void use_modules(const std::string& line, Ask ask) {
    group_.set_resolver({.server_timeout = std::chrono::seconds(5),
                         .servers = server_.address(),
                         .name_services = [line] { return parse_name_services("hosts: " + line); },
                         .ask_modules = std::move(ask)});
  }
};

TEST_F(ResolverTest, asks_for_both_families) {
  server_.records = {{"four.test", "192.0.2.4"}, {"six.test", "2001:db8::6"}};
  const auto four = ask("four.test");
  const auto six = ask("six.test");
  const auto none = ask("none.test");
  EXPECT_FALSE(four->answer) << "never from inside";
  run_until({four.get(), six.get(), none.get()});
  ASSERT_TRUE(*four->answer) << four->answer->error().text();
  EXPECT_EQ(**four->answer, std::vector{*IpAddress::parse("192.0.2.4")});
  ASSERT_TRUE(*six->answer) << six->answer->error().text();
  EXPECT_EQ(**six->answer, std::vector{*IpAddress::parse("2001:db8::6")});
  ASSERT_FALSE(*none->answer);
  EXPECT_EQ(none->answer->error().kind, ErrorKind::unreachable);
  EXPECT_EQ(none->answer->error().offender, "none.test");
}

TEST_F(ResolverTest, answers_a_quick_name_while_many_slow_ones_wait) {
  server_.records = {{"quick.test", "192.0.2.1"}};
  std::vector<std::unique_ptr<Asked>> slow;
  for (int i = 0; i < 100; ++i) slow.push_back(ask("n" + std::to_string(i) + ".slow.test"));
  const auto quick = ask("quick.test");
  run_until({quick.get()});
  EXPECT_TRUE(*quick->answer);
  for (const auto& asked : slow) EXPECT_FALSE(asked->answer);
  // They are cancelled, each alone.
  slow.erase(slow.begin() + 1, slow.end());
  const auto again = ask("quick.test");
  run_until({again.get()});
  EXPECT_TRUE(*again->answer);
}

TEST_F(ResolverTest, gives_up_a_name_that_nobody_answers) {
  use_patience(std::chrono::milliseconds(20));
  const auto slow = ask("a.slow.test");
  run_until({slow.get()});
  ASSERT_FALSE(*slow->answer);
  EXPECT_EQ(slow->answer->error().kind, ErrorKind::unreachable);
  EXPECT_GE(server_.questions["a.slow.test"], 2) << "a packet may be lost";
}

TEST_F(ResolverTest, knows_the_hosts_of_the_machine_without_a_name_server) {
  std::ifstream file("/etc/hosts");
  std::string address;
  std::string name;
  for (std::string line; name.empty() && std::getline(file, line);) {
    std::istringstream words(line);
    words >> address >> name;
    if (name.starts_with("localhost") || !IpAddress::parse(address)) name.clear();
  }
  // Builds in a bare root have no such file, or only localhost in it, which needs no lookup.
  if (name.empty()) GTEST_SKIP() << "/etc/hosts names no other host";
  const auto hosts = ask(name);
  run_until({hosts.get()});
  ASSERT_TRUE(*hosts->answer) << hosts->answer->error().text();
  EXPECT_NE(std::ranges::find(**hosts->answer, *IpAddress::parse(address)),
            (*hosts->answer)->end());
  EXPECT_TRUE(server_.questions.empty());
}

TEST_F(ModulesTest, are_asked_for_what_no_server_knows) {
  const IpAddress known = *IpAddress::parse("192.0.2.77");
  use_modules("files dns libvirt", [&](const std::string& host) -> Result<std::vector<IpAddress>> {
    if (host == "guest") return std::vector{known};
    return fail(ErrorKind::unreachable, "the modules do not know it", host);
  });
  server_.records = {{"four.test", "192.0.2.4"}};
  const auto guest = ask("guest");
  const auto four = ask("four.test");
  const auto none = ask("none.test");
  run_until({guest.get(), four.get(), none.get()});
  ASSERT_TRUE(*guest->answer) << guest->answer->error().text();
  EXPECT_EQ(**guest->answer, std::vector{known});
  EXPECT_TRUE(*four->answer);
  ASSERT_FALSE(*none->answer);
  EXPECT_EQ(none->answer->error().what, "the modules do not know it");
}

TEST_F(ModulesTest, of_multicast_dns_are_asked_in_place_of_servers) {
  const IpAddress known = *IpAddress::parse("192.0.2.77");
  std::atomic<int> asked = 0;
  use_modules("files mdns4_minimal [NOTFOUND=return] dns", [&](const std::string&) {
    ++asked;
    return Result<std::vector<IpAddress>>(std::vector{known});
  });
  const auto nas = ask("nas.local");
  const auto none = ask("none.test");
  run_until({nas.get(), none.get()});
  ASSERT_TRUE(*nas->answer);
  EXPECT_EQ(**nas->answer, std::vector{known});
  EXPECT_FALSE(*none->answer);
  EXPECT_EQ(asked, 1) << "they know names in .local only";
  EXPECT_FALSE(server_.questions.contains("nas.local"));
}

TEST_F(ModulesTest, that_are_not_there_are_named_with_the_remedy) {
  use_modules("files dns", [](const std::string&) -> Result<std::vector<IpAddress>> {
    ADD_FAILURE() << "nobody to ask";
    return std::vector<IpAddress>{};
  });
  server_.records = {{"dc.corp.local", "192.0.2.4"}};
  const auto nas = ask("nas.local");
  const auto domain = ask("dc.corp.local");
  run_until({nas.get(), domain.get()});
  ASSERT_FALSE(*nas->answer);
  EXPECT_NE(nas->answer->error().what.find("libnss-mdns"), std::string::npos);
  EXPECT_TRUE(*domain->answer) << "some networks have .local in their name servers";
}

// Threads of their own, each at most one lookup; who is cancelled is not told.
TEST_F(ModulesTest, delay_nobody_and_are_bounded) {
  std::promise<void> end;
  const std::shared_future<void> ended = end.get_future().share();
  auto running = std::make_shared<std::atomic<std::uint32_t>>(0);
  use_modules("files mdns dns", [ended, running](const std::string& host) {
    ++*running;
    ended.wait();
    --*running;
    return Result<std::vector<IpAddress>>(fail(ErrorKind::unreachable, "late", host));
  });
  server_.records = {{"four.test", "192.0.2.4"}};
  std::vector<std::unique_ptr<Asked>> slow;
  for (std::uint32_t i = 0; i < limits::kMaxModuleLookups + 3; ++i) {
    slow.push_back(ask("n" + std::to_string(i) + ".local"));
  }
  // Three of them find no thread.
  const auto count_answered = [&] {
    return std::ranges::count_if(slow, [](const auto& one) { return one->answer.has_value(); });
  };
  for (const auto& one : slow) {
    one->on_answer = [&] {
      if (count_answered() == 3) done();
    };
  }
  run();
  for (const auto& one : slow) {
    if (!one->answer) continue;
    ASSERT_FALSE(*one->answer);
    EXPECT_EQ(one->answer->error().kind, ErrorKind::limit);
  }
  const auto four = ask("four.test");
  run_until({four.get()});
  EXPECT_TRUE(*four->answer);
  EXPECT_EQ(count_answered(), 3);
  slow.erase(slow.begin() + 1, slow.end());
  end.set_value();
  while (*running > 0) std::this_thread::yield();
}

TEST_F(ResolverTest, is_bounded) {
  std::vector<std::unique_ptr<Asked>> slow;
  for (std::uint32_t i = 0; i < limits::kMaxLookups; ++i) {
    slow.push_back(ask("n" + std::to_string(i) + ".slow.test"));
  }
  const auto refused = ask("quick.test");
  run_until({refused.get()});
  ASSERT_FALSE(*refused->answer);
  EXPECT_EQ(refused->answer->error().kind, ErrorKind::limit);
  const auto literal = ask("192.0.2.1");
  run_until({literal.get()});
  EXPECT_TRUE(*literal->answer) << "which needs none";
}

}  // namespace
}  // namespace culvert::net
