// Several clients of one server: who gets one of its sessions, and what they hear of a restart.
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr LinkConfig kGuestLink{.delay = milliseconds(10)};

// A client on a machine of its own.
class Guest final : public peer::ClientObserver {
 public:
  Guest(TunnelWorld& tunnel, std::uint32_t number, const std::optional<session::Token>& token)
      : machine_(tunnel.network.add_machine(
            std::to_string(number), {IpAddress::v4(0xC0000400U + number)}, kGuestLink, kGuestLink)),
        host_(machine_, {}) {
    peer::ClientConfig config = tunnel.client_config();
    SeededRng rng = tunnel.world.rng_for("guest " + std::to_string(number));
    config.endpoint.identity = crypto::SecretKey::generate(rng);
    if (token) config.credentials.token = token;
    auto client = role::Client::create(host_, tunnel.log, std::move(config), *this);
    client_ = std::move(*client);
    client_->start(tunnel.world.now());
  }
  // Nothing of it reaches anybody any more.
  void kill() { machine_.uplink().is_down = machine_.downlink().is_down = true; }

  void on_connected(Instant, const SocketAddress&) override { is_in = true; }
  void on_listening(Instant, const tunnel::TunnelSpec&, const std::string&) override {}
  void on_finished(Instant, std::optional<Error> error) override { end = std::move(error); }

  bool is_in = false;
  std::optional<Error> end;

 private:
  Machine& machine_;
  SimHost host_;
  std::unique_ptr<role::Client> client_;
};

struct House {
  explicit House(TunnelWorldConfig config) : tunnel(1, std::move(config)) {}

  Guest& invite(const std::optional<session::Token>& token = {}) {
    guests.push_back(
        std::make_unique<Guest>(tunnel, static_cast<std::uint32_t>(guests.size()), token));
    return *guests.back();
  }
  bool lets_in(Guest& guest, Duration within = seconds(1)) {
    return tunnel.world.run_until([&] { return guest.is_in || guest.end; },
                                  tunnel.world.now() + within) &&
           guest.is_in;
  }
  [[nodiscard]] std::uint64_t sessions() const {
    std::uint64_t sum = 0;
    for (const auto& server : tunnel.servers) sum += server->stats().sessions_active;
    return sum;
  }

  TunnelWorld tunnel;
  std::vector<std::unique_ptr<Guest>> guests;
};

TEST(SimSessions, of_killed_clients_give_way_to_living_ones) {
  for (const unsigned workers : {1U, 3U}) {
    House house({.server_workers = workers, .max_sessions = 3});
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(house.lets_in(house.invite()));
    for (const auto& guest : house.guests) guest->kill();
    // The server has noticed; their flows would wait for another 55 s.
    house.tunnel.world.run_for(limits::kIdleTimeout + seconds(5));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(house.lets_in(house.invite())) << i;
    house.tunnel.world.run_for(milliseconds(100));
    EXPECT_EQ(house.sessions(), 3U);
    EXPECT_FALSE(house.lets_in(house.invite())) << "those live";
    EXPECT_EQ(house.tunnel.shared.places->size(), 3U);
  }
}

TEST(SimSessions, of_silent_clients_give_way_before_they_count_as_lost) {
  House house({.max_sessions = 3});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(house.lets_in(house.invite()));
  house.tunnel.world.run_for(seconds(60));  // they are idle, and say so
  EXPECT_FALSE(house.lets_in(house.invite()));
  house.guests[1]->kill();
  house.tunnel.world.run_for(limits::kSilentSession + limits::kKeepAlive);
  EXPECT_TRUE(house.lets_in(house.invite()));
  EXPECT_FALSE(house.lets_in(house.invite()));
  EXPECT_FALSE(house.guests[0]->end);
  EXPECT_FALSE(house.guests[2]->end);
}

TEST(SimSessions, of_one_credential_leave_room_for_another) {
  House house({.max_sessions = 4});
  SeededRng rng(5);
  const session::Token other = session::generate_token(rng);
  peer::ServerPolicy policy = *house.tunnel.shared.policy;
  ASSERT_TRUE(policy.auth.tokens.add(other));
  house.tunnel.set_policy(std::make_shared<const peer::ServerPolicy>(policy));

  for (int i = 0; i < 3; ++i) EXPECT_TRUE(house.lets_in(house.invite()));
  Guest& fourth = house.invite();
  EXPECT_FALSE(house.lets_in(fourth));
  ASSERT_TRUE(fourth.end);
  EXPECT_NE(fourth.end->what.find("of this credential"), std::string::npos) << fourth.end->text();
  EXPECT_TRUE(house.lets_in(house.invite(other)));
  Guest& sixth = house.invite(other);
  EXPECT_FALSE(house.lets_in(sixth));
  ASSERT_TRUE(sixth.end);
  EXPECT_EQ(sixth.end->what.find("of this credential"), std::string::npos) << sixth.end->text();
}

