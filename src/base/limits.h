// Every shared bound and default, with its unit and its reason. Settings that a user can
// change take their defaults from here.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>

namespace culvert::limits {

// --- control messages ---------------------------------------------------------------------
inline constexpr std::size_t kControlMessageBytes = 16'384;  // as tunnel-rs, both directions
inline constexpr std::size_t kReasonBytes = 512;  // refusal texts, cut at a UTF-8 boundary

// --- handshakes and sessions ----------------------------------------------------------------
inline constexpr Duration kHandshakeTimeout = std::chrono::seconds(10);  // authenticated by then
inline constexpr std::size_t kMaxUnauthenticatedConnections = 64;        // per worker
// Of these from one IPv4 address or IPv6 /64: half, so that one place cannot take them all.
inline constexpr std::size_t kMaxUnauthenticatedPerAddress = 32;
inline constexpr std::size_t kRetryThreshold =
    16;  // unauthenticated ones above which we demand Retry
inline constexpr std::uint32_t kDefaultMaxSessions = 100;
inline constexpr std::uint32_t kDefaultMaxFlowsPerSession = 16'384;
inline constexpr Duration kDrainTimeout = std::chrono::seconds(5);  // polite shutdown

// --- failed authentication (session/auth_limiter.h) ------------------------------------------
inline constexpr std::uint32_t kMaxTokenAuthFailures = 5;  // of one credential, as tunnel-rs
inline constexpr Duration kTokenLockout = std::chrono::seconds(60);
// From one address. More than of one credential, so that one misconfigured client meets its
// own limit first; fewer than kGlobalAuthFailures, so that one address cannot cause the
// global lockout.
inline constexpr std::uint32_t kMaxAddressAuthFailures = 8;
inline constexpr Duration kGlobalAuthFailureWindow = std::chrono::seconds(10);
inline constexpr std::uint32_t kGlobalAuthFailures = 10;  // distinct credentials in the window
inline constexpr std::uint32_t kGlobalAuthFailuresMax = 1'000;  // the list is searched linearly
inline constexpr Duration kGlobalAuthLockout = std::chrono::seconds(60);
inline constexpr std::uint32_t kLockoutLogSample = 100;  // the first, then every such
// A warning that has not been seen for this long is news again.
inline constexpr Duration kLogSampleQuiet = std::chrono::seconds(60);
// Credentials and, apart from them, addresses remembered: about 100 bytes each. The least
// recently failed is forgotten first.
inline constexpr std::size_t kAuthFailureEntries = 16'384;

// --- QUIC -----------------------------------------------------------------------------------
// Home routers forget UDP mappings after 30 s and up; 5 s also bounds the outage after a
// silent NAT rebinding of a peer that only receives.
inline constexpr Duration kKeepAlive = std::chrono::seconds(5);
inline constexpr Duration kIdleTimeout = std::chrono::seconds(30);
inline constexpr std::uint16_t kUdpPayloadOwnPeers = 65'527;  // largest UDP payload over IPv6
inline constexpr std::uint16_t kUdpPayloadIroh = 1'472;       // what iroh 1.x advertises
inline constexpr std::size_t kSocketBufferBytes = std::size_t{7} << 20;
inline constexpr std::uint64_t kStreamWindowInitial = 256 << 10;
inline constexpr std::uint64_t kStreamWindowMax = 16 << 20;
inline constexpr std::uint64_t kConnectionWindowInitial = 1 << 20;
inline constexpr std::uint64_t kConnectionWindowMax = 64 << 20;
// Sent and not yet acknowledged, per stream. Larger buffers than 1 MiB were slower where
// 1 MiB fills the path (cache), so it grows only with the congestion window.
inline constexpr std::size_t kSendBufferMin = 1 << 20;
inline constexpr std::size_t kSendBufferMax = 16 << 20;
inline constexpr std::size_t kDatagramQueueBytes = 1 << 20;  // then the oldest is dropped

// --- flows ----------------------------------------------------------------------------------
inline constexpr Duration kUdpFlowIdle = std::chrono::seconds(60);
inline constexpr std::size_t kMaxUdpFlowsPerTunnel = 4'096;
inline constexpr Duration kDialTimeout = std::chrono::seconds(10);
inline constexpr Duration kHappyEyeballsDelay = std::chrono::milliseconds(250);  // RFC 8305 5
inline constexpr Duration kResolveTimeout = std::chrono::seconds(5);
inline constexpr std::size_t kMaxResolvedAddresses = 16;

}  // namespace culvert::limits
