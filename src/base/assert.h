// CULVERT_ASSERT: for our own bugs only. Never reachable from a peer's bytes, a
// user's input or the network; those return Error or DecodeError. Always on.
#pragma once

namespace culvert {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}

#define CULVERT_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::culvert::assertion_failed(#condition, __FILE__, __LINE__))
