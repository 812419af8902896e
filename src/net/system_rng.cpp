#include "net/system_rng.h"

#include "base/assert.h"

#include <cerrno>
#include <cstring>

#include <sys/random.h>

namespace culvert::net {
namespace {

void fill_from_kernel(ByteSpan out) {
  while (!out.empty()) {
    const ssize_t count = ::getrandom(out.data(), out.size(), 0);
    // Only EINTR can happen: the kernel blocks until it is seeded.
    CULVERT_ASSERT(count > 0 || errno == EINTR);
    if (count > 0) out = out.subspan(static_cast<std::size_t>(count));
  }
}

}  // namespace

SystemRng::~SystemRng() {
  ::explicit_bzero(pool_.data(), pool_.size());
}

void SystemRng::fill(ByteSpan out) {
  if (out.size() > pool_.size() / 4) {
    fill_from_kernel(out);
    return;
  }
  if (out.size() > left_) {
    fill_from_kernel(pool_);
    left_ = pool_.size();
  }
  left_ -= out.size();
  std::memcpy(out.data(), pool_.data() + left_, out.size());
  ::explicit_bzero(pool_.data() + left_, out.size());
}

}  // namespace culvert::net
