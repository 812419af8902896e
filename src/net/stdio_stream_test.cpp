#include "net/stdio_stream.h"

#include "net/socket_address.h"
#include "net/test_support.h"

#include <array>
#include <cstdio>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace culvert::net {
namespace {

// Copies its input to its output until the input ends.
class Copier : public StreamHandler {
 public:
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant, const Error&) override { ADD_FAILURE(); }
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 10'000> block;
    const ByteSpan into(block);
    const auto got = port->try_read({&into, 1});
    if (got.status == IoStatus::would_block) return port->want_readable();
    if (got.status == IoStatus::end) return on_end();
    pending.append(as_text(ByteView(block).first(got.bytes)));
    port->want_writable();
  }
  void on_stream_writable(Instant) override {
    const ByteView from = as_bytes(pending);
    const auto put = port->try_write({&from, 1});
    ASSERT_NE(put.status, IoStatus::failed);
    pending.erase(0, put.bytes);
    if (pending.empty()) {
      port->want_readable();
    } else {
      port->want_writable();
    }
  }
  std::unique_ptr<StreamPort> port;
  std::string pending;
  std::function<void()> on_end;
};

class StdioStreamTest : public ::testing::Test {
 protected:
  void copy(int in, int out) {
    auto port = StdioStream::open(loop_, in, out, copier_);
    ASSERT_TRUE(port) << port.error().text();
    copier_.port = std::move(*port);
    copier_.port->want_readable();
    copier_.on_end = [this] {
      copier_.port->shutdown_write();
      copier_.port.reset();
      loop_.stop();
    };
    const auto guard = loop_.after(std::chrono::seconds(20), [this](Instant) {
      ADD_FAILURE() << "nothing happened for 20 s";
      loop_.stop();
    });
    loop_.run();
  }
  Loop loop_;
  Copier copier_;
};

std::string drain(int fd) {
  std::string all;
  std::array<char, 4096> block;
  ssize_t count = 0;
  while ((count = ::read(fd, block.data(), block.size())) > 0) {
    all.append(block.data(), static_cast<std::size_t>(count));
  }
  return all;
}

TEST_F(StdioStreamTest, copies_between_pipes_ends_output_and_restores_blocking_mode) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  ASSERT_EQ(::pipe(in.data()), 0);
  ASSERT_EQ(::pipe(out.data()), 0);
  const std::string text(30'000, 'p');  // fits into a pipe
  ASSERT_EQ(::write(in[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(in[1]);
  copy(in[0], out[1]);
  EXPECT_EQ(::fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(drain(out[0]), text);  // ends: shutdown_write closed the only writer
  for (const int fd : {in[0], out[0], out[1]}) ::close(fd);
}

TEST_F(StdioStreamTest, regular_files_work_although_epoll_refuses_them) {
  std::FILE* in = std::tmpfile();
  std::FILE* out = std::tmpfile();
  const std::string text(50'000, 'f');
  ASSERT_EQ(std::fwrite(text.data(), 1, text.size(), in), text.size());
  std::rewind(in);
  const Fd check(::dup(::fileno(out)));
  copy(::fileno(in), ::fileno(out));
  ASSERT_EQ(::lseek(check.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(drain(check.get()), text);
  std::fclose(in);
  std::fclose(out);
}

TEST_F(StdioStreamTest, one_socket_may_be_both_input_and_output) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  ASSERT_EQ(::write(pair[1], "hello", 5), 5);
  ::shutdown(pair[1], SHUT_WR);
  copy(pair[0], pair[0]);
  EXPECT_EQ(drain(pair[1]), "hello");
  for (const int fd : pair) ::close(fd);
}

}  // namespace
}  // namespace culvert::net
