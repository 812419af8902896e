#include "bench/tool/tun.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace culvert::bench {
namespace {

// The device's own queue must never be what drops: the Link decides that.
constexpr int kDeviceQueuePackets = 20'000;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "link_forwarder: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

}  // namespace

int make_tun(const std::string& namespace_path, const std::string& device, int mtu) {
  const int space = open(namespace_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) != 0) fail(namespace_path);
  close(space);
  const int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (tun < 0) fail("/dev/net/tun");
  ifreq request{};
  std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(tun, TUNSETIFF, &request) != 0) fail("make " + device + " in " + namespace_path);

  const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto set = [&](unsigned long what, const char* name) {
    if (ioctl(control, what, &request) != 0) fail(device + ": set " + name);
  };
  request.ifr_mtu = mtu;
  set(SIOCSIFMTU, "the MTU");
  request.ifr_qlen = kDeviceQueuePackets;
  set(SIOCSIFTXQLEN, "the queue");
  if (ioctl(control, SIOCGIFFLAGS, &request) != 0) fail(device);
  request.ifr_flags |= IFF_UP;
  set(SIOCSIFFLAGS, "it up");
  close(control);
  return tun;
}

}  // namespace culvert::bench
