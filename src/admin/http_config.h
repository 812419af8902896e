// The bounds of the control interface (limits::kControl*), and how it refuses, for http::Server.
#pragma once

#include "http/server.h"

namespace culvert::control {

[[nodiscard]] http::ServerConfig http_config();

}  // namespace culvert::control
