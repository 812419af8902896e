// Which library looks names up: for `culvert --version`.
#pragma once

#include <string>

namespace culvert::net {

[[nodiscard]] std::string c_ares_version();

}  // namespace culvert::net
