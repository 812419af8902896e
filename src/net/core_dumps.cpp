#include "net/core_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace culvert::net {

void forbid_core_dumps() {
  // The limit alone does not hold for a core_pattern that is a pipe.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

}  // namespace culvert::net
