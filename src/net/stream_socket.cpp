#include "net/stream_socket.h"

#include "base/assert.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace culvert::net {
namespace {

constexpr std::size_t kMaxSlices = 16;  // of one readv or writev; more save nothing
// On loopback there is no round trip to cover, and the kernel would let buffers grow until
// what waits in them has left the cache: 256 KiB carried 10 % more through a tunnel.
constexpr int kLoopbackBufferBytes = 256 << 10;

// Copies up to kMaxSlices non-empty spans; returns how many bytes they hold.
template <typename Span>
std::size_t to_iovec(std::span<const Span> spans, std::array<iovec, kMaxSlices>& out,
                     std::size_t& count) {
  std::size_t total = 0;
  count = 0;
  for (const Span& span : spans) {
    if (count == kMaxSlices) break;
    if (span.empty()) continue;
    out[count++] = {const_cast<std::uint8_t*>(span.data()), span.size()};
    total += span.size();
  }
  return total;
}

}  // namespace

StreamSocket::StreamSocket(Loop& loop, Fd fd, std::optional<SocketAddress> remote)
    : loop_(loop), fd_(std::move(fd)), remote_(remote) {
  if (!remote_) return;
  set_option(fd_.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (remote_->ip.is_loopback()) {
    set_option(fd_.get(), SOL_SOCKET, SO_RCVBUF, kLoopbackBufferBytes);
    set_option(fd_.get(), SOL_SOCKET, SO_SNDBUF, kLoopbackBufferBytes);
  }
}

StreamSocket::~StreamSocket() {
  loop_.unwatch(watch_, fd_.get());
}

Status StreamSocket::start_watching() {
  CULVERT_TRY(watch_, loop_.watch(fd_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, *this));
  return {};
}

Result<std::unique_ptr<StreamSocket>> StreamSocket::adopt(Loop& loop, Fd fd,
                                                          std::optional<SocketAddress> remote) {
  std::unique_ptr<StreamSocket> port(new StreamSocket(loop, std::move(fd), remote));
  if (Status watched = port->start_watching(); !watched) return forward(watched);
  return port;
}

Result<std::unique_ptr<StreamSocket>> StreamSocket::connect(Loop& loop,
                                                            const DescriptorBudget* of_flows,
                                                            const StreamAddress& address,
                                                            StreamHandler& handler) {
  RawAddress raw;
  std::optional<SocketAddress> remote;
  int family = AF_UNIX;
  Fd held;
  if (const auto* tcp = std::get_if<SocketAddress>(&address)) {
    remote = *tcp;
    family = tcp->ip.is_v6() ? AF_INET6 : AF_INET;
    to_raw(*tcp, tcp->ip.is_v6(), raw);
  } else {
    const auto& path = std::get<UnixPath>(address);
    Status fits = path.beneath.empty() ? to_raw_unix(path.path, raw) : to_raw_held(path, held, raw);
    if (!fits) return forward(fits);
  }
  Fd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) {
    return std::unexpected(system_error(errno, "cannot open a socket", to_text(address)));
  }
  if (of_flows != nullptr && !of_flows->is_for_flows(fd.get()))
    return std::unexpected(no_descriptor(to_text(address)));
  std::unique_ptr<StreamSocket> port(new StreamSocket(loop, std::move(fd), remote));
  port->handler_ = &handler;
  port->state_ = State::connecting;
  // Edges before this call would be those of an idle socket: watch afterwards.
  const int done = ::connect(port->fd_.get(), raw.get(), raw.size);
  const int error = done == 0 ? 0 : errno;
  if (Status watched = port->start_watching(); !watched) return forward(watched);
  if (error == 0) {
    loop.make_ready(*port);
  } else if (error != EINPROGRESS && error != EINTR) {
    port->fail_later(error);
  }
  return port;
}

void StreamSocket::fail_later(int error) {
  state_ = State::failed;
  error_ = error;
  has_error_ = true;
  loop_.make_ready(*this);
}

void StreamSocket::on_fd_events(std::uint32_t events) {
  if (state_ == State::failed) return;
  // Whatever the state: an edge comes once. A peer that greets and closes at once has its
  // greeting and its end in the event that says we are connected.
  const bool has_failed = (events & EPOLLERR) != 0;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0 || has_failed) may_be_readable_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP)) != 0 || has_failed) may_be_writable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0 || has_failed) peer_has_ended_ = true;
  if (has_failed) has_error_ = true;
  if (state_ == State::connecting) {
    if (has_failed || (events & (EPOLLOUT | EPOLLHUP)) != 0) loop_.make_ready(*this);
    return;
  }
  wake_if_due();
}

void StreamSocket::wake_if_due() {
  if (has_error_ || (wants_readable_ && may_be_readable_) ||
      (wants_writable_ && may_be_writable_)) {
    loop_.make_ready(*this);
  }
}

void StreamSocket::finish_connect(Instant now) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  // Only an established connection is reset so (a refused one says ECONNREFUSED): what came
  // before the reset is still there to be read.
  if (error == ECONNRESET || error == EPIPE) {
    error_ = std::exchange(error, 0);
    has_error_ = true;
  }
  if (error != 0) {
    state_ = State::failed;
    has_error_ = false;
    const Error failure{ErrorKind::unreachable,
                        std::string("cannot connect: ") + std::strerror(error), remote_text()};
    handler_->on_stream_failed(now, failure);  // may destroy us
    return;
  }
  state_ = State::open;
  wake_if_due();
  handler_->on_stream_connected(now);  // may destroy us
}

