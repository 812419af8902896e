// SipHash-2-4: a short keyed hash for tables that hold what strangers send. Without the key
// nobody can find two inputs that collide, or tell from a value what was hashed.
#pragma once

#include "base/bytes.h"

#include <array>
#include <cstdint>

namespace culvert::crypto {

using SipKey = std::array<std::uint8_t, 16>;

[[nodiscard]] std::uint64_t siphash(const SipKey& key, ByteView message);

}  // namespace culvert::crypto
