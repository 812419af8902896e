// What a peer, a program, a file or a network can bring us to, with its unit and its reason: the
// bounds of messages, tables, queues and waiting, and the defaults of settings that change them.
// How a single mechanism works inside (a controller's steps, the size of a batch) stands there.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>

namespace culvert::limits {

// --- control messages ---------------------------------------------------------------------
inline constexpr std::size_t kControlMessageBytes = 16'384;  // as tunnel-rs, both directions
inline constexpr std::size_t kReasonBytes = 512;      // refusal texts, cut at a UTF-8 boundary
inline constexpr std::size_t kMaxMessageFields = 64;  // more than any version will have
inline constexpr std::size_t kMaxGoneIds = 1'000;     // in a FlowsGone: fits with ids of any size
// What waits for room in a control stream whose peer does not read. Twice what it takes to name
// every flow of a session (kDefaultMaxFlowsPerSession ids of eight bytes); beyond it the
// connection is closed.
inline constexpr std::size_t kControlOutboxBytes = 256 << 10;

// --- handshakes and sessions ----------------------------------------------------------------
// Authenticated by then, from the first packet of the connection on.
inline constexpr Duration kHandshakeTimeout = std::chrono::seconds(10);
// 1-RTT packets that a client keeps until it has written the end of its handshake: some ten, sent
// within the round trip that it takes to answer.
inline constexpr std::size_t kEarlyPacketBytes = 16 << 10;
// Until the client has read why it was refused; then the connection is closed.
inline constexpr Duration kRefusalLinger = std::chrono::seconds(2);
// A Retry token comes back after one round trip.
inline constexpr Duration kRetryTokenLifetime = std::chrono::seconds(10);
// Places for those who have not authenticated (quic/admission.h), per worker; each costs some
// 100 KiB. More than the round trips of a login need at a thousand logins a second.
inline constexpr std::size_t kMaxUnauthenticatedConnections = 256;
// Beside them, for clients that were let in before.
inline constexpr std::size_t kMaxReturningConnections = 64;
// From one IPv4 address or IPv6 /64, or with one ticket; then its oldest goes.
inline constexpr std::size_t kMaxUnauthenticatedPerAddress = 32;
// When all places are taken, anybody may have one that is as old as this: two round trips by
// satellite and the time between them.
inline constexpr Duration kPlaceWorth = std::chrono::seconds(2);
// How long it is held against a network that it began connections which did not authenticate.
inline constexpr Duration kLoadHalfLife = std::chrono::seconds(4);
// Beyond so many, halved like that, it begins none for now: some ten a second without end. A TLS
// handshake costs a millisecond of CPU, a refusal a fiftieth.
inline constexpr double kMaxBeginnings = 64;
inline constexpr std::size_t kMaxNetworksRemembered = 4'096;
// Networks from which clients have authenticated, and for how long that counts.
inline constexpr std::size_t kMaxProvenNetworks = 1'024;
inline constexpr Duration kProvenNetworkMemory = std::chrono::minutes(10);
// Client: tickets of servers (NEW_TOKEN) that it keeps, and the largest; others' may be larger
// than ours.
inline constexpr std::size_t kMaxTickets = 64;
inline constexpr std::size_t kMaxTicketBytes = 512;
inline constexpr std::size_t kRetryThreshold =
    16;  // unauthenticated ones above which we demand Retry
inline constexpr std::uint32_t kDefaultMaxSessions = 100;
// Where all sessions are taken, a client that was not heard for so long has lost its own: three
// keep-alives.
inline constexpr Duration kSilentSession = std::chrono::seconds(15);
inline constexpr std::uint32_t kDefaultMaxFlowsPerSession = 16'384;
// A connection that is lost is back within this, or its flows are reset. A minute covers a
// train's tunnel and a router that restarts; what waits meanwhile is bounded below.
inline constexpr Duration kResumeGrace = std::chrono::seconds(60);
inline constexpr std::uint64_t kMaxResumeGraceSeconds = 86'400;
// Connections of one session, of which one is its own and others add their paths.
inline constexpr std::size_t kMaxLanes = 4;
inline constexpr std::size_t kMaxStandbyLanes = 2;  // where no flow uses several at once
// A striped flow (docs/multipath.md): bytes that its sender may have under way, which is also
// the most that wait at its receiver for those before them. 8 MiB are 500 Mbit/s over paths
// that differ by 100 ms. What is beyond the first comes out of the session's budget, as windows
// of streams do.
inline constexpr std::size_t kStripeWindowFirst = 16 << 10;
inline constexpr std::size_t kStripeWindowStart = 256 << 10;
inline constexpr std::size_t kStripeWindowMax = 8 << 20;
// Streams that carry it: each path twice, while one connection takes over from another.
inline constexpr std::size_t kMaxStripeLegs = 8;
// Chunks under way, by what the memory of them may cost; and pieces that a receiver keeps: with
// more of them a sender plays games.
inline constexpr std::size_t kMaxStripeChunks = 4'096;
inline constexpr std::size_t kMaxStripePieces = 8'192;
// Without any leg it is over this long after the session could have resumed.
inline constexpr Duration kOrphanTimeout = std::chrono::seconds(5);
inline constexpr std::size_t kMaxExcludedInterfaces = 64;  // of the command line; each may end in *
// What a session knows of places where its peer may be, and of its own addresses: a machine has a
// handful of either. Peers and directories name the former.
inline constexpr std::size_t kMaxPathCandidates = 32;
inline constexpr std::size_t kMaxPathLocals = 64;
// A path that could not be reached is tried again after a pause that doubles.
inline constexpr Duration kLaneRetryFirst = std::chrono::seconds(2);
inline constexpr Duration kLaneRetryMost = std::chrono::seconds(60);
// One that is asked to take over and does not answer within this (or four probe timeouts) is lost.
inline constexpr Duration kPromotionTimeout = std::chrono::seconds(1);
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
// A dial is given up when ICMP says that nobody listens there of packets that are this far apart:
// a server that is just starting has as long. The first packet is sent again after 0.6 and 1.8 s.
inline constexpr Duration kRefusalConfirmed = std::chrono::milliseconds(1'500);
// ... and nothing has come from there this long after its beginning: whoever waits is told within
// 3 s.
inline constexpr Duration kRefusedDial = std::chrono::milliseconds(2'500);
// Of a try that is not answered, until a local connection makes the client dial beside it: its
// second packet would leave at about this time, the third two seconds later.
inline constexpr Duration kReconnectDialAgain = std::chrono::seconds(1);
// The server is silent for this long (or three probe timeouts) although it owes an answer:
// the client begins to dial anew while it goes on listening.
inline constexpr Duration kSuspectSilence = std::chrono::seconds(2);
// A new local connection waits this long for the server to be reachable.
inline constexpr Duration kWaitingFlowTimeout = std::chrono::seconds(30);
// ... and, where the server can be reached but has granted no stream and none has ended for this
// long, no longer: a tunnel-rs server allows 100. Covers the round trip of a grant by satellite.
inline constexpr Duration kStreamPatience = std::chrono::seconds(2);
inline constexpr Duration kDrainTimeout = std::chrono::seconds(5);  // polite shutdown
// Beyond the drain timeout, within which role::Client and Server end by themselves.
inline constexpr Duration kStopBackstop = std::chrono::seconds(2);

// --- failed authentication (session/auth_limiter.h) ------------------------------------------
inline constexpr std::uint32_t kMaxTokenAuthFailures = 5;  // of one credential, as tunnel-rs
inline constexpr Duration kTokenLockout = std::chrono::seconds(60);
// From one address. More than of one credential, so that one misconfigured client meets its
// own limit first; fewer than kGlobalAuthFailures, so that one address cannot cause the
// global lockout.
inline constexpr std::uint32_t kMaxAddressAuthFailures = 8;
// A site's /48 of IPv6 holds 65,536 networks that it may use in turn: together they have as
// many failures as this many addresses.
inline constexpr std::uint32_t kSiteAddresses = 4;
inline constexpr Duration kGlobalAuthFailureWindow = std::chrono::seconds(10);
inline constexpr std::uint32_t kGlobalAuthFailures = 10;  // distinct credentials in the window
inline constexpr std::uint32_t kGlobalAuthFailuresMax = 1'000;  // the list is searched linearly
inline constexpr Duration kGlobalAuthLockout = std::chrono::seconds(60);
inline constexpr std::uint32_t kLockoutLogSample = 100;  // the first, then every such
// A warning that has not been seen for this long is news again.
inline constexpr Duration kLogSampleQuiet = std::chrono::seconds(60);
// Of lines that repeat (base/log_repeats.h): how many came is written after the first of these,
// then after twice as long each time. A service that is down for a day makes forty lines.
inline constexpr Duration kLogRepeatFirst = std::chrono::seconds(10);
inline constexpr Duration kLogRepeatMost = std::chrono::hours(1);
// Not seen for this long it is news again.
inline constexpr Duration kLogRepeatForget = std::chrono::minutes(10);
// Different ones that a worker tells apart: what a page of log holds.
inline constexpr std::size_t kMaxLogRepeats = 32;
// Credentials and, apart from them, addresses remembered: about 100 bytes each. The least
// recently failed is forgotten first.
inline constexpr std::size_t kAuthFailureEntries = 16'384;

// --- QUIC -----------------------------------------------------------------------------------
// Home routers forget UDP mappings after 30 s and up; 5 s also bounds the outage after a
// silent NAT rebinding of a peer that only receives.
inline constexpr Duration kKeepAlive = std::chrono::seconds(5);
inline constexpr Duration kIdleTimeout = std::chrono::seconds(30);
// Of a connection, copies of small packets on paths that lose some (congestion/repeats.h): twenty
// full packets, or some hundred keystrokes; a quarter of a percent of 100 Mbit/s.
inline constexpr std::size_t kRepeatedBytesPerSecond = 32 << 10;
inline constexpr std::uint16_t kLeastUdpPayload = 1'200;  // RFC 9000 14: every path carries this
inline constexpr std::uint16_t kUdpPayloadOwnPeers = 65'527;  // largest UDP payload over IPv6
inline constexpr std::uint16_t kUdpPayloadIroh = 1'472;       // what iroh 1.x advertises
inline constexpr std::size_t kSocketBufferBytes = std::size_t{7} << 20;
// What waits in the buffers of a session, both directions, and of all sessions of a process,
// whatever their peers do (buffers/session_budget.h). 64 MiB carry 1 Gbit/s over 100 ms.
inline constexpr std::size_t kSessionBufferBytes = std::size_t{64} << 20;
inline constexpr std::size_t kProcessBufferBytes = std::size_t{256} << 20;
inline constexpr std::size_t kLeastBufferBytes = std::size_t{1} << 20;  // for either of these
inline constexpr std::size_t kSessionBufferShare = 256 << 10;  // not counted in the process's
// Of a stream, before it is known to be read: about what TCP lets a new connection send
// (RFC 6928). A thousand streams that nobody reads hold a quarter of a session's budget. Also of
// streams that go on where another connection was lost, until what waited of them is read.
inline constexpr std::size_t kStreamWindowFirst = 16 << 10;
// Once it is used; from there it doubles while its reader keeps up. 8 MiB are 640 Mbit/s over
// 100 ms, and as much as one stream may have of a session's budget.
inline constexpr std::size_t kStreamWindowStart = 256 << 10;
inline constexpr std::size_t kStreamWindowMax = 8 << 20;
// A stream that has carried nothing for so long, and has nothing waiting, does not count.
inline constexpr Duration kStreamIdle = std::chrono::seconds(10);
// Of a connection until its peer is authenticated, which takes some hundred bytes.
inline constexpr std::size_t kConnectionWindowFirst = 64 << 10;
// What the peer of a session may always send beyond what waits here, and the most it may.
inline constexpr std::size_t kConnectionAheadMin = 1 << 20;
inline constexpr std::size_t kConnectionAheadMax = 12 << 20;
// Where the budget has nothing left, it is asked again after this.
inline constexpr Duration kCreditRetry = std::chrono::milliseconds(20);
// Sent and not yet acknowledged, per stream. Larger buffers than 1 MiB were slower where
// 1 MiB fills the path (cache), so it grows only with the congestion window.
inline constexpr std::size_t kSendBufferMin = 1 << 20;
inline constexpr std::size_t kSendBufferMax = 16 << 20;
// Of it, what a stream may hold beyond what its peer lets it send: there is something to send
// at once when the peer lets it, and the next bytes are read from the socket then.
inline constexpr std::size_t kBlockedOutput = 2 << 10;
// Of streams that carry datagrams too large for a packet, each way.
inline constexpr std::size_t kMessageRoom = 80 << 10;
// Of DATAGRAMs, in each direction of a connection; then the oldest is dropped. As little as the
// second where the budget has nothing left: one of the largest.
inline constexpr std::size_t kDatagramQueueBytes = 1 << 20;
inline constexpr std::size_t kDatagramQueueLeast = 64 << 10;
// What ngtcp2 may hold for a connection beside its streams and what the peer may send: notes of
// packets under way, 6 MiB for as much as waits for its acknowledgement at most, and of gaps in
// what has arrived. It counts in the session's budget.
inline constexpr std::size_t kLibraryBytes = 16 << 20;
// ... and where that has nothing left: some ten times what a connection takes that carries bulk
// over a path that loses packets.
inline constexpr std::size_t kLibraryBytesOwn = 512 << 10;
// Where so much less is in use than was, and a quarter of it, the process gives memory back to the
// system, after a while: what is needed again at once is not worth it.
inline constexpr std::size_t kMemoryWorthReturning = 8 << 20;
inline constexpr Duration kMemoryReturn = std::chrono::seconds(2);

// --- what a program is given -----------------------------------------------------------------
inline constexpr std::size_t kMaxKeyFileBytes = 64 << 10;  // those of ssh-keygen have 1 to 3 KiB
inline constexpr std::size_t kMaxAuthorizedKeysBytes = 8 << 20;  // some 80,000 keys
inline constexpr std::size_t kMaxTokenFileBytes = 1 << 20;  // kMaxTokens, and as much in comments
inline constexpr std::size_t kMaxTokens = 10'000;           // each is compared with every proof
inline constexpr std::size_t kMaxConfigBytes = 1 << 20;     // kMaxTunnels of 1 KiB each
inline constexpr std::size_t kMaxConfigDepth = 16;          // nothing in it nests more than four
inline constexpr std::size_t kMaxAllowEntries = 4'096;      // searched for each flow
// Of a ticket, which people copy: 34 bytes and at most 19 for each address; and of its text, far
// above that.
inline constexpr std::size_t kMaxTicketAddresses = 16;
inline constexpr std::size_t kMaxTicketTextBytes = 1'024;
// For a pipe or a terminal that stands for a file at the start: a person may have to type a
// passphrase for the program at its other end.
inline constexpr Duration kInputTimeout = std::chrono::seconds(60);

// --- file descriptors ----------------------------------------------------------------------
// The soft limit is raised to the hard one, or to this: a flow takes one, and no server has a
// million flows.
inline constexpr std::uint64_t kMaxDescriptors = 1 << 20;
// Of these, the last are not for flows: listeners, the control interface, files that a reload
// reads. A quarter where the limit is small.
inline constexpr std::uint64_t kReservedDescriptors = 64;

// --- the audit log --------------------------------------------------------------------------
// Lines that wait to be written: some 10,000. Records of refusals may take half of it, so that
// what was allowed finds room while strangers knock.
inline constexpr std::size_t kAuditQueueBytes = 4 << 20;
// Refusals written at once, and a second after that, of logins and of flows each: 30 MB a day at
// most. The rest is counted, and their number written once a minute.
inline constexpr std::uint32_t kAuditRefusalBurst = 1'000;
inline constexpr std::uint32_t kAuditRefusalsPerSecond = 1;
inline constexpr Duration kAuditSummary = std::chrono::seconds(60);
// After an error: until the next try. A pipe that takes nothing for as long counts as one.
inline constexpr Duration kAuditRetry = std::chrono::seconds(1);
// At the end, for what waits.
inline constexpr Duration kAuditFlush = std::chrono::seconds(2);

// --- tunnels of a client --------------------------------------------------------------------
inline constexpr std::size_t kMaxTunnels = 1'024;
inline constexpr std::size_t kMaxTunnelNameBytes = 64;  // of servers as well
// Of a range of ports, and of all tunnels of a client: media servers have ranges of 10,000. Each
// is a descriptor for each address that it listens on, and half a KiB here.
inline constexpr std::size_t kMaxTunnelPorts = 16'384;
// Of a range, opened in one turn: some milliseconds.
inline constexpr std::size_t kListenersPerTurn = 64;
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
// What is taken from one UDP socket before the next one's turn: enough to batch, few enough that
// timers and flows get their turn under a flood.
inline constexpr std::size_t kMessagesPerTurn = 64;
// What one flow may read from its socket before the next one's turn.
inline constexpr std::size_t kReadBytesPerTurn = 256 << 10;

// What came to another worker of the process and is on its way to ours, as batches and bytes;
// beyond that the network has lost it.
inline constexpr std::size_t kMaxHandedOver = 1'024;
inline constexpr std::size_t kMaxHandedOverBytes = 4 << 20;
// What was made for a transport before it was known to be blocked: a worker's packets of one turn.
inline constexpr std::size_t kTransportBacklog = 1 << 20;
// Peers behind relays and TURN servers that have an address of ours: some 200 bytes each.
inline constexpr std::size_t kMaxMappedAddresses = 16'384;
// Tasks that other threads have posted: a thread that is that far behind has hung.
inline constexpr std::size_t kMaxMail = 65'536;

// --- flows ----------------------------------------------------------------------------------
// Local connections that were accepted while the server grants no stream, or cannot be reached.
inline constexpr std::size_t kMaxWaitingFlows = 1'024;
// Streams that a session may have beyond its flows: its control stream, and heads of flows that
// are to be refused, so that the refusal and not the credit tells the client about a limit.
inline constexpr std::uint64_t kSpareStreams = 64;
// Connections to the proxy port whose request has not been read, and how long that may take.
inline constexpr std::size_t kMaxProxyConnections = 4'096;
inline constexpr Duration kProxyRequestTimeout = std::chrono::seconds(10);
// Of one UDP association of SOCKS5: a flow each.
inline constexpr std::size_t kMaxProxyDestinations = 256;
// Datagrams of a redundant UDP flow that may overtake one: half a kilobyte for each flow.
inline constexpr std::uint64_t kDatagramCopyWindow = 4'096;
inline constexpr Duration kUdpFlowIdle = std::chrono::seconds(60);
inline constexpr std::size_t kMaxUdpFlowsPerTunnel = 4'096;
inline constexpr Duration kDialTimeout = std::chrono::seconds(10);
inline constexpr Duration kHappyEyeballsDelay = std::chrono::milliseconds(250);  // RFC 8305 5
inline constexpr Duration kResolveTimeout = std::chrono::seconds(5);
inline constexpr std::size_t kMaxResolvedAddresses = 16;
// Of one peer, from one who says where it may be reached: all are dialled at once when a client
// tries to connect. A ticket has 16, a name as many.
inline constexpr std::size_t kMaxFinderCandidates = 64;
// Of a HTTP CONNECT to the proxy port. Browsers send half a kilobyte.
inline constexpr std::size_t kProxyHeadBytes = 8 << 10;
// Lookups under way, of a process: each has a socket or two. Of one session of a server, so that
// its slow names leave room for others': a page of a browser has some ten hosts.
inline constexpr std::uint32_t kMaxLookups = 1'024;
inline constexpr std::uint32_t kMaxSessionLookups = 64;
// ... of those, that a thread each has glibc's modules look up (net/name_services.h): more than
// one session may have.
inline constexpr std::uint32_t kMaxModuleLookups = 128;
inline constexpr std::size_t kNameServicesBytes = 64 << 10;  // of nsswitch.conf, which has a page

// --- the control interface ---------------------------------------------------------------
inline constexpr std::size_t kControlHeaderBytes = 16 << 10;
inline constexpr std::size_t kControlBodyBytes = 64 << 10;
// Of processes that were killed, which the next start looks at.
inline constexpr std::size_t kMaxStaleSockets = 256;
// Of each socket. One more takes the place of the one that has waited longest, and of these so
// many may be event streams, so that a question always finds a place.
inline constexpr std::size_t kMaxControlConnections = 16;
inline constexpr std::size_t kMaxControlSubscribers = 12;
inline constexpr Duration kControlIdle = std::chrono::seconds(30);  // between two requests
// From the first byte of a request to its last, however many come between; and of the answer.
inline constexpr Duration kControlRequest = std::chrono::seconds(10);
inline constexpr Duration kControlAnswer = std::chrono::seconds(30);
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
