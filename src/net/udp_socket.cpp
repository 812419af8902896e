#include "net/udp_socket.h"

#include "base/limits.h"
#include "net/udp_message.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

constexpr std::size_t kSendMessages = 32;     // per sendmmsg
constexpr std::size_t kMaxSegments = 64;      // UDP_MAX_SEGMENTS of kernels before 6.9
constexpr std::size_t kMaxGsoBytes = 65'507;  // the largest UDP payload over IPv4
constexpr std::size_t kMaxErrorsInTurn = 16;  // of one socket, so that they starve nobody

// Errors by which a kernel or a driver says "no GSO here", among other things.
bool may_mean_no_gso(int error) {
  return error == EIO || error == EINVAL || error == EOPNOTSUPP || error == ENOPROTOOPT;
}
// Too large for the path says the kernel of the first segment; a shorter last one may fit.
bool may_fit_in_part(int error) {
  return may_mean_no_gso(error) || error == EMSGSIZE;
}

// An error of the queue that says that nobody takes datagrams there: ICMP port unreachable, or a
// firewall's "administratively prohibited".
bool is_refusal(const msghdr& message) {
  auto* header = const_cast<msghdr*>(&message);  // CMSG_NXTHDR wants it so
  for (cmsghdr* c = CMSG_FIRSTHDR(header); c != nullptr; c = CMSG_NXTHDR(header, c)) {
    const bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                          (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
    if (!is_error || c->cmsg_len < CMSG_LEN(sizeof(sock_extended_err))) continue;
    sock_extended_err error{};
    std::memcpy(&error, CMSG_DATA(c), sizeof error);
    if (error.ee_origin == SO_EE_ORIGIN_ICMP && error.ee_type == ICMP_DEST_UNREACH) {
      return error.ee_code == ICMP_PORT_UNREACH || error.ee_code == ICMP_NET_ANO ||
             error.ee_code == ICMP_HOST_ANO || error.ee_code == ICMP_PKT_FILTERED;
    }
    if (error.ee_origin == SO_EE_ORIGIN_ICMP6 && error.ee_type == ICMP6_DST_UNREACH) {
      return error.ee_code == ICMP6_DST_UNREACH_NOPORT || error.ee_code == ICMP6_DST_UNREACH_ADMIN;
    }
  }
  return false;
}

// Which of our addresses a datagram comes to or leaves from; pointless where there is one.
bool wants_local_address(const UdpOptions& options) {
  return options.bind.ip.is_unspecified() && !options.remote;
}

}  // namespace

struct UdpSocket::Cursor {
  std::size_t batch = 0;
  std::size_t offset = 0;  // bytes of that batch already gone

  void advance(std::span<const TxBatch> batches, std::size_t bytes) {
    offset += bytes;
    if (offset >= batches[batch].bytes.size()) {
      ++batch;
      offset = 0;
    }
  }
};

struct UdpSocket::Tail {
  TxBatch batch;  // its bytes point into `bytes`
  Bytes bytes;
};

UdpSocket::UdpSocket(HostGroup& group, Loop& loop, UdpHandler& handler)
    : group_(group), loop_(loop), handler_(handler), features_(group.features()) {}

UdpSocket::~UdpSocket() {
  loop_.unwatch(watch_, fd_.get());
}

Result<std::unique_ptr<UdpSocket>> UdpSocket::open(HostGroup& group, Loop& loop,
                                                   const UdpOptions& options, UdpHandler& handler) {
  std::unique_ptr<UdpSocket> port(new UdpSocket(group, loop, handler));
  if (Status bound = port->bind(options); !bound) return forward(bound);
  CULVERT_TRY(port->watch_, loop.watch(port->fd_.get(), EPOLLIN, *port));
  return port;
}

