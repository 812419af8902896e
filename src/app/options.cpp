#include "app/options.h"

#include <algorithm>
#include <thread>

namespace culvert::app {

unsigned default_worker_count() {
  // hardware_concurrency is 0 where the system does not tell.
  return std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
}

bool are_same(const ClientServer& a, const ClientServer& b) {
  return a.name == b.name && a.id == b.id && a.addresses == b.addresses && a.dialect == b.dialect &&
         a.socks5 == b.socks5 && session::are_same(a.credentials, b.credentials);
}

}  // namespace culvert::app