// From the answer to its next packet.
TEST(SimSessions, client_hears_of_a_restart_at_once) {
  for (const unsigned workers : {1U, 3U}) {
    House house({.client_up = kGuestLink, .client_down = kGuestLink, .server_workers = workers});
    TunnelWorld& tunnel = house.tunnel;
    ASSERT_TRUE(tunnel.connect());
    tunnel.world.run_for(seconds(1));
    tunnel.restart_server();
    EXPECT_EQ(house.sessions(), 0U);
    static_cast<void>(tunnel.call({.seed = 1, .upload_bytes = 1'000, .download_bytes = 1'000}));
    EXPECT_TRUE(tunnel.world.run_until([&] { return house.sessions() == 1; },
                                       tunnel.world.now() + milliseconds(250)))
        << tunnel.report();
    // ... also when it has nothing to say, at its next sign of life.
    tunnel.world.run_for(seconds(30));
    tunnel.restart_server();
    EXPECT_TRUE(tunnel.world.run_until([&] { return house.sessions() == 1; },
                                       tunnel.world.now() + limits::kKeepAlive + milliseconds(250)))
        << tunnel.report();
  }
}

// --- nobody there ------------------------------------------------------------------------------

TEST(SimNobody, at_the_servers_port_is_told_soon_where_the_network_says_so) {
  for (const bool says_so : {true, false}) {
    TunnelWorld tunnel(
        1, {.client_up = kGuestLink, .client_down = kGuestLink, .has_second_server_address = true});
    tunnel.end_server();
    tunnel.server_machine->set_refuses_closed_ports(says_so);
    tunnel.start_client();
    tunnel.world.run_for(seconds(3));
    EXPECT_EQ(tunnel.is_finished, says_so);
    tunnel.world.run_for(limits::kDialTimeout);
    ASSERT_TRUE(tunnel.is_finished);
    ASSERT_TRUE(tunnel.end_error);
    EXPECT_EQ(tunnel.end_error->kind, ErrorKind::unreachable);
    EXPECT_NE(tunnel.end_error->text().find(says_so ? "nobody listens at this UDP port"
                                                    : "no answer over UDP"),
              std::string::npos)
        << tunnel.end_error->text();
    const std::string text = tunnel.end_error->text();
    EXPECT_NE(text.find("firewall"), std::string::npos);
    EXPECT_EQ(text.find("firewall"), text.rfind("firewall")) << "one question for all addresses";
  }
}

TEST(SimNobody, at_one_of_the_servers_addresses_costs_nothing) {
  TunnelWorld tunnel(1, {.client_up = kGuestLink, .client_down = kGuestLink});
  tunnel.server_machine->set_refuses_closed_ports(true);
  peer::ClientConfig config = tunnel.client_config();
  SocketAddress closed = TunnelWorld::server_address();
  ++closed.port;
  config.addresses.insert(config.addresses.begin(), closed);
  SimHost host(*tunnel.client_machine, {});
  auto client = role::Client::create(host, tunnel.log, std::move(config), tunnel);
  (*client)->start(tunnel.world.now());
  EXPECT_TRUE(
      tunnel.world.run_until([&] { return tunnel.is_connected; }, tunnel.world.now() + seconds(1)));
  tunnel.world.run_for(seconds(5));
  EXPECT_FALSE(tunnel.is_finished);
}

TEST(SimNobody, at_the_servers_port_for_a_moment_is_a_server_that_starts) {
  TunnelWorld tunnel(1, {.client_up = kGuestLink, .client_down = kGuestLink});
  tunnel.end_server();
  tunnel.server_machine->set_refuses_closed_ports(true);
  tunnel.start_client();
  tunnel.world.run_for(milliseconds(500));
  tunnel.restart_server();
  EXPECT_TRUE(
      tunnel.world.run_until([&] { return tunnel.is_connected; }, tunnel.world.now() + seconds(2)))
      << tunnel.report();
}