Status UdpSocket::bind(const UdpOptions& options) {
  SocketAddress bind = options.bind;
  // A connected socket needs its peer's family; "any" is the same wish in both.
  if (options.remote && bind.ip.is_unspecified()) {
    bind.ip = IpAddress::any(options.remote->ip.family());
  }
  is_v6_ = bind.ip.is_v6();
  for (;;) {
    const std::string name = bind.text();
    fd_ = Fd(::socket(is_v6_ ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    int error = fd_.is_open() ? 0 : errno;
    if (error == 0) {
      if (Status taken = take_place(options.purpose, name); !taken) return taken;
      if (Status configured = configure(options); !configured) return configured;
      RawAddress raw;
      to_raw(bind, is_v6_, raw);
      if (::bind(fd_.get(), raw.get(), raw.size) != 0) error = errno;
    }
    if (error == 0) break;
    const bool is_v6_absent = error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
    if (!is_v6_ || !options.is_dual_stack || !is_v6_absent) {
      return std::unexpected(listen_error(error, "cannot open a UDP socket", bind));
    }
    if (!group_.notes().ipv6_absent.exchange(true)) {
      group_.log().info("net", "no IPv6 on this machine: using IPv4 only");
    }
    bind.ip = IpAddress::any(Family::v4);
    is_v6_ = false;
  }
  if (options.remote) {
    RawAddress raw;
    to_raw(*options.remote, is_v6_, raw);
    if (::connect(fd_.get(), raw.get(), raw.size) != 0) {
      return std::unexpected(system_error(errno, "no route for UDP", options.remote->text()));
    }
    is_connected_ = true;
  }
  RawAddress raw;
  raw.size = sizeof raw.storage;
  if (::getsockname(fd_.get(), raw.get(), &raw.size) != 0) {
    return std::unexpected(system_error(errno, "getsockname", bind.text()));
  }
  local_ = from_raw(raw.get()).value_or(bind);
  // The mapped wildcard is IPv6's: say so rather than 0.0.0.0.
  if (is_v6_ && bind.ip.is_unspecified() && !is_connected_) {
    local_.ip = IpAddress::any(Family::v6);
  }
  picks_source_ = wants_local_address(options);
  return {};
}

Status UdpSocket::take_place(Purpose purpose, const std::string& name) {
  if (purpose == Purpose::flow && !group_.descriptors().is_for_flows(fd_.get())) {
    return std::unexpected(no_descriptor(name));
  }
  if (purpose == Purpose::listener) {
    CULVERT_TRY(place_, group_.descriptors().take_listener(fd_.get(), name));
  }
  return {};
}

Status UdpSocket::configure(const UdpOptions& options) {
  const int fd = fd_.get();
  if (options.is_shared && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) {
    return std::unexpected(system_error(errno, "SO_REUSEPORT", options.bind.text()));
  }
  const bool wants_local = wants_local_address(options);
  if (is_v6_) {
    const bool is_dual = options.is_dual_stack || (options.remote && options.remote->ip.is_v4());
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_dual ? 0 : 1);
    if (wants_local) set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    if (options.has_large_buffers) {
      set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    }
  } else if (wants_local) {
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  }
  // Also for the IPv4 traffic of a dual-stack socket.
  set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
  if (options.has_large_buffers) {
    // Never fragment, and ignore what the kernel thinks the path MTU is: QUIC probes itself.
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    size_buffers();
  }
  if (features_.gro && !set_option(fd, IPPROTO_UDP, UDP_GRO, 1)) {
    features_.gro = false;
    if (!group_.notes().gro_refused.exchange(true)) {
      group_.log().info("net", "the kernel has no UDP_GRO: receiving datagrams one by one");
    }
  }
  return {};
}

void UdpSocket::size_buffers() {
  const int wanted = static_cast<int>(limits::kSocketBufferBytes);
  // FORCE ignores the sysctl; it needs CAP_NET_ADMIN.
  const auto ask = [&](int forced, int plain) {
    if (!set_option(fd_.get(), SOL_SOCKET, forced, wanted)) {
      set_option(fd_.get(), SOL_SOCKET, plain, wanted);
    }
    int got = 0;
    socklen_t size = sizeof got;
    ::getsockopt(fd_.get(), SOL_SOCKET, plain, &got, &size);
    return got / 2;  // the kernel reports double, to count its own overhead
  };
  const int receive = ask(SO_RCVBUFFORCE, SO_RCVBUF);
  const int send = ask(SO_SNDBUFFORCE, SO_SNDBUF);
  if (std::min(receive, send) < wanted && !group_.notes().clamped_buffers.exchange(true)) {
    group_.log().warn("net",
                      "UDP socket buffers are clamped (fast links may lose packets): "
                      "sysctl -w net.core.rmem_max={} net.core.wmem_max={} receive={} send={}",
                      wanted, wanted, receive, send);
  }
}

// --- receiving ---------------------------------------------------------------------------

void UdpSocket::on_fd_events(std::uint32_t events) {
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) may_be_readable_ = true;
  if (is_blocked_ && (events & EPOLLOUT) != 0) {
    is_blocked_ = false;
    is_writable_due_ = true;
    loop_.change(watch_, fd_.get(), EPOLLIN);
  }
  loop_.make_ready(*this);
}

void UdpSocket::run(Instant now) {
  if (is_writable_due_) {
    is_writable_due_ = false;
    if (flush_tail()) {
      if (may_be_readable_) loop_.make_ready(*this);
      handler_.on_udp_writable(now);  // may destroy us
      return;
    }
  }
  if (!may_be_readable_) return;
  loop_.make_ready(*this);        // again next turn, unless recv_batch finds the socket empty
  handler_.on_udp_readable(now);  // may destroy us
}

