#include "app/options.h"

#include <algorithm>
#include <thread>

namespace culvert::app {

unsigned default_worker_count() {
  // hardware_concurrency is 0 where the system does not tell.
  return std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
}

}  // namespace culvert::app
