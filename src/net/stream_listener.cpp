#include "net/stream_listener.h"

#include "net/stream_socket.h"

#include <cerrno>
#include <chrono>
#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace culvert::net {
namespace {

constexpr int kBacklog = 4096;   // the kernel caps it at net.core.somaxconn
constexpr int kMaxAccepts = 64;  // per turn, so that a flood of connections starves nobody
// Without a free descriptor accept() fails at once and for ever: look again after this.
constexpr Duration kRestAfterExhaustion = std::chrono::milliseconds(100);

}  // namespace

Result<std::unique_ptr<StreamListener>> StreamListener::listen(HostGroup& group, Loop& loop,
                                                               const StreamAddress& address,
                                                               ListenerHandler& handler,
                                                               Purpose purpose) {
  std::unique_ptr<StreamListener> port(new StreamListener(group, loop, handler, purpose));
  port->local_ = address;
  const auto* tcp = std::get_if<SocketAddress>(&address);
  const Status opened =
      tcp != nullptr ? port->open_tcp(*tcp) : port->open_unix(std::get<UnixPath>(address).path);
  if (!opened) return std::unexpected(opened.error());
  CULVERT_TRY(port->watch_, loop.watch(port->fd_.get(), EPOLLIN, *port));
  return port;
}

StreamListener::~StreamListener() {
  loop_.unwatch(watch_, fd_.get());
  if (owns_path_) ::unlink(std::get<UnixPath>(local_).path.c_str());
}

Status StreamListener::take_place(const std::string& name) {
  if (purpose_ != Purpose::listener) return {};
  CULVERT_TRY(place_, group_.descriptors().take_listener(fd_.get(), name));
  return {};
}

Status StreamListener::open_tcp(const SocketAddress& address) {
  fd_ = Fd(::socket(address.ip.is_v6() ? AF_INET6 : AF_INET,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.is_open()) {
    return std::unexpected(listen_error(errno, "cannot open a socket", address));
  }
  if (Status taken = take_place(address.text()); !taken) return taken;
  set_option(fd_.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.ip.is_v6()) set_option(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  RawAddress raw;
  to_raw(address, address.ip.is_v6(), raw);
  if (::bind(fd_.get(), raw.get(), raw.size) != 0 || ::listen(fd_.get(), kBacklog) != 0) {
    return std::unexpected(listen_error(errno, "cannot listen", address));
  }
  raw.size = sizeof raw.storage;
  if (::getsockname(fd_.get(), raw.get(), &raw.size) == 0) {
    local_ = from_raw(raw.get()).value_or(address);
  }
  return {};
}

Status StreamListener::open_unix(const std::string& path) {
  RawAddress raw;
  if (Status fits = to_raw_unix(path, raw); !fits) return fits;
  fd_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.is_open()) return std::unexpected(system_error(errno, "cannot open a socket", path));
  if (Status taken = take_place(path); !taken) return taken;
  if (struct stat info; ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
    // Left over from a process that crashed? Only if nobody answers there.
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), raw.get(), raw.size) != 0 && errno == ECONNREFUSED) {
      ::unlink(path.c_str());
    }
  }
  // On Linux the mode of the socket's own inode, and so of its file, is taken at bind:
  // nobody else can connect in between, and no umask of the process has to change.
  if (::fchmod(fd_.get(), 0600) != 0 || ::bind(fd_.get(), raw.get(), raw.size) != 0) {
    return std::unexpected(system_error(errno, "cannot listen", path));
  }
  owns_path_ = true;
  if (::chmod(path.c_str(), 0600) != 0 || ::listen(fd_.get(), kBacklog) != 0) {
    return std::unexpected(system_error(errno, "cannot listen", path));
  }
  return {};
}

void StreamListener::on_fd_events(std::uint32_t) {
  has_waiting_ = true;
  if (!is_paused_ && !rest_) loop_.make_ready(*this);
}

void StreamListener::resume() {
  is_paused_ = false;
  if (has_waiting_ && !rest_) loop_.make_ready(*this);
}

void StreamListener::rest_a_while() {
  if (!group_.notes().descriptors_exhausted.exchange(true)) {
    group_.log().warn("net",
                      "all file descriptors for flows are in use: connections wait until others "
                      "end; raise the limit (ulimit -n, LimitNOFILE=)");
  }
  rest_ = loop_.after(kRestAfterExhaustion, [this](Instant) {
    rest_.reset();
    if (has_waiting_ && !is_paused_) loop_.make_ready(*this);
  });
}

void StreamListener::run(Instant now) {
  const Alive::Token alive = alive_.token();
  for (int i = 0; i < kMaxAccepts && !is_paused_; ++i) {
    if (purpose_ == Purpose::listener && !group_.descriptors().has_room(fd_.get())) {
      rest_a_while();
      break;
    }
    RawAddress raw;
    raw.size = sizeof raw.storage;
    Fd fd(::accept4(fd_.get(), raw.get(), &raw.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.is_open()) {
      const int error = errno;
      const bool is_exhausted =
          error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
      if (is_exhausted) rest_a_while();
      // Anything else but "none left" is the fate of one connection: go on with the next.
      if (error == EAGAIN) has_waiting_ = false;
      if (error == EAGAIN || is_exhausted) break;
      continue;
    }
    auto stream = StreamSocket::adopt(loop_, std::move(fd), from_raw(raw.get()));
    if (!stream) {
      rest_a_while();
      break;
    }
    handler_.on_accept(now, std::move(*stream));
    if (!alive) return;
  }
  if (has_waiting_ && !is_paused_ && !rest_) loop_.make_ready(*this);
}

}  // namespace culvert::net
