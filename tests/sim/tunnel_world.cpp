#include "tests/sim/tunnel_world.h"

#include "base/assert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::sim {
namespace {

const IpAddress kClientIp = IpAddress::v4(0xc0000201);         // 192.0.2.1
const IpAddress kClientPrivateIp = IpAddress::v4(0x0a000002);  // 10.0.0.2, behind the NAT
const IpAddress kServerIp = IpAddress::v4(0xc6336401);         // 198.51.100.1
const IpAddress kSecondClientIp = IpAddress::v4(0xc0000301);   // 192.0.3.1
const IpAddress kClientIp6 = *IpAddress::parse("2001:db8:1::1");
const IpAddress kServerIp6 = *IpAddress::parse("2001:db8:2::1");

template <typename T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().text());
    CULVERT_ASSERT(result.has_value());
  }
  return std::move(*result);
}

tunnel::TunnelSpec parse_tunnel(const std::string& text) {
  const std::size_t arrow = text.find('>');
  return must(tunnel::TunnelSpec::make({}, must(tunnel::Source::parse_range(text.substr(0, arrow))),
                                       must(tunnel::Target::parse(text.substr(arrow + 1)))));
}

crypto::SecretKey make_key(const World& world, std::string_view name) {
  SeededRng rng = world.rng_for(name);
  return crypto::SecretKey::generate(rng);
}

}  // namespace

void LineSink::write(LogLevel level, std::string_view area, std::string_view line) {
  const double seconds = std::chrono::duration<double>(world_.now().time_since_epoch()).count();
  lines_.push_back(fmt::format("{:.6f} {} {}: {}", seconds, to_string(level), area, line));
}

SocketAddress TunnelWorld::server_address() {
  return {kServerIp, kServerPort};
}

TunnelWorld::TunnelWorld(std::uint64_t seed, TunnelWorldConfig config)
    : world(seed),
      network(world),
      sink(world),
      log(sink, LogLevel::debug),
      server_key(make_key(world, "server key")),
      config_(std::move(config)),
      quiet_(config_.transport.keep_alive) {
  client_machine = &network.add_machine("client", {config_.has_nat ? kClientPrivateIp : kClientIp},
                                        config_.client_up, config_.client_down);
  server_machine =
      &network.add_machine("server", {kServerIp}, config_.server_up, config_.server_down);
  if (config_.has_nat) {
    config_.nat.public_ip = kClientIp;
    Router& home = network.add_router({.name = "home", .nat = config_.nat});
    network.put_behind(home, network.core());
    home.draw_from(client_machine->rng());
    client_machine->attach(home);
    nat = home.nat();
  }

  if (config_.second_client_interface) {
    second_interface =
        &client_machine->add_interface(kSecondClientIp, config_.second_client_interface->up,
                                       config_.second_client_interface->down);
  }
  if (config_.has_second_server_address) {
    server_machine->set_addresses({kServerIp, kServerIp6});
    client_machine->add_interface(kClientIp6, config_.client_up, config_.client_down);
  }

  if (config_.lay_out) config_.lay_out(network, *client_machine, *server_machine);

  SeededRng rng = world.rng_for("credentials");
  peer::ServerPolicy policy;
  if (config_.uses_key) {
    auth_key_ = crypto::SecretKey::generate(rng);
    policy.auth.keys.add(auth_key_->public_key(), "sim user");
  } else {
    token_ = session::generate_token(rng);
    CULVERT_ASSERT(policy.auth.tokens.add(*token_).has_value());
  }
  if (config_.has_wrong_credentials) {
    if (auth_key_) auth_key_ = crypto::SecretKey::generate(rng);
    if (token_) token_ = session::generate_token(rng);
  }
  for (const std::string& entry : config_.allowed_tcp) {
    CULVERT_ASSERT(policy.sources.tcp.add(entry).has_value());
  }
  for (const std::string& entry : config_.allowed_udp) {
    CULVERT_ASSERT(policy.sources.udp.add(entry).has_value());
  }
  policy.max_sessions = config_.max_sessions;
  policy.max_flows_per_session = config_.max_flows;
  policy.udp_flow_idle = config_.udp_flow_idle;
  shared.policy = std::make_shared<const peer::ServerPolicy>(std::move(policy));
  policy_ = shared.policy;
  shared.times.resume_grace = config_.resume_grace;
  shared.give_up_elsewhere = [this](std::uint8_t worker, std::uint64_t session) {
    server_hosts.at(worker)->run_after(Duration::zero(), [this, worker, session](Instant now) {
      servers.at(worker)->give_up_session(now, session);
    });
  };

  watch();
  start_server();
}

