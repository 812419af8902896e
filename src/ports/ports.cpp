#include "ports/ports.h"

namespace culvert {

std::string to_text(const StreamAddress& address) {
  if (const auto* socket_address = std::get_if<SocketAddress>(&address)) {
    return socket_address->text();
  }
  return "unix:" + std::get<UnixPath>(address).path;
}

}  // namespace culvert
