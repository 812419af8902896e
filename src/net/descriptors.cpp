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

DescriptorBudget::DescriptorBudget()
    : bound_(std::numeric_limits<int>::max()),
      listener_bound_(bound_),
      most_listeners_(static_cast<std::uint32_t>(bound_)) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const rlim_t reserve = std::min<rlim_t>(limits::kReservedDescriptors, limit.rlim_cur / 4);
  listener_bound_ = static_cast<int>(std::min<rlim_t>(limit.rlim_cur - reserve / 2, bound_));
  bound_ = static_cast<int>(std::min<rlim_t>(limit.rlim_cur - reserve, bound_));
  most_listeners_ = static_cast<std::uint32_t>(bound_ / 2);
}

Result<ListenerPlace> DescriptorBudget::take_listener(int fd, const std::string& name) {
  const std::uint32_t before = listeners_.fetch_add(1, std::memory_order_relaxed);
  ListenerPlace place(listeners_);
  if (fd < listener_bound_ && before < most_listeners_) return place;
  return fail(ErrorKind::limit,
              "a limit is reached: tunnels may listen with half of the file descriptors; raise "
              "the limit (ulimit -n, LimitNOFILE=)",
              name);
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
