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
// What waits for room in a control stream whose peer does not read. Twice what it takes to name
// every flow of a session (kDefaultMaxFlowsPerSession ids of eight bytes); beyond it the
// connection is closed.
inline constexpr std::size_t kControlOutboxBytes = 256 << 10;

// --- handshakes and sessions ----------------------------------------------------------------
inline constexpr Duration kHandshakeTimeout = std::chrono::seconds(10);  // authenticated by then
inline constexpr std::size_t kMaxUnauthenticatedConnections = 64;        // per worker
// Of these from one IPv4 address or IPv6 /64: half, so that one place cannot take them all.
inline constexpr std::size_t kMaxUnauthenticatedPerAddress = 32;
inline constexpr std::size_t kRetryThreshold =
    16;  // unauthenticated ones above which we demand Retry
inline constexpr std::uint32_t kDefaultMaxSessions = 100;
inline constexpr std::uint32_t kDefaultMaxFlowsPerSession = 16'384;
// A connection that is lost is back within this, or its flows are reset. A minute covers a
// train's tunnel and a router that restarts; what waits meanwhile is bounded below.
inline constexpr Duration kResumeGrace = std::chrono::seconds(60);
inline constexpr std::uint64_t kMaxResumeGraceSeconds = 86'400;
// Bytes of flows that a session keeps while it has no connection, both directions; beyond it
// the largest flows are reset.
inline constexpr std::size_t kMaxRetainedBytes = std::size_t{64} << 20;
// Connections of one session, of which one is its own and others add their paths.
inline constexpr std::size_t kMaxLanes = 4;
inline constexpr std::size_t kMaxStandbyLanes = 2;  // where no flow uses several at once
// A striped flow (docs/multipath.md): bytes that its sender may have under way, which is also
// the most that wait at its receiver for those before them. 8 MiB are 500 Mbit/s over paths
// that differ by 100 ms. A session grants as much beyond the first windows to all its flows.
inline constexpr std::size_t kStripeWindowInitial = 256 << 10;
inline constexpr std::size_t kStripeWindowMax = 8 << 20;
inline constexpr std::size_t kSessionStripeBytes = std::size_t{64} << 20;
// A path that could not be reached is tried again after a pause that doubles.
inline constexpr Duration kLaneRetryFirst = std::chrono::seconds(2);
inline constexpr Duration kLaneRetryMost = std::chrono::seconds(60);
// A connection that has others beside it is suspected sooner than kSuspectSilence: another one
// costs nothing.
inline constexpr Duration kSuspectLane = std::chrono::milliseconds(300);
// A connection that moves to another address is heard there one round trip later. Where it is not
// within this (or a probe timeout), the client dials anew beside it.
inline constexpr Duration kSuspectMove = std::chrono::milliseconds(250);
// Client: between tries to reach the server again; doubles from the first to the last.
inline constexpr Duration kReconnectDelayFirst = std::chrono::milliseconds(250);
inline constexpr Duration kReconnectDelayMost = std::chrono::seconds(15);
// One try. Shorter than a first dial: its packets are sent ever more rarely, a new try
// begins anew, so that it is soon noticed that the network is back.
inline constexpr Duration kReconnectTry = std::chrono::seconds(5);
// The server is silent for this long (or three probe timeouts) although it owes an answer:
// the client begins to dial anew while it goes on listening.
inline constexpr Duration kSuspectSilence = std::chrono::seconds(2);
// A new local connection waits this long for the server to be reachable.
inline constexpr Duration kWaitingFlowTimeout = std::chrono::seconds(30);
inline constexpr Duration kDrainTimeout = std::chrono::seconds(5);  // polite shutdown
// Beyond the drain timeout, within which drive::Client and Server end by themselves.
inline constexpr Duration kStopBackstop = std::chrono::seconds(2);

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

// --- tunnels of a client --------------------------------------------------------------------
inline constexpr std::size_t kMaxTunnels = 1'024;
inline constexpr std::size_t kMaxTunnelNameBytes = 64;  // of servers as well
// Each has a thread and two MiB of buffers of its own.
inline constexpr std::size_t kMaxServers = 32;
// Of several servers one that cannot be reached at first is tried again, each time after twice
// as long.
inline constexpr Duration kServerRetryMin = std::chrono::seconds(2);
inline constexpr Duration kServerRetryMax = std::chrono::seconds(60);
// A tunnel that cannot listen tries again, each time after twice as long.
inline constexpr Duration kTunnelRetryMin = std::chrono::seconds(1);
inline constexpr Duration kTunnelRetryMax = std::chrono::seconds(60);

// --- one turn of a worker ---------------------------------------------------------------------
// What one connection may send before the next one's turn: four GSO batches.
inline constexpr std::size_t kSendBytesPerTurn = 256 << 10;
// What one flow may read from its socket before the next one's turn.
inline constexpr std::size_t kReadBytesPerTurn = 256 << 10;

// --- flows ----------------------------------------------------------------------------------
// Local connections that were accepted while the server grants no stream, or cannot be reached.
inline constexpr std::size_t kMaxWaitingFlows = 1'024;
// Streams that a session may have beyond its flows: its control stream, and heads of flows that
// are to be refused, so that the refusal and not the credit tells the client about a limit.
inline constexpr std::uint64_t kSpareStreams = 64;
// Datagrams of a redundant UDP flow that may overtake one: half a kilobyte for each flow.
inline constexpr std::uint64_t kDatagramCopyWindow = 4'096;
inline constexpr Duration kUdpFlowIdle = std::chrono::seconds(60);
inline constexpr std::size_t kMaxUdpFlowsPerTunnel = 4'096;
inline constexpr Duration kDialTimeout = std::chrono::seconds(10);
inline constexpr Duration kHappyEyeballsDelay = std::chrono::milliseconds(250);  // RFC 8305 5
inline constexpr Duration kResolveTimeout = std::chrono::seconds(5);
inline constexpr std::size_t kMaxResolvedAddresses = 16;

// --- the control interface ---------------------------------------------------------------
inline constexpr std::size_t kControlHeaderBytes = 16 << 10;
inline constexpr std::size_t kControlBodyBytes = 64 << 10;
inline constexpr std::size_t kMaxControlConnections = 16;  // of each socket; more wait to be taken
inline constexpr Duration kControlIdle = std::chrono::seconds(30);       // without a byte moving
inline constexpr Duration kControlHeartbeat = std::chrono::seconds(10);  // on silent event streams
// What a subscriber has not taken yet; one that is slower is told, and dropped.
inline constexpr std::size_t kControlEventBytes = 64 << 10;
// Events on their way from workers; a flood of refusals beyond that is counted only.
inline constexpr std::size_t kMaxControlEvents = 1024;
// One answer lists as many sessions or paths, and says that it left some out.
inline constexpr std::size_t kMaxListedSessions = 10'000;
inline constexpr std::size_t kMaxMetricPaths = 256;  // time series cost the one who scrapes
inline constexpr std::size_t kMaxControlReplyBytes = 16 << 20;  // what `culvert status` reads

}  // namespace culvert::limits
