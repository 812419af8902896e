// Why a connection ended, as the application is told. Internal to quic/.
#pragma once

#include "quic/connection.h"

#include <ngtcp2/ngtcp2.h>

namespace culvert::quic {

// The peer's CONNECTION_CLOSE.
[[nodiscard]] Closed closed_by_peer(const ngtcp2_ccerr& error, bool was_established);
[[nodiscard]] Closed closed_by_displacement();
// The peer makes us hold too much.
[[nodiscard]] Closed closed_by_excess();
// The peer acknowledges what was never sent.
[[nodiscard]] Closed closed_by_false_acknowledgement();
// An ngtcp2 error code of ours; `tls_alert` is what our TLS sent, or 0.
[[nodiscard]] Closed closed_by_error(int library_error, std::uint8_t tls_alert,
                                     bool was_established);
[[nodiscard]] Closed closed_by_stateless_reset(bool was_established);

// A reason phrase is a peer's bytes: what is not printable ASCII becomes '?', and it is
// cut at limits::kReasonBytes.
[[nodiscard]] std::string printable_reason(ByteView phrase);

}  // namespace culvert::quic
