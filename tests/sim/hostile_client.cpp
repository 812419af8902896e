#include "tests/sim/hostile_client.h"

#include "base/assert.h"
#include "session/culvert1_handshake.h"

#include <array>
#include <string>
#include <utility>

namespace culvert::sim {
namespace {

using session::MessageBuilder;
using session::MessageType;

quic::EndpointConfig hostile_config(const TunnelWorld& tunnel, std::uint8_t number,
                                    quic::TransportConfig transport) {
  SeededRng rng = tunnel.world.rng_for("hostile client " + std::to_string(number));
  return {.identity = crypto::SecretKey::generate(rng), .transport = std::move(transport)};
}

Machine& hostile_machine(TunnelWorld& tunnel, std::uint8_t number) {
  LinkConfig link;
  link.delay = std::chrono::milliseconds(1);
  return tunnel.network.add_machine("hostile " + std::to_string(number),
                                    {IpAddress::v4(0xcb007100U + number)}, link, link);
}

}  // namespace

HostileLine::HostileLine(HostileClient& client, RawConnection& its_wire)
    : wire(its_wire),
      control(*its_wire.open_stream()),
      client_(client),
      exporter_(its_wire.exported(session::kExporterLabel)),
      key_(its_wire.exported(session::kResumeExporterLabel)) {}

void HostileLine::say(const MessageBuilder& message) {
  Bytes bytes;
  message.append_to(bytes);
  say(bytes);
}

void HostileLine::say(ByteView bytes) {
  wire.send(control, bytes);
}

std::optional<HeardMessage> HostileLine::hear() {
  std::optional<HeardMessage> heard;
  client_.wait([&] { return (heard = control.take_message()).has_value() || wire.is_closed(); });
  return heard;
}

bool HostileLine::greet(std::uint64_t features) {
  const std::array<std::uint8_t, 1> versions{session::kCulvert1Version};
  say(MessageBuilder(MessageType::hello).bytes(1, versions).number(2, features));
  const auto challenge = hear();
  if (!challenge || !challenge->is(MessageType::challenge)) return false;
  nonce_ = challenge->array<32>(1);
  return true;
}

MessageBuilder HostileLine::proof() const {
  MessageBuilder proof(MessageType::proof);
  proof.number(1, 1).bytes(
      2, session::token_proof(client_.tunnel().token().reveal(), exporter(), nonce_));
  return proof;
}

bool HostileLine::log_in(std::uint64_t features) {
  if (!greet(features)) return false;
  say(proof());
  const auto accepted = hear();
  if (!accepted || !accepted->is(MessageType::accepted)) return false;
  session_id_ = accepted->array<16>(1);
  grace_s_ = accepted->number(4);
  return true;
}

std::optional<HeardMessage> HostileLine::resume(const session::SessionId& id,
                                                const session::ResumeKey& key) {
  say(MessageBuilder(MessageType::resume)
          .bytes(1, id)
          .bytes(2, session::resume_proof(key, exporter(), nonce_)));
  auto heard = hear();
  if (heard && heard->is(MessageType::resumed)) session_id_ = id;
  return heard;
}

std::optional<HeardMessage> HostileLine::join(const session::SessionId& id,
                                              const session::ResumeKey& key) {
  say(MessageBuilder(MessageType::join)
          .bytes(1, id)
          .bytes(2, session::join_proof(key, exporter(), nonce_)));
  auto heard = hear();
  if (heard && heard->is(MessageType::joined)) session_id_ = id;
  return heard;
}

std::optional<HeardMessage> HostileLine::promote(const session::ResumeKey& key) {
  say(MessageBuilder(MessageType::promote)
          .bytes(1, session::resume_proof(key, exporter(), nonce_)));
  return hear();
}

void HostileLine::done(std::uint64_t count) {
  say(MessageBuilder(MessageType::resume_done).number(1, count));
}

void HostileLine::gone(const std::vector<std::uint64_t>& ids) {
  Bytes list;
  ByteWriter writer(list);
  for (const std::uint64_t id : ids) writer.varint(id);
  say(MessageBuilder(MessageType::flows_gone).bytes(1, list));
}

RawStream* HostileLine::open(const session::FlowOpen& open, ByteView behind) {
  RawStream* stream = wire.open_stream();
  if (stream == nullptr) return nullptr;
  Bytes bytes;
  session::encode_flow_open(session::Dialect::culvert_1, open, bytes);
  bytes.insert(bytes.end(), behind.begin(), behind.end());
  wire.send(*stream, bytes);
  return stream;
}

bool HostileLine::is_thrown_out(session::CloseCode code, Duration within) {
  client_.wait([&] { return wire.is_closed(); }, within);
  return wire.close_code() == static_cast<std::uint64_t>(code);
}

// --- the client ---------------------------------------------------------------------------------

HostileClient::HostileClient(TunnelWorld& tunnel, std::uint8_t number,
                             quic::TransportConfig transport)
    : tunnel_(tunnel),
      peer_(hostile_machine(tunnel, number), hostile_config(tunnel, number, std::move(transport))) {
}

HostileLine& HostileClient::connect() {
  RawConnection& wire =
      peer_.connect({.to = {tunnel_.server_machine->addresses().front(), TunnelWorld::kServerPort},
                     .peer = tunnel_.server_key.public_key(),
                     .worker = 0});
  CULVERT_ASSERT(wait([&] { return wire.is_up(); }));
  lines_.push_back(std::make_unique<HostileLine>(*this, wire));
  return *lines_.back();
}

HostileLine& HostileClient::log_in() {
  HostileLine& line = connect();
  CULVERT_ASSERT(line.log_in());
  run_for(std::chrono::milliseconds(20));  // the server grants streams
  return line;
}

HostileLine& HostileClient::resume(const HostileLine& line) {
  const session::ResumeKey& key = line.key();
  HostileLine& next = connect();
  CULVERT_ASSERT(next.greet());
  const auto answer = next.resume(line.session_id(), key);
  CULVERT_ASSERT(answer && answer->is(MessageType::resumed));
  run_for(std::chrono::milliseconds(20));
  return next;
}

HostileLine& HostileClient::join(const HostileLine& line) {
  HostileLine& next = connect();
  CULVERT_ASSERT(next.greet());
  const auto answer = next.join(line.session_id(), line.key());
  CULVERT_ASSERT(answer && answer->is(MessageType::joined));
  run_for(std::chrono::milliseconds(20));
  return next;
}

}  // namespace culvert::sim
