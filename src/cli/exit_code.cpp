#include "cli/exit_code.h"

namespace culvert::cli {

ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::configuration:
      return ExitCode::configuration;
    case ErrorKind::authentication:
      return ExitCode::authentication;
    case ErrorKind::unreachable:
      return ExitCode::not_connected;
    case ErrorKind::lost:
      return ExitCode::lost;
    case ErrorKind::cancelled:
      return ExitCode::ok;
    case ErrorKind::not_found:
    case ErrorKind::refused:
    case ErrorKind::protocol:
    case ErrorKind::io:
    case ErrorKind::limit:
    case ErrorKind::internal:
      break;
  }
  return ExitCode::general;
}

}  // namespace culvert::cli
