// Hashes, MACs and constant-time comparison, over GnuTLS.
#pragma once

#include "base/bytes.h"

#include <array>
#include <cstdint>

namespace culvert::crypto {

using Digest = std::array<std::uint8_t, 32>;

[[nodiscard]] Digest sha256(ByteView message);
[[nodiscard]] Digest hmac_sha256(ByteView key, ByteView message);

// Time depends on the lengths only, never on the contents.
[[nodiscard]] bool constant_time_equal(ByteView a, ByteView b);

}  // namespace culvert::crypto
