// The bounds of the control interface (limits::kControl*), and how it refuses, for http::Server.
#pragma once

#include "http/server.h"

namespace culvert::admin {

[[nodiscard]] http::ServerConfig http_config();

}  // namespace culvert::admin
