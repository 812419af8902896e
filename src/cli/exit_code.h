// What `culvert` exits with. Scripts and service managers decide by it whether to retry:
// never after 2 and 3, always after 11.
#pragma once

#include "base/result.h"

namespace culvert::cli {

enum class ExitCode : int {
  ok = 0,
  general = 1,
  configuration = 2,   // flags, environment, files, keys
  authentication = 3,  // the server refused us
  not_connected = 10,  // no server was reached; status, tunnels: no instance runs
  lost = 11,           // the server was lost after it had worked
};

[[nodiscard]] ExitCode exit_code(ErrorKind kind);

}  // namespace culvert::cli
