#include "net/descriptors.h"

#include "base/limits.h"
#include "net/socket_address.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>

namespace culvert::net {

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, limits::kMaxDescriptors);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // else it stays as it is, and flows are fewer
}

Error no_descriptor(std::string offender) {
  return {ErrorKind::limit,
          "a limit is reached: all file descriptors for flows are in use; end some, or raise the "
          "limit (ulimit -n, LimitNOFILE=)",
          std::move(offender)};
}

DescriptorBudget::DescriptorBudget() : bound_(std::numeric_limits<int>::max()) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const rlim_t reserve = std::min<rlim_t>(limits::kReservedDescriptors, limit.rlim_cur / 4);
  bound_ = static_cast<int>(std::min<rlim_t>(limit.rlim_cur - reserve, bound_));
}

bool DescriptorBudget::has_room(int fd) const {
  const Fd next(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return next.is_open() && is_for_flows(next.get());
}

std::uint32_t DescriptorBudget::room() const {
  const Fd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!next.is_open()) return 0;
  return static_cast<std::uint32_t>(std::max(bound_ - next.get(), 0));
}

}  // namespace culvert::net
