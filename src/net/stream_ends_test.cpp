// How a stream ends, seen by its reader: peers that are gone before anybody looked, by the
// thousand, on every kind of stream. The peers are plain sockets.
#include "net/stdio_stream.h"
#include "net/stream_listener.h"
#include "net/stream_socket.h"
#include "net/test_support.h"

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace culvert::net {
namespace {

enum class Act : std::uint8_t { close, half_close, reset, close_in_silence, reset_in_silence };
constexpr std::array kActs{Act::close, Act::half_close, Act::reset, Act::close_in_silence,
                           Act::reset_in_silence};
constexpr std::string_view kGreeting = "220 ready, and gone\r\n";
constexpr std::size_t kEndRounds = 1000;  // of each act, on each kind of stream
constexpr std::size_t kEndsAtOnce = 25;

enum class Transport : std::uint8_t { tcp_v4, tcp_v6, unix_stream };

// A Unix socket has no reset of this kind: its peers see an end.
bool ends_in_order(Act act, Transport transport) {
  return transport == Transport::unix_stream || (act != Act::reset && act != Act::reset_in_silence);
}
std::string_view greeting_of(Act act) {
  return act == Act::close_in_silence || act == Act::reset_in_silence ? "" : kGreeting;
}

// What a program at the other end does as soon as it can. Half-closers keep their descriptor.
void perform(Act act, Fd& peer) {
  const std::string_view greeting = greeting_of(act);
  if (!greeting.empty()) {
    ASSERT_EQ(::send(peer.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(greeting.size()));
  }
  if (act == Act::half_close) {
    ASSERT_EQ(::shutdown(peer.get(), SHUT_WR), 0);
    return;
  }
  if (act == Act::reset || act == Act::reset_in_silence) {
    const linger abort{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  }
  peer.close();
}

// Until the other end has the FIN of this TCP socket: on a busy machine the kernel may deliver what
// is sent after it from another processor first.
void wait_until_end_has_arrived(const Fd& peer) {
  for (int tries = 0; tries < 5000; ++tries) {
    tcp_info info{};
    socklen_t size = sizeof info;
    ASSERT_EQ(::getsockopt(peer.get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    if (info.tcpi_state == TCP_FIN_WAIT2) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ADD_FAILURE() << "the end was not acknowledged";
}

// Reads to the end with a buffer that no greeting fills.
class EndReader final : public StreamHandler {
 public:
  void on_stream_connected(Instant now) override {
    if (on_connected) on_connected();
    on_stream_readable(now);
  }
  void on_stream_failed(Instant, const Error&) override { finish(false); }
  void on_stream_writable(Instant) override {}
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 4096> block;
    const std::array into{ByteSpan(block)};
    for (;;) {
      const auto result = port->try_read(into);
      incoming.append(as_text(ByteView(block).first(result.bytes)));
      if (result.status == IoStatus::ok) continue;
      if (result.status == IoStatus::would_block) return port->want_readable();
      return finish(result.status == IoStatus::end);
    }
  }
  void finish(bool is_in_order) {
    if (has_ended_in_order) return;
    has_ended_in_order = is_in_order;
    on_finished();
  }

  std::unique_ptr<StreamPort> port;
  std::string incoming;
  std::optional<bool> has_ended_in_order;  // unknown until told
  std::function<void()> on_connected;
  std::function<void()> on_finished;
};

// A listening socket of a plain program.
class PlainListener {
 public:
  explicit PlainListener(Transport transport) {
    const int family = transport == Transport::tcp_v4   ? AF_INET
                       : transport == Transport::tcp_v6 ? AF_INET6
                                                        : AF_UNIX;
    fd_ = Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    RawAddress raw;
    if (transport == Transport::unix_stream) {
      std::string directory = (std::filesystem::temp_directory_path() / "culvert-XXXXXX").string();
      EXPECT_NE(::mkdtemp(directory.data()), nullptr);
      directory_ = directory;
      address_ = UnixPath{directory + "/socket"};
      EXPECT_TRUE(to_raw_unix(directory + "/socket", raw));
    } else {
      to_raw(transport == Transport::tcp_v6 ? loopback_v6() : loopback_v4(),
             transport == Transport::tcp_v6, raw);
    }
    EXPECT_EQ(::bind(fd_.get(), raw.get(), raw.size), 0);
    EXPECT_EQ(::listen(fd_.get(), 128), 0);
    if (transport == Transport::unix_stream) return;
    raw.size = sizeof raw.storage;
    EXPECT_EQ(::getsockname(fd_.get(), raw.get(), &raw.size), 0);
    address_ = *from_raw(raw.get());
  }
  ~PlainListener() {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] const StreamAddress& address() const { return address_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] Fd accept() const {
    return Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

 private:
  Fd fd_;
  std::string directory_;
  StreamAddress address_;
};

// Takes all processor time that is to be had.
class Spinners {
 public:
  explicit Spinners(bool are_wanted) {
    for (int i = 0; are_wanted && i < 4; ++i) {
      threads_.emplace_back([](const std::stop_token& stop) {
        std::atomic<std::uint64_t> count = 0;
        while (!stop.stop_requested()) count.fetch_add(1, std::memory_order_relaxed);
      });
    }
  }

 private:
  std::vector<std::jthread> threads_;
};

class StreamEndsTest : public LoopTest, public ::testing::WithParamInterface<Transport> {
 protected:
  // `meet` opens one stream; `act` may run before the loop has seen anything.
  void expect_ends(Act act, const std::function<void(EndReader&)>& meet) {
    std::array<EndReader, kEndsAtOnce> readers;
    std::size_t waiting = readers.size();
    for (EndReader& reader : readers) {
      reader.on_finished = [&] {
        if (--waiting == 0) done();
      };
      meet(reader);
    }
    run();
    for (const EndReader& reader : readers) {
      ASSERT_TRUE(reader.has_ended_in_order);
      EXPECT_EQ(*reader.has_ended_in_order, ends_in_order(act, GetParam()));
      EXPECT_EQ(reader.incoming, greeting_of(act));
    }
  }
  void dial(const PlainListener& listener, EndReader& reader) {
    auto port = host().connect_stream(listener.address(), Purpose::flow, reader);
    ASSERT_TRUE(port) << port.error().text();
    reader.port = std::move(*port);
  }
};

// The end is in the same event as "connected".
TEST_P(StreamEndsTest, peer_that_is_gone_before_we_are_connected) {
  for (const Act act : kActs) {
    const PlainListener listener(GetParam());
    for (std::size_t i = 0; i < kEndRounds && !HasFailure(); i += kEndsAtOnce) {
      std::vector<Fd> kept;
      expect_ends(act, [&](EndReader& reader) {
        dial(listener, reader);
        kept.push_back(listener.accept());
        perform(act, kept.back());
      });
    }
  }
}

// It comes between "connected" and the first read.
TEST_P(StreamEndsTest, peer_that_is_gone_before_the_first_read) {
  for (const Act act : kActs) {
    const PlainListener listener(GetParam());
    for (std::size_t i = 0; i < kEndRounds && !HasFailure(); i += kEndsAtOnce) {
      std::vector<Fd> kept;
      expect_ends(act, [&](EndReader& reader) {
        reader.on_connected = [&] {
          kept.push_back(listener.accept());
          perform(act, kept.back());
        };
        dial(listener, reader);
      });
    }
  }
}

// It comes whenever it likes.
TEST_P(StreamEndsTest, peer_of_a_program_of_its_own_on_an_idle_and_a_loaded_machine) {
  for (const bool is_loaded : {false, true}) {
    const Spinners load(is_loaded);
    for (const Act act : kActs) {
      const PlainListener listener(GetParam());
      const std::jthread program([&](const std::stop_token& stop) {
        std::vector<Fd> kept;
        while (!stop.stop_requested()) {
          pollfd waits{.fd = listener.fd(), .events = POLLIN, .revents = 0};
          if (::poll(&waits, 1, 20) != 1) continue;
          kept.push_back(listener.accept());
          perform(act, kept.back());
          if (kept.size() > 2 * kEndsAtOnce) kept.erase(kept.begin());
        }
      });
      for (std::size_t i = 0; i < kEndRounds && !HasFailure(); i += kEndsAtOnce) {
        expect_ends(act, [&](EndReader& reader) { dial(listener, reader); });
      }
    }
  }
}

// At the accepting end, before and after somebody cares for the stream.
TEST_P(StreamEndsTest, caller_that_is_gone_before_it_is_accepted_or_handled) {
  class Accepting final : public ListenerHandler {
   public:
    void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
      accepted.push_back(std::move(stream));
      on_more();
    }
    std::vector<std::unique_ptr<StreamPort>> accepted;
    std::function<void()> on_more;
  };
  const PlainListener place(GetParam());  // for its address family and directory
  StreamAddress address = place.address();
  if (auto* tcp = std::get_if<SocketAddress>(&address)) tcp->port = 0;
  if (auto* path = std::get_if<UnixPath>(&address)) path->path += "-ours";
  for (const Act act : kActs) {
    Accepting accepting;
    auto listener = host().listen_stream(address, Purpose::listener, accepting);
    ASSERT_TRUE(listener) << listener.error().text();
    const auto where = (*listener)->local_address();
    RawAddress raw;
    if (const auto* tcp = std::get_if<SocketAddress>(&where)) {
      to_raw(*tcp, tcp->ip.is_v6(), raw);
    } else {
      ASSERT_TRUE(to_raw_unix(std::get<UnixPath>(where).path, raw));
    }
    for (std::size_t i = 0; i < kEndRounds && !HasFailure(); i += kEndsAtOnce) {
      std::vector<Fd> callers;
      for (std::size_t k = 0; k < kEndsAtOnce; ++k) {
        callers.emplace_back(::socket(raw.get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(::connect(callers.back().get(), raw.get(), raw.size), 0);
        if (i % 2 == 0) perform(act, callers.back());
      }
      accepting.accepted.clear();
      accepting.on_more = [&] {
        if (accepting.accepted.size() == kEndsAtOnce) done();
      };
      run();
      for (Fd& caller : callers) {
        if (caller.is_open() && i % 2 != 0) perform(act, caller);
      }
      // Edges that come while nobody cares are seen by the loop all the same.
      const auto soon = host().after(Duration::zero(), [this](Instant) { done(); });
      host().run();
      std::size_t next = 0;
      expect_ends(act, [&](EndReader& reader) {
        reader.port = std::move(accepting.accepted[next++]);
        reader.port->set_handler(reader);
        reader.port->want_readable();
      });
    }
  }
}

TEST_P(StreamEndsTest, reset_before_there_is_a_handler_is_told_to_one_that_asks_for_nothing) {
  if (GetParam() != Transport::tcp_v4) GTEST_SKIP() << "once is enough";
  const PlainListener listener(GetParam());
  Fd caller(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  RawAddress raw;
  to_raw(std::get<SocketAddress>(listener.address()), false, raw);
  ASSERT_EQ(::connect(caller.get(), raw.get(), raw.size), 0);
  Loop loop;
  Fd accepted(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  auto port = StreamSocket::adopt(loop, std::move(accepted), from_raw(raw.get()));
  ASSERT_TRUE(port);
  perform(Act::reset, caller);
  const auto turn = [&](Duration delay) {
    const auto timer = loop.after(delay, [&](Instant) { loop.stop(); });
    loop.run();
  };
  turn(Duration::zero());  // the edge comes and goes
  EndReader reader;
  reader.on_finished = [&] { loop.stop(); };
  (*port)->set_handler(reader);
  turn(std::chrono::seconds(20));
  ASSERT_TRUE(reader.has_ended_in_order);
  EXPECT_FALSE(*reader.has_ended_in_order);
}

// The peer's end is one thing, that it is gone another: it greeted, ended in order, and met
// what we wrote with a reset.
TEST_P(StreamEndsTest, end_that_is_followed_by_a_reset_is_still_an_end) {
  if (GetParam() == Transport::unix_stream) GTEST_SKIP() << "has no such reset";
  const PlainListener listener(GetParam());
  // Few: each end waits for its acknowledgement, which the kernel delays.
  for (int round = 0; round < 2 && !HasFailure(); ++round) {
    expect_ends(Act::close, [&](EndReader& reader) {
      dial(listener, reader);
      Fd peer = listener.accept();
      perform(Act::half_close, peer);
      wait_until_end_has_arrived(peer);
      peer.close();
      const std::array from{as_bytes(std::string_view("hello"))};
      ASSERT_EQ(reader.port->try_write(from).bytes, 5U);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Transports, StreamEndsTest,
                         ::testing::Values(Transport::tcp_v4, Transport::tcp_v6,
                                           Transport::unix_stream),
                         [](const auto& info) {
                           return info.param == Transport::tcp_v4   ? "tcp_v4"
                                  : info.param == Transport::tcp_v6 ? "tcp_v6"
                                                                    : "unix";
                         });

// Standard input and output: a socket for both (inetd), a socket pair, pipes.
class StdioEndsTest : public LoopTest {
 protected:
  void expect_end(int in, int out, const std::function<void()>& act, bool acts_first) {
    if (acts_first) act();
    Loop loop;
    EndReader reader;
    reader.on_finished = [&] { loop.stop(); };
    auto port = StdioStream::open(loop, in, out, reader);
    ASSERT_TRUE(port) << port.error().text();
    reader.port = std::move(*port);
    reader.port->want_readable();
    const auto turn = [&](Duration delay, bool is_failure) {
      const auto timer = loop.after(delay, [&](Instant) {
        if (is_failure) ADD_FAILURE() << "nothing happened for 20 s";
        loop.stop();
      });
      loop.run();
    };
    if (!acts_first) {
      turn(Duration::zero(), false);
      act();
    }
    if (!reader.has_ended_in_order) turn(std::chrono::seconds(20), true);
    ASSERT_TRUE(reader.has_ended_in_order);
    EXPECT_TRUE(*reader.has_ended_in_order);
    EXPECT_EQ(reader.incoming, kGreeting);
    reader.port.reset();
  }
};

TEST_F(StdioEndsTest, ends_of_sockets_and_pipes_are_never_lost) {
  const Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  for (std::size_t i = 0; i < kEndRounds && !HasFailure(); ++i) {
    const bool acts_first = i % 2 == 0;
    std::array<int, 2> ends{};
    for (const Act act : {Act::close, Act::half_close}) {
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
      const Fd ours(ends[0]);
      Fd theirs(ends[1]);
      const int out = i % 3 == 0 ? null.get() : ours.get();
      expect_end(ours.get(), out, [&] { perform(act, theirs); }, acts_first);
    }
    ASSERT_EQ(::pipe(ends.data()), 0);
    const Fd ours(ends[0]);
    Fd theirs(ends[1]);
    const auto write_and_close = [&] {
      ASSERT_EQ(::write(theirs.get(), kGreeting.data(), kGreeting.size()),
                static_cast<ssize_t>(kGreeting.size()));
      theirs.close();
    };
    expect_end(ours.get(), null.get(), write_and_close, acts_first);
  }
}

}  // namespace
}  // namespace culvert::net
