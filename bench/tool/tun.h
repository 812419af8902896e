// TUN devices in network namespaces. Errors end the program.
#pragma once

#include <string>

namespace culvert::bench {

// Makes `device` in the namespace at `namespace_path` (/run/netns/NAME), up and with `mtu`,
// and returns a non-blocking descriptor that reads and writes whole IP packets; the device
// goes when it is closed. It offers the kernel no offloads: what is read is what a wire
// would carry. Moves the calling thread into the namespace.
int make_tun(const std::string& namespace_path, const std::string& device, int mtu);

}  // namespace culvert::bench
