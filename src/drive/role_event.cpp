#include "drive/role_event.h"

namespace culvert::drive {

std::string_view to_string(RoleEventKind kind) {
  switch (kind) {
    case RoleEventKind::session_opened:
      return "session_opened";
    case RoleEventKind::session_refused:
      return "session_refused";
    case RoleEventKind::session_lost:
      return "session_lost";
    case RoleEventKind::session_resumed:
      return "session_resumed";
    case RoleEventKind::session_closed:
      return "session_closed";
    case RoleEventKind::flow_refused:
      return "flow_refused";
    case RoleEventKind::path_changed:
      return "path_changed";
    case RoleEventKind::path_opened:
      return "path_opened";
    case RoleEventKind::path_lost:
      return "path_lost";
    case RoleEventKind::tunnel_changed:
      break;
  }
  return "tunnel_changed";
}

}  // namespace culvert::drive
