// The seam between what one thread runs and the outside world. Production binds these interfaces
// to the kernel (net/), simulation to a virtual world (sim/). The unit of exchange is
// the batch, so a virtual call costs one indirection per ~100 packets.
//
// Rules for every implementation:
//  - All calls and all handler callbacks of one Host happen on one thread.
//  - A handler is never called from inside a call to its port (always from the loop).
//  - Destroying a port ends its callbacks at once; a handler may destroy its own port
//    from inside a callback.
//  - `now` never goes back.
//  - want_*() are one-shot: one call, at most one callback. Asking twice is one wish.
#pragma once

#include "base/bytes.h"
#include "base/datagram.h"
#include "base/log.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace culvert {

// What a file descriptor is for. Flows leave the last of a process to the rest, and the listeners
// of tunnels some of those.
enum class Purpose : std::uint8_t { process, listener, flow };

// --- UDP -------------------------------------------------------------------------------

class UdpHandler {
 public:
  virtual ~UdpHandler() = default;
  // Datagrams wait: call recv_batch until it returns 0 or a budget is spent. Level-triggered:
  // called again next turn while datagrams remain.
  virtual void on_udp_readable(Instant now) = 0;
  // The socket takes datagrams again after send_batch was blocked.
  virtual void on_udp_writable(Instant now) = 0;
};

enum class AddressUse : std::uint8_t {
  any,
  // Of a VPN or a bridge of containers: what leaves there may come back to us to be carried, and
  // others cannot reach it. A client may try it while it carries nothing (peer/client_session.h).
  inner,
  never,  // the user excludes it
};

// Of an interface that is up.
struct LocalAddress {
  IpAddress ip;
  std::uint32_t interface_index = 0;
  AddressUse use = AddressUse::any;
  friend auto operator<=>(const LocalAddress&, const LocalAddress&) = default;
};

struct UdpSendResult {
  std::size_t batches_taken = 0;  // the rest was not sent: blocked
  bool is_blocked = false;
};

// A way out for datagrams: a UDP socket, a relay's connection, a TURN server's allocation.
class Transport {
 public:
  virtual ~Transport() = default;
  // Datagrams that the network refuses (no route, too large, port unreachable) count as
  // taken: UDP promises nothing, and QUIC notices by itself. Who was blocked says when it no longer
  // is: a UdpPort by on_udp_writable.
  [[nodiscard]] virtual UdpSendResult send_batch(std::span<const TxBatch> batches) = 0;
};

// ICMP says that nobody takes our datagrams there. Who can guess our port can send that.
struct UdpRefusal {
  static constexpr std::size_t kMaxQuoteBytes = 64;  // of a QUIC packet: both connection ids
  SocketAddress remote;
  Bytes quote;  // how the datagram began that it answers; many routers and systems send none of it
};

class UdpPort : public Transport {
 public:
  // Packets from these local addresses leave by their own interfaces, whatever the routing
  // table prefers; replaces the earlier list.
  virtual void pin_sources(std::vector<LocalAddress> sources) = 0;
  // Fills `out` from the front. The bytes stay valid until the next recv_batch of any port
  // of this Host: the ports share its receive buffers. 0 = nothing waits.
  [[nodiscard]] virtual std::size_t recv_batch(std::span<RxDatagram> out) = 0;
  // While wanted, the socket hears where nobody takes its datagrams (ICMP port unreachable). Not
  // on a socket that carries traffic: an error costs the next datagram.
  virtual void want_refusals(bool is_wanted) = 0;
  // Who refused since it was asked last; ask when recv_batch has nothing, until it is empty.
  [[nodiscard]] virtual std::optional<UdpRefusal> poll_refusal() = 0;
  [[nodiscard]] virtual SocketAddress local_address() const = 0;
};

struct UdpOptions {
  Purpose purpose = Purpose::flow;
  SocketAddress bind{};                   // port 0 = any
  std::optional<SocketAddress> remote{};  // connected socket: only this peer, errors seen
  bool is_shared = false;                 // SO_REUSEPORT among the workers of this process
  bool is_dual_stack = false;  // bind is [::]: also carry IPv4 (if IPv6 is absent: IPv4 only)
  // The QUIC socket: limits::kSocketBufferBytes, and never fragment (path MTU discovery).
  bool has_large_buffers = false;
};

// --- byte streams: TCP, Unix sockets, stdio -----------------------------------------------

struct UnixPath {
  std::string path;
  // Connecting: the directory that must hold the socket when all links have been followed.
  // Empty: any.
  std::string beneath{};
  friend bool operator==(const UnixPath& a, const UnixPath& b) { return a.path == b.path; }
  friend auto operator<=>(const UnixPath& a, const UnixPath& b) { return a.path <=> b.path; }
};
using StreamAddress = std::variant<SocketAddress, UnixPath>;
[[nodiscard]] std::string to_text(const StreamAddress& address);

enum class IoStatus : std::uint8_t {
  ok,           // `bytes` moved (may be fewer than asked: more may follow at once)
  would_block,  // nothing moved; use want_*
  end,          // read: the peer sent FIN
  // Connection reset or broken; no more calls but destroy. After a write that failed so, what
  // came before may be read, up to the end or to a read that fails.
  failed,
};
struct IoResult {
  std::size_t bytes = 0;
  IoStatus status = IoStatus::ok;
};

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  virtual void on_stream_connected(Instant now) = 0;  // after connect_stream only
  virtual void on_stream_failed(Instant now,
                                const Error& error) = 0;  // connect failed, or reset seen
  virtual void on_stream_readable(Instant now) = 0;
  virtual void on_stream_writable(Instant now) = 0;
};