void StreamSocket::run(Instant now) {
  if (state_ == State::connecting) {
    finish_connect(now);
    return;
  }
  if (handler_ == nullptr) return;
  const bool reads = wants_readable_ && may_be_readable_;
  const bool writes = wants_writable_ && may_be_writable_;
  // One callback a run, since it may destroy us; the next follows.
  if ((reads && writes) || ((reads || writes) && has_error_)) loop_.make_ready(*this);
  if (reads) {
    wants_readable_ = false;
    handler_->on_stream_readable(now);
  } else if (writes) {
    wants_writable_ = false;
    handler_->on_stream_writable(now);
  } else if (has_error_) {
    if (error_ == 0) {
      socklen_t size = sizeof error_;
      ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error_, &size);
    }
    // It ended in order before it was gone: all of that is read first, whenever that is.
    if (error_ == EPIPE && !is_end_read_) return;
    has_error_ = false;
    const bool was_connecting = state_ == State::failed;
    state_ = State::failed;
    const Error failure{was_connecting ? ErrorKind::unreachable : ErrorKind::lost,
                        std::string(was_connecting ? "cannot connect: " : "connection broken: ") +
                            std::strerror(error_),
                        remote_text()};
    handler_->on_stream_failed(now, failure);
  }
}

IoResult StreamSocket::try_read(std::span<const ByteSpan> into) {
  if (state_ == State::failed) return {0, IoStatus::failed};
  if (!may_be_readable_) return {0, IoStatus::would_block};
  std::array<iovec, kMaxSlices> slices;
  std::size_t count = 0;
  const std::size_t room = to_iovec(into, slices, count);
  if (room == 0) return {};
  for (;;) {
    const ssize_t got = ::readv(fd_.get(), slices.data(), static_cast<int>(count));
    if (got > 0) {
      const auto bytes = static_cast<std::size_t>(got);
      // Less than asked: empty for now. Bytes that arrive later make a new edge.
      if (bytes < room && !peer_has_ended_) may_be_readable_ = false;
      return {bytes, IoStatus::ok};
    }
    // The kernel tells of a reset once; when that was while connecting it says "end" now.
    // (EPIPE: a reset that came after the peer's FIN.)
    const bool is_reset = got == 0 && error_ != 0 && error_ != EPIPE;
    if (got == 0 && !is_reset) {
      is_end_read_ = true;
      if (has_error_) loop_.make_ready(*this);
      return {0, IoStatus::end};
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      may_be_readable_ = false;
      return {0, IoStatus::would_block};
    }
    state_ = State::failed;
    has_error_ = false;
    return {0, IoStatus::failed};
  }
}

IoResult StreamSocket::try_write(std::span<const ByteView> from) {
  if (state_ == State::failed) return {0, IoStatus::failed};
  if (!may_be_writable_) return {0, IoStatus::would_block};
  std::array<iovec, kMaxSlices> slices;
  std::size_t count = 0;
  if (to_iovec(from, slices, count) == 0) return {};
  msghdr message{};
  message.msg_iov = slices.data();
  message.msg_iovlen = count;
  for (;;) {
    const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent >= 0) return {static_cast<std::size_t>(sent), IoStatus::ok};
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      may_be_writable_ = false;
      return {0, IoStatus::would_block};
    }
    // The peer is gone; what came from it before may still be read.
    if (error_ == 0) error_ = errno;
    has_error_ = false;
    may_be_readable_ = peer_has_ended_ = true;
    return {0, IoStatus::failed};
  }
}

void StreamSocket::want_readable() {
  wants_readable_ = true;
  if (may_be_readable_ && state_ == State::open) loop_.make_ready(*this);
}

void StreamSocket::want_writable() {
  wants_writable_ = true;
  if (may_be_writable_ && state_ == State::open) loop_.make_ready(*this);
}

void StreamSocket::set_handler(StreamHandler& handler) {
  handler_ = &handler;
  if (has_error_ && state_ != State::connecting) loop_.make_ready(*this);  // it came before
}

void StreamSocket::shutdown_write() {
  if (state_ == State::open) ::shutdown(fd_.get(), SHUT_WR);
}

void StreamSocket::reset() {
  state_ = State::failed;
  has_error_ = false;
  unlink();
  loop_.unwatch(watch_, fd_.get());
  const linger abort{.l_onoff = 1, .l_linger = 0};  // close sends RST, unsent data is dropped
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  fd_.close();
}

std::optional<StreamEnds> StreamSocket::ends() const {
  RawAddress raw;
  raw.size = sizeof raw.storage;
  if (!remote_ || ::getsockname(fd_.get(), raw.get(), &raw.size) != 0) return std::nullopt;
  const auto local = from_raw(raw.get());
  if (!local) return std::nullopt;
  return StreamEnds{.local = *local, .remote = *remote_};
}

std::string StreamSocket::remote_text() const {
  return remote_ ? remote_->text() : std::string("unix socket");
}

}  // namespace culvert::net
