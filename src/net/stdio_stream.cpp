#include "net/stdio_stream.h"

#include "net/socket_address.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace culvert::net {

Result<std::unique_ptr<StdioStream>> StdioStream::open(Loop& loop, int in_fd, int out_fd,
                                                       StreamHandler& handler) {
  std::unique_ptr<StdioStream> port(new StdioStream(loop, handler));
  if (Status opened = port->open_side(port->in_, in_fd, EPOLLIN); !opened) return forward(opened);
  if (Status opened = port->open_side(port->out_, out_fd, EPOLLOUT); !opened) {
    return forward(opened);
  }
  return port;
}

StdioStream::~StdioStream() {
  close_side(out_);
  close_side(in_);
}

Status StdioStream::open_side(Side& side, int fd, std::uint32_t events) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) {
    return std::unexpected(system_error(errno, "standard input or output is closed", "-W"));
  }
  side.fd = fd;
  // epoll refuses regular files and some devices; they never block for long.
  if (S_ISREG(info.st_mode)) return {};
  // A duplicate, because both directions may be one descriptor's (a terminal, a socket)
  // and a set holds a descriptor only once.
  const int watched = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (watched < 0) return std::unexpected(system_error(errno, "cannot watch stdio", "-W"));
  auto watch = loop_.watch(watched, events, side);
  if (!watch) {
    ::close(watched);
    return {};
  }
  side.watch = *watch;
  side.watched_fd = watched;
  side.saved_flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, side.saved_flags | O_NONBLOCK);
  return {};
}

void StdioStream::close_side(Side& side) {
  if (side.fd < 0) return;
  loop_.unwatch(side.watch, side.watched_fd);
  // The duplicate shares the flags, and outlives a redirected side.fd.
  if (side.saved_flags >= 0) ::fcntl(side.watched_fd, F_SETFL, side.saved_flags);
  if (side.watched_fd >= 0) ::close(side.watched_fd);
  side.fd = side.watched_fd = side.saved_flags = -1;
}

void StdioStream::Side::on_fd_events(std::uint32_t) {
  is_ready = true;
  owner.wake_if_due();
}

void StdioStream::wake_if_due() {
  if ((in_.is_wanted && in_.is_ready) || (out_.is_wanted && out_.is_ready)) {
    loop_.make_ready(*this);
  }
}

void StdioStream::run(Instant now) {
  const bool reads = in_.is_wanted && in_.is_ready;
  const bool writes = out_.is_wanted && out_.is_ready;
  if (reads && writes) loop_.make_ready(*this);
  if (reads) {
    in_.is_wanted = false;
    handler_->on_stream_readable(now);  // may destroy us
  } else if (writes) {
    out_.is_wanted = false;
    handler_->on_stream_writable(now);  // may destroy us
  }
}

IoResult StdioStream::try_read(std::span<const ByteSpan> into) {
  for (const ByteSpan& span : into) {
    if (span.empty()) continue;
    for (;;) {
      const ssize_t got = ::read(in_.fd, span.data(), span.size());
      if (got > 0) return {static_cast<std::size_t>(got), IoStatus::ok};
      if (got == 0) return {0, IoStatus::end};
      if (errno == EINTR) continue;
      if (errno != EAGAIN) {
        // A terminal or pipe whose other side went away has simply ended.
        return {0, errno == EIO ? IoStatus::end : IoStatus::failed};
      }
      in_.is_ready = false;
      return {0, IoStatus::would_block};
    }
  }
  return {};
}

IoResult StdioStream::try_write(std::span<const ByteView> from) {
  if (out_.fd < 0) return {0, IoStatus::failed};
  for (const ByteView& span : from) {
    if (span.empty()) continue;
    for (;;) {
      const ssize_t sent = ::write(out_.fd, span.data(), span.size());
      if (sent >= 0) return {static_cast<std::size_t>(sent), IoStatus::ok};
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return {0, IoStatus::failed};
      out_.is_ready = false;
      return {0, IoStatus::would_block};
    }
  }
  return {};
}

void StdioStream::want_readable() {
  in_.is_wanted = true;
  wake_if_due();
}

void StdioStream::want_writable() {
  out_.is_wanted = true;
  wake_if_due();
}

void StdioStream::shutdown_write() {
  const int fd = out_.fd;
  if (fd < 0) return;
  ::shutdown(fd, SHUT_WR);  // a socket's reader sees the end although input stays open
  close_side(out_);
  // The number stays taken: a later socket must not become standard output.
  if (const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC); null >= 0) {
    ::dup2(null, fd);
    ::close(null);
  }
}

}  // namespace culvert::net
