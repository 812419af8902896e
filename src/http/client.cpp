#include "http/client.h"

#include "base/assert.h"

#include <array>
#include <utility>

namespace culvert::http {

Client::~Client() = default;

Status Client::connect(const StreamAddress& address) {
  CULVERT_ASSERT(!port_);
  CULVERT_TRY(port_, host_.connect_stream(address, Purpose::process, *this));
  return {};
}

void Client::attach(std::unique_ptr<StreamPort> connecting) {
  CULVERT_ASSERT(!port_);
  port_ = std::move(connecting);
  port_->set_handler(*this);
}

void Client::call(const Call& call, Duration patience, Done done) {
  CULVERT_ASSERT(!is_busy());
  done_ = std::move(done);
  const auto wire = to_wire(call, config_.host, true);
  if (!port_ || !wire) {
    const ErrorKind kind = wire ? ErrorKind::lost : ErrorKind::configuration;
    std::string what = wire ? "the connection has ended"
                            : "a request to it would not be HTTP: its method, target, host or a "
                              "header has characters that must not be there";
    timer_ = host_.after(Duration::zero(), [this, kind, what = std::move(what)](Instant now) {
      finish(now, fail(kind, what, config_.host));
    });
    return;
  }
  parser_ = std::make_unique<ReplyParser>(config_.reply, call.method == "HEAD");
  output_ = *wire;
  timer_ = host_.after(patience, [this](Instant now) {
    end(now, ErrorKind::unreachable,
        !is_connected_         ? "no connection within the time that there is for an answer"
        : parser_->has_begun() ? "its answer takes too long"
                               : "it does not answer");
  });
  if (is_connected_) port_->want_writable();
}

std::optional<Client::Upgraded> Client::take_stream() {
  if (!has_upgraded_ || !port_) return std::nullopt;
  return Upgraded{.stream = std::move(port_), .rest = parser_->take_rest()};
}

void Client::on_stream_connected(Instant now) {
  is_connected_ = true;
  port_->want_readable();
  flush(now);
}

void Client::on_stream_failed(Instant now, const Error& error) {
  end(now, is_connected_ ? ErrorKind::lost : error.kind, error.what);
}

void Client::flush(Instant now) {
  while (port_ && !output_.empty()) {
    const std::array from{as_bytes(output_)};
    const IoResult result = port_->try_write(from);
    output_.erase(0, result.bytes);
    if (result.bytes > 0) continue;
    if (result.status == IoStatus::would_block) return port_->want_writable();
    // It may have answered before it closed (too large, not allowed): that is to be read.
    output_.clear();
    return read(now);
  }
}

void Client::on_stream_readable(Instant now) {
  read(now);
}

void Client::read(Instant now) {
  std::array<std::uint8_t, kReadBytes> block;
  const Alive::Token alive = alive_.token();
  for (int i = 0; i < kMaxReads; ++i) {
    const std::array into{ByteSpan(block)};
    const IoResult result = port_->try_read(into);
    if (result.bytes > 0) {
      // Nothing is to come when nothing was asked.
      if (!is_busy()) return end(now, ErrorKind::protocol, "it speaks unasked");
      parser_->add(ByteView(block).first(result.bytes));
      take_reply(now);
      if (!alive || !port_ || has_upgraded_) return;
      continue;
    }
    if (result.status == IoStatus::ok) continue;
    if (result.status == IoStatus::would_block) break;
    if (is_busy() && result.status == IoStatus::end) {
      parser_->add_end();
      take_reply(now);
      if (!alive || !port_) return;
    }
    return end(now, ErrorKind::lost, "the connection ended before its answer did");
  }
  port_->want_readable();
}

void Client::take_reply(Instant now) {
  auto reply = parser_->next();
  if (!reply) {
    if (!parser_->error()) return;
    if (!parser_->has_begun()) {
      return end(now, ErrorKind::lost, "the connection ended before its answer did");
    }
    return end(now, ErrorKind::protocol, "its answer is no HTTP: " + *parser_->error());
  }
  has_upgraded_ = reply->status == 101;
  if (!has_upgraded_ && (!reply->keeps_alive || !output_.empty())) port_.reset();
  finish(now, std::move(*reply));
}

void Client::end(Instant now, ErrorKind kind, std::string what) {
  port_.reset();
  finish(now, fail(kind, std::move(what), config_.host));
}

// Last: the client may be gone afterwards.
void Client::finish(Instant now, Result<Reply> reply) {
  timer_.reset();
  output_.clear();
  if (Done done = std::exchange(done_, nullptr)) done(now, std::move(reply));
}

}  // namespace culvert::http
