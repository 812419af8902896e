// Two descriptors (standard input and output, for -W) as one StreamPort. Pipes,
// terminals and sockets wait for readiness; regular files are always ready. The
// descriptors' blocking mode is restored at the end: a terminal is shared with the shell.
// Private to net/.
#pragma once

#include "net/loop.h"
#include "ports/ports.h"

#include <memory>
#include <string>

namespace culvert::net {

class StdioStream final : public StreamPort, private Runnable {
 public:
  // Does not own the descriptors. `out_fd` is replaced by /dev/null on shutdown_write.
  [[nodiscard]] static Result<std::unique_ptr<StdioStream>> open(Loop& loop, int in_fd, int out_fd,
                                                                 StreamHandler& handler);
  ~StdioStream() override;

  IoResult try_read(std::span<const ByteSpan> into) override;
  IoResult try_write(std::span<const ByteView> from) override;
  void want_readable() override;
  void want_writable() override;
  void shutdown_write() override;
  void reset() override { shutdown_write(); }
  void set_handler(StreamHandler& handler) override { handler_ = &handler; }
  std::string remote_text() const override { return "stdio"; }

 private:
  // One direction: its descriptor and whether it may be used without blocking.
  struct Side final : FdWatcher {
    explicit Side(StdioStream& stream) : owner(stream) {}
    void on_fd_events(std::uint32_t events) override;
    StdioStream& owner;
    int fd = -1;
    int watched_fd = -1;  // a duplicate of fd in the epoll set; -1: always ready
    int saved_flags = -1;
    WatchId watch;
    bool is_ready = true;
    bool is_wanted = false;
  };

  StdioStream(Loop& loop, StreamHandler& handler) : loop_(loop), handler_(&handler) {}
  Status open_side(Side& side, int fd, std::uint32_t events);
  void close_side(Side& side);
  void run(Instant now) override;
  void wake_if_due();

  Loop& loop_;
  StreamHandler* handler_;
  Side in_{*this};
  Side out_{*this};
};

}  // namespace culvert::net
