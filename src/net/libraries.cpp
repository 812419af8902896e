#include "net/libraries.h"

#include <ares.h>

namespace culvert::net {

std::string c_ares_version() {
  return ares_version(nullptr);
}

}  // namespace culvert::net
