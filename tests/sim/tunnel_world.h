// A client machine and a server machine with a culvert between them, in simulation. The
// scenario tests draw everything else from a seed. Whatever they do, the oracles watch (oracles.h):
// the test fails when the server dials what its policy does not allow, sends too much to an address
// that has shown nothing, or holds more than its limits, or when a world in which nothing happens
// is not quiet.
#pragma once

#include "role/client.h"
#include "role/server.h"
#include "sim/network.h"
#include "sim/sim_host.h"
#include "tests/sim/oracles.h"
#include "tests/sim/talker.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace culvert::sim {

// Collects log lines for the failure report. What a test judges by is never a line of the log.
class LineSink final : public LogSink {
 public:
  explicit LineSink(World& world) : world_(world) {}
  void write(LogLevel level, std::string_view area, std::string_view line) override;
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

 private:
  World& world_;
  std::vector<std::string> lines_;
};

// One more address with links of its own.
struct SecondInterface {
  LinkConfig up;
  LinkConfig down;
};

struct TunnelWorldConfig {
  LinkConfig client_up;
  LinkConfig client_down;
  LinkConfig server_up;
  LinkConfig server_down;
  HostKnobs client_knobs;
  HostKnobs server_knobs;
  bool has_nat = false;
  NatConfig nat;
  unsigned server_workers = 1;
  session::Dialect dialect = session::Dialect::culvert_1;
  bool uses_key = false;  // instead of a token
  bool has_wrong_credentials = false;
  quic::TransportConfig transport;
  std::vector<std::string> allowed_tcp{"127.0.0.0/8", "::1/128"};
  std::vector<std::string> allowed_udp{"127.0.0.0/8", "::1/128"};
  std::uint32_t max_sessions = limits::kDefaultMaxSessions;
  std::uint32_t max_flows = limits::kDefaultMaxFlowsPerSession;
  std::vector<std::string> tunnels{"tcp://127.0.0.1:9000>127.0.0.1:7000"};  // SOURCE>TARGET
  std::optional<tunnel::Target> socks5;
  std::optional<std::string> stdio;
  Duration udp_flow_idle = limits::kUdpFlowIdle;
  Duration resume_grace = limits::kResumeGrace;  // of both
  std::optional<std::uint32_t> max_reconnect_attempts{};
  std::optional<SecondInterface> second_client_interface{};
  std::vector<HostPort> server_names{};    // by which the client knows the server
  bool has_server_address = true;          // ... and by address
  bool has_second_server_address = false;  // IPv6, for the client, too
  Multipath multipath = Multipath::fastest;
  peer::RoleEventSink* client_events = nullptr;  // outlives the world
  // Puts routers between the machines, which hang on the core otherwise, before anything starts.
  std::function<void(Network& network, Machine& client, Machine& server)> lay_out{};
};

class TunnelWorld : public peer::ClientObserver {
 public:
  static constexpr std::uint16_t kServerPort = 4433;
  static constexpr std::uint16_t kTargetPort = 9000;  // where the talkers listen
  static constexpr std::uint16_t kLocalPort = 7000;   // of the first tunnel

  [[nodiscard]] static SocketAddress server_address();

  TunnelWorld(std::uint64_t seed, TunnelWorldConfig config);
  ~TunnelWorld() override;

  // Starts the client; true once it is authenticated.
  bool connect(Duration within = std::chrono::seconds(30));
  void start_client();
  // Starts a flow through the first tunnel.
  Talker& call(const FlowPlan& plan);
  // As killing the server's process and starting it again, with its key and what it is told, but
  // nothing that it knew.
  void restart_server();
  void end_server();  // as killing it
  // A live change at every worker.
  void set_policy(std::shared_ptr<const peer::ServerPolicy> policy);
  // As SIGSTOP and, later, SIGCONT.
  void stop_client(Duration length) { client_host->stop_until(world.now() + length); }
  void stop_server(Duration length) {
    for (const auto& host : server_hosts) host->stop_until(world.now() + length);
  }
  // What still runs, and the last lines of the log.
  [[nodiscard]] std::string report() const;

  // ClientObserver
  void on_connected(Instant, const SocketAddress&) override { is_connected = true; }
  void on_listening(Instant, const tunnel::TunnelSpec&, const std::string& address) override {
    listening.push_back(address);
  }
  void on_finished(Instant, std::optional<Error> error) override {
    is_finished = true;
    end_error = std::move(error);
  }

  World world;
  Network network;
  LineSink sink;
  Logger log;
  Machine* client_machine = nullptr;
  Machine* server_machine = nullptr;
  Machine::Interface* second_interface = nullptr;  // of the client
  Nat* nat = nullptr;
  crypto::SecretKey server_key;
  SimProcess server_process;
  std::vector<std::unique_ptr<SimHost>> server_hosts;
  std::unique_ptr<SimHost> client_host;
  peer::ServerShared shared;
  std::vector<std::unique_ptr<role::Server>> servers;
  std::unique_ptr<role::Client> client;
  std::unique_ptr<TalkerListener> talkers;
  std::vector<std::unique_ptr<Talker>> callers;
  std::vector<std::string> listening;
  bool is_connected = false;
  bool is_finished = false;
  std::optional<Error> end_error;

  [[nodiscard]] peer::ClientConfig client_config() const;
  [[nodiscard]] const session::Token& token() const { return *token_; }  // the server's
  [[nodiscard]] const AmplificationWatch& amplification() const { return amplification_; }
  [[nodiscard]] const QuietWatch& quiet() const { return quiet_; }
  [[nodiscard]] buffers::ProcessBudget& server_buffers() { return *server_buffers_; }

 private:
  void start_server();
  [[nodiscard]] std::shared_ptr<buffers::ProcessBudget> make_process_budget() const;
  void watch();
  void check(Instant now);
  // Once for each kind of violation.
  void report_once(const char* kind, const std::string& what);

  TunnelWorldConfig config_;
  std::int64_t process_bytes_ = 0;  // the limit of either
  std::shared_ptr<buffers::ProcessBudget> server_buffers_;
  std::shared_ptr<buffers::ProcessBudget> client_buffers_;
  std::shared_ptr<const peer::ServerPolicy> policy_;  // in force
  std::uint32_t most_sessions_ = 0;                   // of all policies there were
  std::uint32_t most_flows_ = 0;
  AmplificationWatch amplification_;
  QuietWatch quiet_;
  std::uint64_t client_bytes_ = 0;       // to and from servers
  std::uint64_t client_handshakes_ = 0;  // of these, datagrams of connections that begin
  std::set<std::string> reported_;
  unsigned server_starts_ = 0;
  std::optional<session::Token> token_;
  std::optional<crypto::SecretKey> auth_key_;
};

// The client's first interface, both directions.
void set_link_down(TunnelWorld& tunnel, bool is_down);

}  // namespace culvert::sim