std::size_t UdpSocket::recv_batch(std::span<RxDatagram> out) {
  std::array<mmsghdr, Loop::kReceiveSlots> messages;
  std::array<iovec, Loop::kReceiveSlots> slices;
  std::array<sockaddr_in6, Loop::kReceiveSlots> senders;
  std::array<UdpControl, Loop::kReceiveSlots> controls;

  std::uint8_t* arena = loop_.receive_arena();
  const std::size_t wanted = std::min(out.size(), receives_.wanted());
  std::size_t errors = 0;
  while (may_be_readable_ && wanted > 0) {
    for (std::size_t i = 0; i < wanted; ++i) {
      slices[i] = {arena + i * Loop::kReceiveSlotBytes, Loop::kReceiveSlotBytes};
      msghdr& header = messages[i].msg_hdr;
      header = {};
      header.msg_name = &senders[i];
      header.msg_namelen = sizeof senders[i];
      header.msg_iov = &slices[i];
      header.msg_iovlen = 1;
      header.msg_control = controls[i].bytes.data();
      header.msg_controllen = controls[i].bytes.size();
    }
    const int received =
        ::recvmmsg(fd_.get(), messages.data(), static_cast<unsigned>(wanted), 0, nullptr);
    if (received < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        may_be_readable_ = false;
        break;
      }
      // A connected socket reports ICMP errors (a dozen kinds) in place of data, each once.
      // There may be data behind it, whose edge has come already.
      if (++errors < kMaxErrorsInTurn) continue;
      return 0;
    }
    // Fewer than asked means empty, or (connected sockets only) an error in between.
    const auto taken = static_cast<std::size_t>(received);
    if (taken < wanted && !is_connected_) may_be_readable_ = false;
    receives_.on_got(wanted, taken);
    std::size_t count = 0;
    for (std::size_t i = 0; i < taken; ++i) {
      const bool is_cut = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
      if (is_cut) continue;
      const ByteView bytes(arena + i * Loop::kReceiveSlotBytes, messages[i].msg_len);
      out[count++] = parse_received(messages[i].msg_hdr, local_, bytes);
    }
    if (count > 0) {
      if (!may_be_readable_ && !is_writable_due_) unlink();
      return count;
    }
  }
  if (!may_be_readable_ && !is_writable_due_) unlink();
  return 0;
}

void UdpSocket::want_refusals(bool is_wanted) {
  if (std::exchange(wants_refusals_, is_wanted) == is_wanted) return;
  // Switched off, the kernel forgets what waits.
  if (is_v6_) set_option(fd_.get(), IPPROTO_IPV6, IPV6_RECVERR, is_wanted ? 1 : 0);
  set_option(fd_.get(), IPPROTO_IP, IP_RECVERR, is_wanted ? 1 : 0);
}

std::optional<UdpRefusal> UdpSocket::poll_refusal() {
  for (std::size_t errors = 0; wants_refusals_ && errors < kMaxErrorsInTurn;) {
    RawAddress to;
    std::array<std::uint8_t, UdpRefusal::kMaxQuoteBytes> quote;
    iovec slice{quote.data(), quote.size()};
    alignas(cmsghdr) std::array<std::uint8_t, 512> control;
    msghdr header{};
    header.msg_name = to.get();
    header.msg_namelen = sizeof to.storage;
    header.msg_iov = &slice;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t quoted = ::recvmsg(fd_.get(), &header, MSG_ERRQUEUE);
    if (quoted < 0) {
      if (errno == EINTR) continue;
      break;
    }
    ++errors;  // of other kinds
    const auto remote = from_raw(to.get());
    if (!remote || !is_refusal(header)) continue;
    return UdpRefusal{.remote = *remote, .quote = Bytes(quote.begin(), quote.begin() + quoted)};
  }
  return std::nullopt;
}

// --- sending -----------------------------------------------------------------------------

UdpSendResult UdpSocket::send_batch(std::span<const TxBatch> batches) {
  if (!flush_tail()) return {0, true};
  Cursor cursor;
  if (send_all(batches, cursor) == Outcome::taken) return {batches.size(), false};
  if (cursor.offset > 0) {
    const TxBatch& cut = batches[cursor.batch];
    tail_ = std::make_unique<Tail>();
    const ByteView rest = cut.bytes.subspan(cursor.offset);
    tail_->bytes.assign(rest.begin(), rest.end());
    tail_->batch = cut;
    tail_->batch.bytes = tail_->bytes;
    ++cursor.batch;
  }
  wait_for_writable();
  return {cursor.batch, true};
}

