// Text encodings and checksums. Decoders accept exactly what their encoder writes
// unless said otherwise, and bound their output by their input.
#pragma once

#include "base/bytes.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace culvert {

[[nodiscard]] std::string hex_encode(ByteView bytes);            // lower case
[[nodiscard]] Decoded<Bytes> hex_decode(std::string_view text);  // either case

// RFC 4648 5 without padding; decoding refuses padding and non-zero trailing bits.
[[nodiscard]] std::string base64url_encode(ByteView bytes);
[[nodiscard]] Decoded<Bytes> base64url_decode(std::string_view text);

// RFC 4648 4 with padding; decoding accepts missing padding.
[[nodiscard]] std::string base64_encode(ByteView bytes);
[[nodiscard]] Decoded<Bytes> base64_decode(std::string_view text);

// RFC 4648 6 without padding, lower case; decoding accepts either case.
[[nodiscard]] std::string base32_encode(ByteView bytes);
[[nodiscard]] Decoded<Bytes> base32_decode(std::string_view text);

// CRC-16/CCITT-FALSE: poly 0x1021, init 0xFFFF. "123456789" -> 0x29B1.
[[nodiscard]] std::uint16_t crc16_ccitt_false(ByteView bytes);

}  // namespace culvert
