// Kernel features a UDP socket may use. Tests and switches turn them off
// to force the fallbacks; where the kernel refuses one, the socket falls back by itself.
#pragma once

namespace culvert::net {

struct UdpFeatures {
  bool gso = true;  // UDP_SEGMENT: one system call sends up to 64 datagrams
  bool gro = true;  // UDP_GRO: one message receives up to 64 KiB of equal datagrams

  friend bool operator==(const UdpFeatures&, const UdpFeatures&) = default;
};

}  // namespace culvert::net