bool UdpSocket::flush_tail() {
  if (!tail_) return true;
  Cursor cursor;
  if (send_all({&tail_->batch, 1}, cursor) == Outcome::taken) {
    tail_.reset();
    return true;
  }
  tail_->batch.bytes = tail_->batch.bytes.subspan(cursor.offset);
  wait_for_writable();
  return false;
}

void UdpSocket::wait_for_writable() {
  if (is_blocked_) return;
  is_blocked_ = true;
  // Only while blocked: the kernel would report every datagram that leaves.
  loop_.change(watch_, fd_.get(), EPOLLIN | EPOLLOUT);
}

UdpSocket::Outcome UdpSocket::send_all(std::span<const TxBatch> batches, Cursor& cursor) {
  std::array<UdpMessage, kSendMessages> messages;
  std::array<mmsghdr, kSendMessages> headers;
  while (cursor.batch < batches.size()) {
    std::size_t count = 0;
    for (Cursor next = cursor; next.batch < batches.size() && count < kSendMessages; ++count) {
      const TxBatch& batch = batches[next.batch];
      const std::size_t size = chunk_bytes(batch, next.offset);
      messages[count].write(batch, batch.bytes.subspan(next.offset, size), addressing());
      headers[count].msg_hdr = messages[count].header();
      next.advance(batches, size);
    }
    const int sent = send_messages(headers.data(), count);
    for (int i = 0; i < sent; ++i) {
      cursor.advance(batches, messages[static_cast<std::size_t>(i)].size());
    }
    if (sent >= 0 || errno == EINTR) continue;
    const int error = errno;
    if (error == EAGAIN) return Outcome::blocked;
    const std::size_t size = messages[0].size();
    if (size > batches[cursor.batch].segment_size && may_fit_in_part(error)) {
      if (send_singly(batches, cursor, size, error) == Outcome::blocked) return Outcome::blocked;
      continue;
    }
    // The network refuses this message (ENETUNREACH, EPERM...): it counts as taken.
    cursor.advance(batches, size);
  }
  return Outcome::taken;
}

// As sendmmsg. A socket that hears of errors says once, in place of sending, what became of an
// earlier datagram; that must not cost these, or whoever can forge ICMP could stop them.
int UdpSocket::send_messages(mmsghdr* messages, std::size_t count) {
  const auto number = static_cast<unsigned>(count);
  const int sent = ::sendmmsg(fd_.get(), messages, number, 0);
  const bool may_be_old = is_connected_ || wants_refusals_;
  if (sent >= 0 || errno == EAGAIN || !may_be_old) return sent;
  return ::sendmmsg(fd_.get(), messages, number, 0);
}

// The next message's share of a batch: as many segments as one GSO call takes, or one.
std::size_t UdpSocket::chunk_bytes(const TxBatch& batch, std::size_t offset) const {
  const std::size_t segment = std::max<std::size_t>(batch.segment_size, 1);
  const std::size_t rest = batch.bytes.size() - offset;
  if (!features_.gso) return std::min(segment, rest);
  const std::size_t segments = std::clamp<std::size_t>(kMaxGsoBytes / segment, 1, kMaxSegments);
  return std::min(segments * segment, rest);
}

// After the kernel refused `size` bytes as one GSO message with `error`. The same errors mean that
// the path MTU has become smaller than a segment, or that our address is gone; then single
// datagrams of that size are refused too, and only what fits leaves. If a whole segment is
// accepted, it is GSO that this machine lacks.
UdpSocket::Outcome UdpSocket::send_singly(std::span<const TxBatch> batches, Cursor& cursor,
                                          std::size_t size, int error) {
  const std::size_t index = cursor.batch;
  const TxBatch& batch = batches[index];
  const std::size_t end = cursor.offset + size;
  while (cursor.batch == index && cursor.offset < end) {
    const std::size_t one = std::min<std::size_t>(batch.segment_size, end - cursor.offset);
    UdpMessage message;
    message.write(batch, batch.bytes.subspan(cursor.offset, one), addressing());
    mmsghdr header{.msg_hdr = message.header(), .msg_len = 0};
    const int sent = send_messages(&header, 1);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return Outcome::blocked;
    if (sent >= 0 && one == batch.segment_size && may_mean_no_gso(error)) disable_gso();
    cursor.advance(batches, one);
  }
  return Outcome::taken;
}

void UdpSocket::disable_gso() {
  if (!std::exchange(features_.gso, false)) return;
  if (!group_.notes().gso_refused.exchange(true)) {
    group_.log().info("net",
                      "the kernel or the network card refuses UDP_SEGMENT: sending "
                      "datagrams one by one");
  }
}

}  // namespace culvert::net
