#include "net/udp_message.h"

#include <algorithm>
#include <cstring>

#include <netinet/udp.h>

namespace culvert::net {
namespace {

template <typename T>
T control_value(const cmsghdr* header) {
  T value{};
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

std::uint32_t interface_of(const UdpAddressing& addressing, const IpAddress& local) {
  const auto found = std::ranges::find(addressing.pinned, local, &LocalAddress::ip);
  return found == addressing.pinned.end() ? 0 : found->interface_index;
}

}  // namespace

template <typename T>
void UdpMessage::add_control(int level, int type, const T& value) {
  auto* header = reinterpret_cast<cmsghdr*>(control_.bytes.data() + header_.msg_controllen);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
  header_.msg_control = control_.bytes.data();
  header_.msg_controllen += CMSG_SPACE(sizeof value);
}

void UdpMessage::write(const TxBatch& batch, ByteView bytes, UdpAddressing addressing) {
  slice_ = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  header_ = {};
  header_.msg_iov = &slice_;
  header_.msg_iovlen = 1;
  if (!addressing.is_connected) {
    to_raw(batch.path.remote, addressing.is_v6, to_);
    header_.msg_name = to_.get();
    header_.msg_namelen = to_.size;
  }
  if (batch.ecn != Ecn::not_ect) {
    // IPv4 from a dual-stack socket takes the IPv4 option.
    const bool is_v6_packet = addressing.is_v6 && batch.path.remote.ip.is_v6();
    add_control(is_v6_packet ? IPPROTO_IPV6 : IPPROTO_IP, is_v6_packet ? IPV6_TCLASS : IP_TOS,
                static_cast<int>(batch.ecn));
  }
  const IpAddress& from = batch.path.local.ip;
  if (addressing.picks_source && !from.is_unspecified()) {
    if (addressing.is_v6) {
      in6_pktinfo info{};
      info.ipi6_addr = to_in6(from);
      info.ipi6_ifindex = from.scope_id() != 0 ? from.scope_id() : interface_of(addressing, from);
      add_control(IPPROTO_IPV6, IPV6_PKTINFO, info);
    } else if (from.is_v4()) {
      in_pktinfo info{};
      info.ipi_spec_dst = to_in4(from);
      info.ipi_ifindex = static_cast<int>(interface_of(addressing, from));
      add_control(IPPROTO_IP, IP_PKTINFO, info);
    }
  }
  if (batch.segment_size > 0 && bytes.size() > batch.segment_size) {
    add_control(IPPROTO_UDP, UDP_SEGMENT, batch.segment_size);
  }
}

RxDatagram parse_received(const msghdr& message, const SocketAddress& local, ByteView bytes) {
  RxDatagram datagram;
  datagram.path.local = local;
  datagram.path.remote =
      from_raw(static_cast<const sockaddr*>(message.msg_name)).value_or(SocketAddress{});
  datagram.bytes = bytes;
  std::size_t segment = bytes.size();
  auto* header = const_cast<msghdr*>(&message);  // CMSG_NXTHDR wants it so
  for (cmsghdr* c = CMSG_FIRSTHDR(header); c != nullptr; c = CMSG_NXTHDR(header, c)) {
    const auto is = [c](int level, int type) {
      return c->cmsg_level == level && c->cmsg_type == type;
    };
    if (is(IPPROTO_IP, IP_TOS)) {
      datagram.ecn = static_cast<Ecn>(control_value<std::uint8_t>(c) & 3);
    } else if (is(IPPROTO_IPV6, IPV6_TCLASS)) {
      datagram.ecn = static_cast<Ecn>(control_value<int>(c) & 3);
    } else if (is(IPPROTO_UDP, UDP_GRO)) {
      segment = static_cast<std::size_t>(control_value<int>(c));
    } else if (is(IPPROTO_IP, IP_PKTINFO)) {
      datagram.path.local.ip = from_in4(control_value<in_pktinfo>(c).ipi_addr);
    } else if (is(IPPROTO_IPV6, IPV6_PKTINFO)) {
      const auto info = control_value<in6_pktinfo>(c);
      const bool has_scope = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr);
      datagram.path.local.ip = from_in6(info.ipi6_addr, has_scope ? info.ipi6_ifindex : 0);
    }
  }
  datagram.segment_size =
      static_cast<std::uint16_t>(std::min(std::max<std::size_t>(segment, 1), bytes.size()));
  return datagram;
}

}  // namespace culvert::net
