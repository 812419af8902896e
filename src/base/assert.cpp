#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace culvert {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "culvert: internal error: %s is false (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace culvert
