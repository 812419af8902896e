#include "base/result.h"

namespace culvert {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::configuration:
      return "configuration";
    case ErrorKind::authentication:
      return "authentication";
    case ErrorKind::unreachable:
      return "unreachable";
    case ErrorKind::lost:
      return "lost";
    case ErrorKind::not_found:
      return "not found";
    case ErrorKind::refused:
      return "refused";
    case ErrorKind::protocol:
      return "protocol";
    case ErrorKind::io:
      return "io";
    case ErrorKind::limit:
      return "limit";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::internal:
      return "internal";
  }
  return "unknown";
}

std::string Error::text() const {
  return offender.empty() ? what : offender + ": " + what;
}

Error Error::in(std::string_view context) && {
  what = std::string(context) + ": " + what;
  return std::move(*this);
}

}  // namespace culvert
