#include "tests/sim/stranger.h"

#include "base/assert.h"

#include <utility>

namespace culvert::sim {

quic::Stream* Visit::open(ByteView bytes, bool with_fin) {
  if (connection == nullptr) return nullptr;
  quic::Stream* stream = connection->open_stream();
  if (stream != nullptr) send(*stream, bytes, with_fin);
  return stream;
}

void Visit::send(quic::Stream& stream, ByteView bytes, bool with_fin) {
  stream.output.append(bytes);
  connection->submit(stream);
  if (with_fin) connection->finish(stream);
}

void Visit::close(Instant now) {
  if (connection == nullptr) return;
  connection->close(now, 0, "");
  stranger_.worker().detach(*std::exchange(connection, nullptr));
}

void Visit::on_event(Instant now, quic::Event& event) {
  if (std::holds_alternative<quic::HandshakeCompleted>(event)) {
    is_established = true;
    stranger_.on_established(now, *this);
  } else if (std::holds_alternative<quic::StreamsAvailable>(event)) {
    has_places = true;
  } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
    resets.push_back(reset->code);
  } else if (auto* closed = std::get_if<quic::Closed>(&event)) {
    end = std::move(*closed);
    stranger_.worker().detach(*std::exchange(connection, nullptr));
    stranger_.on_ended(now, *this);
  }
}

void Visit::on_readable(Instant, quic::Stream& stream) {
  std::array<ByteView, 4> views;
  while (stream.input.size() > 0) {
    const std::size_t count = stream.input.views(views);
    std::size_t size = 0;
    for (const ByteView& view : std::span(views).first(count)) {
      received.insert(received.end(), view.begin(), view.end());
      size += view.size();
    }
    connection->consume(stream, size);
  }
}

Stranger::Stranger(Network& network, Logger& log, const std::string& name,
                   std::vector<IpAddress> addresses, const LinkConfig& up, const LinkConfig& down)
    : machine_(network.add_machine(name, addresses, up, down)),
      host_(machine_, {}),
      addresses_(std::move(addresses)),
      worker_(std::make_unique<drive::Worker>(host_, log)) {
  SeededRng rng = network.world().rng_for("stranger " + name);
  const Status opened = worker_->open({.identity = crypto::SecretKey::generate(rng)},
                                      {.bind = {IpAddress::any(addresses_.front().family()), 0}});
  CULVERT_ASSERT(opened.has_value());
}

Stranger::~Stranger() = default;

Visit& Stranger::visit(const SocketAddress& server, const crypto::EndpointId& id,
                       const std::string& alpn, std::size_t address) {
  visits_.push_back(std::make_unique<Visit>(*this, visits_.size()));
  Visit& visit = *visits_.back();
  const auto connection = worker_->connect_from(host_.world().now(), addresses_.at(address), server,
                                                {.peer = id, .alpn = alpn}, visit);
  CULVERT_ASSERT(connection.has_value());
  visit.connection = *connection;
  return visit;
}

}  // namespace culvert::sim
