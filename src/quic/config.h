// What an endpoint and its connections are configured with.
#pragma once

#include "base/limits.h"
#include "base/time.h"
#include "base/words.h"
#include "buffers/session_budget.h"
#include "crypto/keys.h"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::quic {

enum class CongestionControl : std::uint8_t {
  cubic,
  bbr,  // congestion/bbr.h, or ngtcp2's where that is not built in
};

// AEAD and header protection of 1-RTT packets (packet_protection.h).
enum class ProtectionBackend : std::uint8_t { gnutls, ipsec_mb };

}  // namespace culvert::quic

namespace culvert {

template <>
inline constexpr std::array<std::string_view, 2> kWords<quic::CongestionControl>{"cubic", "bbr"};
template <>
inline constexpr std::array<std::string_view, 2> kWords<quic::ProtectionBackend>{"gnutls",
                                                                                 "ipsec-mb"};

}  // namespace culvert

namespace culvert::quic {

// Whether this build and this CPU have it.
[[nodiscard]] bool is_available(ProtectionBackend backend);

struct TransportConfig {
  CongestionControl congestion_control = CongestionControl::bbr;
  // Largest datagram we accept and probe for: kUdpPayloadOwnPeers or, towards iroh,
  // whatever the peer advertises (it caps us by its transport parameter).
  std::uint16_t max_udp_payload_size = limits::kUdpPayloadOwnPeers;
  // Non-zero: never send larger datagrams than this and do not probe (benchmarks, odd paths).
  std::uint16_t fixed_udp_payload_size = 0;
  Duration keep_alive = limits::kKeepAlive;      // 0 = off
  Duration idle_timeout = limits::kIdleTimeout;  // advertised max_idle_timeout
  // Of one session, both directions, and of all sessions of the process.
  std::size_t session_buffer_bytes = limits::kSessionBufferBytes;
  std::shared_ptr<buffers::ProcessBudget>
      process_buffers{};  // shared by all workers; null: without bound
  // Streams the peer may open before anybody raises it (Connection::allow_streams).
  std::uint64_t initial_streams_bidi = 1;
};

// Receives NSS key log lines (SSLKEYLOGFILE format, with newline). Only with an explicit flag.
using KeyLogSink = std::function<void(std::string_view line)>;
// Receives qlog text of one connection; `id` names it (hex of the original DCID).
using QlogSink = std::function<void(std::string_view id, std::string_view chunk)>;

struct EndpointConfig {
  crypto::SecretKey identity;      // our EndpointId
  std::vector<std::string> alpns;  // server: accepted, in order of preference
  TransportConfig transport;
  std::optional<ProtectionBackend> protection;  // empty: the fastest this machine has
  bool accepts_connections = false;             // server role
  std::uint8_t worker_index = 0;                // goes into our connection ids
  std::uint8_t worker_count = 1;
  // Shared by all workers of a process, drawn at its start: seals Retry tokens.
  Secret<std::array<std::uint8_t, 32>> static_secret;
  KeyLogSink key_log;
  QlogSink qlog;
};

struct ConnectOptions {
  crypto::EndpointId peer;  // verified in the handshake
  std::string alpn;         // empty: none is named, which servers refuse
  // The server's worker that shall take the connection, for servers that are culvert: their
  // ids begin with it, so the first packet is handed over like any other.
  std::optional<std::uint8_t> worker{};
};

}  // namespace culvert::quic