// --- what holds in every world -----------------------------------------------------------------

// As both programs have it, unless the scenario says otherwise.
std::shared_ptr<buffers::ProcessBudget> TunnelWorld::make_process_budget() const {
  if (config_.transport.process_buffers) return config_.transport.process_buffers;
  return std::make_shared<buffers::ProcessBudget>(limits::kProcessBufferBytes);
}

void TunnelWorld::watch() {
  process_bytes_ = make_process_budget()->free_bytes();
  most_sessions_ = policy_->max_sessions;
  most_flows_ = policy_->max_flows_per_session;
  world.on_second = [this](Instant now) { check(now); };
  watch_amplification(world, *server_machine, kServerPort, amplification_);
  client_machine->set_watch([this](Instant, const Packet& packet, bool is_sent) {
    const std::uint16_t port = is_sent ? packet.to.port : packet.from.port;
    if (port != kServerPort || packet.payload.empty()) return;
    client_bytes_ += packet.payload.size();
    if ((packet.payload[0] & 0x80) != 0) ++client_handshakes_;
  });
  network.on_dial = [this](const Machine& from, const StreamAddress& to, Network::DialKind kind) {
    if (&from != server_machine) return;
    const auto protocol =
        kind == Network::DialKind::stream ? tunnel::Protocol::tcp : tunnel::Protocol::udp;
    const auto* path = std::get_if<UnixPath>(&to);
    const bool is_allowed =
        path != nullptr ? policy_->sources.unix_sockets.allows(path->path)
                        : policy_->sources.list_for(protocol).allows(std::get<SocketAddress>(to));
    if (!is_allowed) report_once("dial", "dialled what is not allowed: " + to_text(to));
  };
}

void TunnelWorld::report_once(const char* kind, const std::string& what) {
  if (!what.empty() && reported_.insert(kind).second) report_violation(world, what);
}

void TunnelWorld::set_policy(std::shared_ptr<const peer::ServerPolicy> policy) {
  policy_ = std::move(policy);
  most_sessions_ = std::max(most_sessions_, policy_->max_sessions);
  most_flows_ = std::max(most_flows_, policy_->max_flows_per_session);
  for (const auto& server : servers) server->set_policy(world.now(), policy_);
}

void TunnelWorld::check(Instant now) {
  std::uint64_t sessions = 0;
  std::uint64_t flows = 0;
  std::uint64_t state = 0;
  std::uint64_t moves = 0;
  const auto most_buffered = static_cast<std::int64_t>(config_.transport.session_buffer_bytes);
  for (const auto& server : servers) {
    const drive::Counters stats = server->stats();
    sessions += stats.sessions_active;
    flows += stats.flows_active;
    moves += stats.path_changes;
    state += stats.sessions_accepted + stats.sessions_resumed + stats.path_changes +
             stats.flows_opened + stats.flows_refused + stats.connections_active;
    for (const peer::SessionSnapshot& session : server->sessions(limits::kMaxListedSessions)) {
      const std::array bounded{
          Bounded{"flows of a session", static_cast<std::int64_t>(session.flows), most_flows_},
          Bounded{"buffers of a session", static_cast<std::int64_t>(session.buffered_bytes),
                  most_buffered}};
      report_once("session", beyond_its_limit(bounded));
    }
  }
  const auto in_use = [&](const buffers::ProcessBudget& budget) {
    return process_bytes_ - budget.free_bytes();
  };
  const std::array bounded{
      Bounded{"sessions", static_cast<std::int64_t>(sessions), most_sessions_},
      Bounded{"buffers of the server", in_use(*server_buffers_), process_bytes_},
      Bounded{"buffers of the client", client_buffers_ ? in_use(*client_buffers_) : 0,
              process_bytes_}};
  report_once("process", beyond_its_limit(bounded));

  if (!client) return;
  const peer::ClientStats stats = client->stats();
  const QuietWatch::Sample sample{
      .is_quiet = stats.is_connected && sessions == 1 && flows + stats.flows_active == 0,
      .state = state + client_handshakes_ + stats.sessions_opened + stats.sessions_resumed +
               stats.path_changes + stats.reconnect_attempts + stats.flows_opened +
               stats.flows_refused,
      .has_moved = moves + stats.path_changes > 0,
      .connections = client->paths().size(),
      .bytes = client_bytes_};
  report_once("quiet", quiet_.on_sample(now, sample));
}

void TunnelWorld::restart_server() {
  end_server();
  start_server();
}

