// Bytes become what a hostile network does to a server: raw datagrams, first packets of
// real clients, and packets of a live connection, all bent as the input says, with time
// passing in between. Nothing may crash, state stays bounded, nothing is amplified.
#include "base/assert.h"
#include "base/limits.h"
#include "quic/endpoint_impl.h"
#include "quic/loopback_pair.h"

#include <algorithm>
#include <cstdint>

namespace {

using namespace culvert;
using namespace culvert::quic;
using Packet = LoopbackPair::Packet;

constexpr int kMaxSteps = 64;
// Ids that one connection can hold: its own, those it issued and the client's first.
constexpr std::size_t kMaxIdsPerConnection = 16;

class Script {
 public:
  explicit Script(ByteView input) : reader_(input) {}
  std::uint8_t byte() { return reader_.u8().value_or(0); }
  std::uint16_t word() { return reader_.u16().value_or(0); }
  ByteView some(std::size_t count) { return *reader_.take(std::min(count, reader_.rest().size())); }
  [[nodiscard]] bool is_over() const { return reader_.is_empty(); }

 private:
  ByteReader reader_;
};

// Cuts, stretches or flips.
void bend(Packet& packet, Script& script) {
  const std::uint8_t how = script.byte();
  if ((how & 1) != 0 && !packet.bytes.empty())
    packet.bytes.resize(script.word() % packet.bytes.size());
  if ((how & 2) != 0) packet.bytes.resize(packet.bytes.size() + script.byte());
  for (int flips = (how >> 2) % 4; flips > 0 && !packet.bytes.empty(); --flips) {
    packet.bytes[script.word() % packet.bytes.size()] ^= script.byte();
  }
  if ((how & 0x40) != 0) packet.path.remote.port = script.byte();
}

class Scenario {
 public:
  explicit Scenario(ByteView input) : script_(input) {
    pair_.filter = [this](Packet& packet) {
      held_.push_back(packet);
      return false;
    };
    pair_.server.on_readable = [](Connection& connection, Stream& stream) {
      connection.consume(stream, stream.input.size());
    };
  }

  void run() {
    for (int step = 0; step < kMaxSteps && !script_.is_over(); ++step) {
      switch (script_.byte() % 6) {
        case 0: {
          const ByteView raw = script_.some(script_.word() % 1600);
          give({.path = server_path(), .bytes = Bytes(raw.begin(), raw.end()), .to_server = true});
          break;
        }
        case 1:
          pair_.connect({}, "culvert/1", static_cast<std::uint16_t>(1000 + script_.byte()));
          break;
        case 2:  // all that is on the wire arrives
          for (const Packet& packet : std::exchange(held_, {})) give(packet);
          break;
        case 3:  // one of it, bent; the original stays
          if (!held_.empty()) {
            Packet packet = held_[script_.byte() % held_.size()];
            bend(packet, script_);
            give(packet);
          }
          break;
        case 4:
          talk();
          break;
        default:
          pair_.run_for(std::chrono::milliseconds(script_.word()));
      }
      pair_.run_for(Duration::zero());
      check();
    }
  }

 private:
  static PathId server_path() {
    return {.local = LoopbackPair::server_address(), .remote = LoopbackPair::client_address()};
  }

  void give(const Packet& packet) {
    const std::size_t held = held_.size();
    const std::size_t size = packet.bytes.size();
    const bool to_server = packet.to_server;
    const Routing routing = pair_.deliver(packet);
    if (!to_server || std::holds_alternative<RoutedTo>(routing)) return;
    std::size_t answered = 0;
    for (std::size_t i = held; i < held_.size(); ++i) answered += held_[i].bytes.size();
    CULVERT_ASSERT(answered == 0 || answered < size);
  }

  void talk() {
    for (Connection* connection : pair_.client.connections) {
      if (Stream* stream = connection->open_stream(); stream != nullptr) {
        stream->output.append(Bytes(script_.byte()));
        connection->submit(*stream);
      }
      (void)connection->send_datagram({}, Bytes(script_.byte()));
    }
  }

  void check() {
    const auto& server = static_cast<const EndpointImpl&>(*pair_.server.endpoint);
    CULVERT_ASSERT(server.connection_count() <=
                   limits::kMaxUnauthenticatedConnections + limits::kMaxReturningConnections);
    CULVERT_ASSERT(server.connection_id_count() <=
                   server.connection_count() * kMaxIdsPerConnection);
  }

  LoopbackPair pair_;
  std::vector<Packet> held_;
  Script script_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Scenario({data, size}).run();
  return 0;
}
