// One UDP message with its control data, as sendmsg and recvmsg want it. Private to net/.
#pragma once

#include "base/datagram.h"
#include "net/socket_address.h"
#include "ports/ports.h"

#include <array>
#include <cstdint>
#include <span>

#include <netinet/in.h>
#include <sys/socket.h>

namespace culvert::net {

struct UdpControl {
  // Local address, ECN, segment size.
  alignas(
      cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
                                            CMSG_SPACE(sizeof(int))> bytes;
};

// What a socket is, as far as its messages care.
struct UdpAddressing {
  bool is_v6;                            // IPv4 addresses are written mapped
  bool is_connected;                     // no destination in the message
  bool picks_source;                     // the batch's local address, when concrete, goes along
  std::span<const LocalAddress> pinned;  // these name their interface, too
};

// Large and not initialised until write(); its header points into itself, so it stays put.
class UdpMessage {
 public:
  UdpMessage() {}  // NOLINT: arrays of these live on the send path's stack
  UdpMessage(const UdpMessage&) = delete;
  UdpMessage& operator=(const UdpMessage&) = delete;

  // `bytes` is part of `batch`; more than a segment asks for GSO.
  void write(const TxBatch& batch, ByteView bytes, UdpAddressing addressing);
  [[nodiscard]] const msghdr& header() const { return header_; }
  [[nodiscard]] std::size_t size() const { return slice_.iov_len; }

 private:
  template <typename T>
  void add_control(int level, int type, const T& value);

  msghdr header_;
  iovec slice_;
  RawAddress to_;
  UdpControl control_;
};

// `local` is the socket's own address, for what the control data does not tell.
[[nodiscard]] RxDatagram parse_received(const msghdr& message, const SocketAddress& local,
                                        ByteView bytes);

}  // namespace culvert::net
