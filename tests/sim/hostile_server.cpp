#include "tests/sim/hostile_server.h"

#include "base/assert.h"

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::sim {
namespace {

using session::MessageBuilder;
using session::MessageType;

constexpr std::uint16_t kPort = 4433;
const IpAddress kHostileServerIp = IpAddress::v4(0xc6336402);
const IpAddress kVictimIp = IpAddress::v4(0xc0000205);
const IpAddress kSecondVictimIp = IpAddress::v4(0xc0000305);

LinkConfig short_link() {
  LinkConfig link;
  link.delay = std::chrono::milliseconds(1);
  return link;
}

crypto::SecretKey key_of(const World& world, std::string_view name) {
  SeededRng rng = world.rng_for(name);
  return crypto::SecretKey::generate(rng);
}

}  // namespace

HostileServerWorld::HostileServerWorld()
    : world(1),
      network(world),
      client_machine(network.add_machine("client", {kVictimIp}, short_link(), short_link())),
      server_machine(
          network.add_machine("hostile server", {kHostileServerIp}, short_link(), short_link())),
      key_(key_of(world, "hostile server")),
      server_(server_machine,
              {.identity = key_, .alpns = {"culvert/1"}, .accepts_connections = true}, kPort) {
  server_.on_accepted = [this](RawConnection& wire) { serve(wire); };
}

HostileServerWorld::~HostileServerWorld() = default;

void HostileServerWorld::add_client_address() {
  client_machine.add_interface(kSecondVictimIp, short_link(), short_link());
}

void HostileServerWorld::start_client() {
  client_host_ = std::make_unique<SimHost>(client_machine, client_knobs);
  std::vector<tunnel::TunnelSpec> tunnels;
  tunnels.push_back(*tunnel::TunnelSpec::make({}, *tunnel::Source::parse("tcp://127.0.0.1:9000"),
                                              *tunnel::Target::parse("127.0.0.1:7000")));
  tunnels.push_back(*tunnel::TunnelSpec::make({}, *tunnel::Source::parse("udp://127.0.0.1:9053"),
                                              *tunnel::Target::parse("127.0.0.1:7053")));
  SeededRng rng = world.rng_for("token");
  peer::ClientConfig config{.endpoint = {.identity = key_of(world, "client")},
                            .server = key_.public_key(),
                            .addresses = {{kHostileServerIp, kPort}},
                            .credentials = {.token = session::generate_token(rng)},
                            .tunnels = *tunnel::TunnelSet::make(std::move(tunnels)),
                            .policy = {.multipath = multipath},
                            .events = this};
  auto created = role::Client::create(*client_host_, null_logger(), std::move(config), *this);
  CULVERT_ASSERT(created.has_value());
  client = std::move(*created);
  client->start(world.now());
}

bool HostileServerWorld::connect() {
  start_client();
  return wait([&] { return is_connected || is_finished; }) && is_connected;
}

Talker& HostileServerWorld::call(const FlowPlan& plan) {
  callers.push_back(
      Talker::call(*client_host_, SocketAddress{IpAddress::loopback(Family::v4), 7000}, plan));
  return *callers.back();
}

std::size_t HostileServerWorld::count(peer::RoleEventKind kind) const {
  return static_cast<std::size_t>(std::ranges::count(events, kind, &peer::RoleEvent::kind));
}

// --- the server ---------------------------------------------------------------------------------

MessageBuilder HostileServerWorld::challenge(std::uint64_t features) {
  MessageBuilder message(MessageType::challenge);
  message.bytes(1, std::array<std::uint8_t, 32>{2})
      .number(2, 0b1110)
      .number(3, 1)
      .number(4, features);
  return message;
}

MessageBuilder HostileServerWorld::accepted() {
  MessageBuilder message(MessageType::accepted);
  message.bytes(1, session_id()).number(2, 100).number(3, 0).number(4, 60);
  return message;
}

MessageBuilder HostileServerWorld::resumed() {
  MessageBuilder message(MessageType::resumed);
  message.bytes(1, session_id()).number(3, 0).number(4, 60);
  return message;
}

void HostileServerWorld::serve(RawConnection& wire) {
  lines.push_back(std::make_unique<ServedLine>(wire));
  ServedLine& line = *lines.back();
  wire.on_opened = [this, &line](RawStream& stream) {
    if (line.control != nullptr) {
      stream.is_reading = reads_flows;
    } else {
      line.control = &stream;
    }
  };
  wire.on_unread = [this, &line](RawStream& stream) {
    std::array<ByteView, 1> views;
    if (line.has(stream) || stream.stream->input.views(views) == 0) return;
    const auto head = session::decode_flow_open(session::Dialect::culvert_1, views[0]);
    if (!head) return;
    line.wire.take_some(stream, head->size);
    on_head(line, stream, head->value);
  };
  wire.on_received = [this, &line](RawStream& stream) { on_bytes(line, stream); };
}

void HostileServerWorld::on_bytes(ServedLine& line, RawStream& stream) {
  if (&stream == line.control) {
    while (const auto message = stream.take_message()) {
      line.heard.push_back(*message);
      if (!on_message || !on_message(line, *message)) on_control(line, *message);
    }
    return;
  }
  if (line.has(stream)) return;
  const auto head = session::decode_flow_open(session::Dialect::culvert_1, stream.received);
  if (!head) return;
  stream.received.erase(stream.received.begin(),
                        stream.received.begin() + static_cast<std::ptrdiff_t>(head->size));
  on_head(line, stream, head->value);
}

void HostileServerWorld::on_head(ServedLine& line, RawStream& stream,
                                 const session::FlowOpen& open) {
  line.flows.push_back({.stream = &stream, .open = open});
  ServedLine::Flow flow = line.flows.back();
  if (!on_flow || !on_flow(line, flow)) line.reply(stream, session::FlowAccepted{"127.0.0.1:9"});
}

void HostileServerWorld::on_control(ServedLine& line, const HeardMessage& message) {
  switch (message.type) {
    case MessageType::hello:
      line.say(challenge());
      break;
    case MessageType::proof:
      line.say(accepted());
      line.wire.allow_streams(100);
      break;
    case MessageType::resume:
    case MessageType::promote:
      line.say(resumed());
      line.wire.allow_streams(100);
      break;
    case MessageType::join:
      line.say(MessageBuilder(MessageType::joined).bytes(1, session_id()));
      break;
    default:
      break;
  }
}

}  // namespace culvert::sim
