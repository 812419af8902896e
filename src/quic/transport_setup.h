// From TransportConfig to what ngtcp2 wants to know. Internal to quic/.
#pragma once

#include "quic/bbr_control.h"
#include "quic/config.h"

#include <ngtcp2/ngtcp2.h>

namespace culvert::quic {

// `context` outlives the connection.
[[nodiscard]] ngtcp2_settings make_settings(const TransportConfig& config, ngtcp2_tstamp now,
                                            LibraryContext& context);
// Without the connection ids and the reset token, which depend on the role.
[[nodiscard]] ngtcp2_transport_params make_transport_params(const TransportConfig& config);

}  // namespace culvert::quic
