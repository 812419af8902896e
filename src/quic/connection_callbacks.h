// The table of C functions by which ngtcp2 calls a ConnectionImpl. Internal to quic/.
#pragma once

#include "quic/config.h"

#include <ngtcp2/ngtcp2.h>

namespace culvert::quic {

// ngtcp2's user_data is the ConnectionImpl; a stream's user data is its Stream.
[[nodiscard]] ngtcp2_callbacks make_callbacks(ProtectionBackend protection);
// For ngtcp2_settings::qlog_write.
void write_qlog(void* user_data, std::uint32_t flags, const void* data, std::size_t size);

}  // namespace culvert::quic