struct StreamEnds {
  SocketAddress local;
  SocketAddress remote;
};

class StreamPort {
 public:
  virtual ~StreamPort() = default;  // closes; unread or unsent data makes TCP send RST by itself
  [[nodiscard]] virtual IoResult try_read(std::span<const ByteSpan> into) = 0;
  [[nodiscard]] virtual IoResult try_write(std::span<const ByteView> from) = 0;
  virtual void want_readable() = 0;
  virtual void want_writable() = 0;
  virtual void shutdown_write() = 0;  // FIN after what was written
  virtual void reset() = 0;           // RST (TCP); then destroy
  // An accepted stream starts without a handler.
  virtual void set_handler(StreamHandler& handler) = 0;
  [[nodiscard]] virtual std::string remote_text() const = 0;  // for logs
  // Both ends of a connected TCP stream; none of any other.
  [[nodiscard]] virtual std::optional<StreamEnds> ends() const { return std::nullopt; }
};

class ListenerHandler {
 public:
  virtual ~ListenerHandler() = default;
  virtual void on_accept(Instant now, std::unique_ptr<StreamPort> stream) = 0;
};
class ListenerPort {
 public:
  virtual ~ListenerPort() = default;
  [[nodiscard]] virtual StreamAddress local_address() const = 0;
  // Stop and resume taking connections (a client without session, a full flow table).
  virtual void pause() = 0;
  virtual void resume() = 0;
};

// --- names -----------------------------------------------------------------------------

class ResolveHandler {
 public:
  virtual ~ResolveHandler() = default;
  // Called once, never from inside resolve(). At most limits::kMaxResolvedAddresses.
  virtual void on_resolved(Instant now, Result<std::vector<IpAddress>> addresses) = 0;
};
class ResolvePort {  // a lookup under way; destroy to cancel
 public:
  virtual ~ResolvePort() = default;
};

// --- time ------------------------------------------------------------------------------

class TimerPort {  // a call to come; destroy to cancel
 public:
  virtual ~TimerPort() = default;
};

// --- the host ----------------------------------------------------------------------------

// What a worker is woken for. Implemented by drive::Worker.
class HostHandler {
 public:
  virtual ~HostHandler() = default;
  virtual void on_deadline(Instant now) = 0;
  // Once after request_turn_end(), when the events already waiting have been delivered.
  virtual void on_turn_end(Instant now) = 0;
  // What another worker received for us.
  virtual void on_handover(Instant now, const RxDatagram& datagram) = 0;
  // Local addresses or routes changed (netlink; simulation: interface events).
  virtual void on_network_changed(Instant now) = 0;
};

class Host {
 public:
  virtual ~Host() = default;

  virtual void set_handler(HostHandler& handler) = 0;
  // Reads the clock, for who must know when something really was: between a callback's `now` and
  // what it does this thread may have stood still.
  [[nodiscard]] virtual Instant now() = 0;
  // One deadline; a later call replaces it. kNever = none. A past deadline fires next turn.
  virtual void set_deadline(Instant deadline) = 0;
  // `task` once, when `delay` is over. The timer may be destroyed and replaced by its own task, and
  // outlive its host, whose end cancels it. For what is seldom: who has many timers keeps them in
  // a TimerHeap (ports/timer_heap.h) behind the one deadline.
  [[nodiscard]] virtual std::unique_ptr<TimerPort> after(Duration delay,
                                                         std::function<void(Instant now)> task) = 0;
  virtual void request_turn_end() = 0;
  // From this turn on, what arrives may wait so long to be handled together. Zero: not at all.
  // Deadlines are kept.
  virtual void set_rest(Duration rest) = 0;
  // Gives a batch to another worker of this process (copies it). False: its queue is full.
  virtual bool hand_over(std::uint8_t worker_index, const RxDatagram& datagram) = 0;

  // To bind fails with ErrorKind::unreachable where this machine has no such address.
  [[nodiscard]] virtual Result<std::unique_ptr<UdpPort>> open_udp(const UdpOptions& options,
                                                                  UdpHandler& handler) = 0;
  // Starts connecting; the outcome comes by the handler.
  [[nodiscard]] virtual Result<std::unique_ptr<StreamPort>> connect_stream(
      const StreamAddress& address, Purpose purpose, StreamHandler& handler) = 0;
  // What a `listener` accepts is a flow's; of a `process` listener, the process's as well.
  [[nodiscard]] virtual Result<std::unique_ptr<ListenerPort>> listen_stream(
      const StreamAddress& address, Purpose purpose, ListenerHandler& handler) = 0;
  // Standard input and output as one stream (-W).
  [[nodiscard]] virtual Result<std::unique_ptr<StreamPort>> open_stdio(StreamHandler& handler) = 0;
  [[nodiscard]] virtual std::unique_ptr<ResolvePort> resolve(const std::string& host,
                                                             Purpose purpose,
                                                             ResolveHandler& handler) = 0;
  // The local address the routing table picks towards `remote`.
  [[nodiscard]] virtual Result<IpAddress> local_address_towards(const IpAddress& remote) = 0;

  // All of ours but link-local ones.
  [[nodiscard]] virtual std::vector<LocalAddress> local_addresses() = 0;

  // Much memory was freed: what the allocator keeps of it is to go back to the system.
  virtual void give_back_memory() = 0;

  [[nodiscard]] virtual Rng& rng() = 0;
};

}  // namespace culvert