// Anybody can send ICMP errors from anywhere.
TEST(SimNobody, is_not_there_because_a_stranger_says_so) {
  // Slower than refusals are believed.
  const LinkConfig slow{.delay = milliseconds(1'600)};
  TunnelWorld tunnel(1, {.client_up = slow, .client_down = slow});
  tunnel.start_client();
  const SocketAddress client{tunnel.client_machine->addresses().front(),
                             tunnel.client->local_address().port};
  Bytes guess(64);
  guess[0] = 0xc3;
  guess[5] = guess[24] = 18;  // sizes of both connection ids
  for (int i = 0; i < 30; ++i) {
    tunnel.world.run_for(milliseconds(100));
    for (const Bytes& quote : {Bytes{}, Bytes{0xc3, 0, 0, 0, 1}, guess}) {
      tunnel.network.inject_refusal(client,
                                    {.remote = TunnelWorld::server_address(), .quote = quote});
    }
  }
  EXPECT_TRUE(tunnel.world.run_until([&] { return tunnel.is_connected || tunnel.is_finished; },
                                     tunnel.world.now() + limits::kDialTimeout));
  EXPECT_TRUE(tunnel.is_connected) << tunnel.report();
}

// Some know what they speak of, and it is a hint all the same.
TEST(SimNobody, is_not_there_according_to_a_router_yet_the_server_answers) {
  const LinkConfig slow{.delay = milliseconds(1'000)};
  TunnelWorld tunnel(1, {.server_up = slow, .server_down = slow});
  tunnel.network.tap = [&](Instant, Packet& packet) {
    if (packet.to != TunnelWorld::server_address()) return true;
    const auto head =
        ByteView(packet.payload).first(std::min(packet.payload.size(), UdpRefusal::kMaxQuoteBytes));
    tunnel.network.inject_refusal(packet.from,
                                  {.remote = packet.to, .quote = Bytes(head.begin(), head.end())});
    return true;
  };
  EXPECT_TRUE(tunnel.connect()) << tunnel.report();
}

// What arrives of its answer is of no use until the refusal is due, but it is an answer.
TEST(SimNobody, is_not_there_and_yet_something_of_an_answer_is) {
  const LinkConfig slow{.delay = milliseconds(300)};
  TunnelWorld tunnel(1, {.server_up = slow, .server_down = slow});
  const Instant usable = tunnel.world.now() + limits::kRefusedDial + milliseconds(200);
  tunnel.network.tap = [&](Instant now, Packet& packet) {
    if (packet.to == TunnelWorld::server_address()) {
      const auto head = ByteView(packet.payload)
                            .first(std::min(packet.payload.size(), UdpRefusal::kMaxQuoteBytes));
      tunnel.network.inject_refusal(
          packet.from, {.remote = packet.to, .quote = Bytes(head.begin(), head.end())});
    } else if (now < usable && packet.payload.size() > 60) {
      packet.payload[60] ^= 1;
    }
    return true;
  };
  EXPECT_TRUE(tunnel.connect()) << tunnel.report();
}

TEST(SimNobody, is_said_to_be_there_by_what_could_not_be_believed) {
  TunnelWorld tunnel(1, {.client_up = kGuestLink, .client_down = kGuestLink});
  tunnel.end_server();
  tunnel.start_client();
  const SocketAddress client{tunnel.client_machine->addresses().front(),
                             tunnel.client->local_address().port};
  tunnel.world.run_for(milliseconds(20));
  tunnel.network.inject_refusal(client, {.remote = TunnelWorld::server_address()});
  tunnel.world.run_for(limits::kDialTimeout);
  ASSERT_TRUE(tunnel.end_error);
  EXPECT_NE(tunnel.end_error->text().find("ICMP says that nobody listens there"), std::string::npos)
      << tunnel.end_error->text();
}

// --- no credential -----------------------------------------------------------------------------

TEST(SimCredentials, that_were_not_given_or_are_not_taken_are_named) {
  const auto refusal = [](bool server_wants_keys, auto change) {
    TunnelWorld tunnel(
        1, {.client_up = kGuestLink, .client_down = kGuestLink, .uses_key = server_wants_keys});
    peer::ClientConfig config = tunnel.client_config();
    SeededRng rng(7);
    config.credentials = {};
    change(config.credentials, session::generate_token(rng));
    SimHost host(*tunnel.client_machine, {});
    auto client = role::Client::create(host, tunnel.log, std::move(config), tunnel);
    (*client)->start(tunnel.world.now());
    tunnel.world.run_for(seconds(5));
    EXPECT_TRUE(tunnel.is_finished && tunnel.end_error);
    EXPECT_EQ(tunnel.end_error->kind, ErrorKind::authentication);
    return tunnel.end_error->text();
  };
  const std::string none = refusal(false, [](auto&, const auto&) {});
  EXPECT_NE(none.find("no credential was given"), std::string::npos) << none;
  EXPECT_NE(none.find("--auth-token-file"), std::string::npos) << none;
  EXPECT_NE(none.find("--private-key-file"), std::string::npos) << none;
  const std::string not_taken = refusal(
      true, [](auto& credentials, const session::Token& token) { credentials.token = token; });
  EXPECT_NE(not_taken.find("takes no token"), std::string::npos) << not_taken;
  const std::string wrong = refusal(
      false, [](auto& credentials, const session::Token& token) { credentials.token = token; });
  EXPECT_NE(wrong.find("it was the token"), std::string::npos) << wrong;
}

}  // namespace
}  // namespace culvert::sim