void TunnelWorld::end_server() {
  talkers.reset();
  servers.clear();
  server_hosts.clear();
  server_process.workers.clear();
  shared.own_places = {};
}

void TunnelWorld::start_server() {
  SeededRng rng = world.rng_for(fmt::format("server start {}", server_starts_++));
  server_buffers_ = make_process_budget();
  quic::TransportConfig transport = config_.transport;
  transport.process_buffers = server_buffers_;
  std::array<std::uint8_t, 32> static_secret{};
  rng.fill(static_secret);
  for (unsigned i = 0; i < config_.server_workers; ++i) {
    server_hosts.push_back(
        std::make_unique<SimHost>(*server_machine, config_.server_knobs, &server_process));
    role::ServerConfig server{
        .endpoint = {.identity = server_key,
                     .alpns = {"culvert/1", "mf/4"},
                     .transport = transport,
                     .accepts_connections = true,
                     .worker_index = static_cast<std::uint8_t>(i),
                     .worker_count = static_cast<std::uint8_t>(config_.server_workers),
                     .static_secret = Secret(static_secret)},
        .bind = {IpAddress::any(config_.has_second_server_address ? Family::v6 : Family::v4),
                 kServerPort},
        .is_shared = config_.server_workers > 1};
    servers.push_back(
        must(role::Server::create(*server_hosts.back(), log, std::move(server), shared)));
    servers.back()->start(world.now());
  }
  talkers = std::make_unique<TalkerListener>(
      *server_hosts[0], SocketAddress{IpAddress::loopback(Family::v4), kTargetPort});
}

// What ends with it is not watched.
TunnelWorld::~TunnelWorld() {
  world.on_second = nullptr;
  network.on_dial = nullptr;
  server_machine->set_watch(nullptr);
  client_machine->set_watch(nullptr);
}

peer::ClientConfig TunnelWorld::client_config() const {
  quic::TransportConfig transport = config_.transport;
  transport.process_buffers = client_buffers_;
  peer::ClientConfig client_config{
      .endpoint = {.identity = make_key(world, "client key"), .transport = transport},
      .server = server_key.public_key(),
      .names = config_.server_names,
      .credentials = {.token = token_, .key = auth_key_},
      .dialect = config_.dialect,
      .socks5 = config_.socks5,
      .policy = {.udp_flow_idle = config_.udp_flow_idle,
                 .resume_grace = config_.resume_grace,
                 .max_reconnect_attempts = config_.max_reconnect_attempts,
                 .multipath = config_.multipath},
      .events = config_.client_events};
  if (config_.has_server_address) client_config.addresses.push_back({kServerIp, kServerPort});
  if (config_.has_second_server_address) {
    client_config.addresses.push_back({kServerIp6, kServerPort});
  }
  std::vector<tunnel::TunnelSpec> tunnels;
  for (const std::string& text : config_.tunnels) tunnels.push_back(parse_tunnel(text));
  client_config.tunnels = must(tunnel::TunnelSet::make(std::move(tunnels)));
  if (config_.stdio) client_config.stdio = must(tunnel::Source::parse(*config_.stdio));
  return client_config;
}

void TunnelWorld::start_client() {
  client_buffers_ = make_process_budget();
  client_host = std::make_unique<SimHost>(*client_machine, config_.client_knobs);
  client = must(role::Client::create(*client_host, log, client_config(), *this));
  client->start(world.now());
}

bool TunnelWorld::connect(Duration within) {
  start_client();
  return world.run_until([&] { return is_connected || is_finished; }, world.now() + within) &&
         is_connected;
}

Talker& TunnelWorld::call(const FlowPlan& plan) {
  callers.push_back(
      Talker::call(*client_host, SocketAddress{IpAddress::loopback(Family::v4), kLocalPort}, plan));
  return *callers.back();
}

std::string TunnelWorld::report() const {
  std::string text;
  for (const auto& caller : callers) {
    if (caller->state() == Talker::State::running) text += caller->describe() + "\n";
  }
  for (const auto& callee : talkers->talkers()) {
    if (callee->state() == Talker::State::running) text += callee->describe() + "\n";
  }
  const auto& lines = sink.lines();
  const std::size_t first = lines.size() > 30 ? lines.size() - 30 : 0;
  for (std::size_t i = first; i < lines.size(); ++i) text += lines[i] + "\n";
  return text;
}

void set_link_down(TunnelWorld& tunnel, bool is_down) {
  tunnel.client_machine->uplink().is_down = is_down;
  tunnel.client_machine->downlink().is_down = is_down;
}

}  // namespace culvert::sim
