#include "flow/stream_pump.h"

#include "base/probe.h"
#include "peer/flow_codes.h"

#include <algorithm>
#include <array>

namespace culvert::flow {
namespace {

constexpr std::size_t kSpans = 16;

}  // namespace

StreamPump::StreamPump(drive::Worker& worker, buffers::ByteStream& stream,
                       drive::TrafficCounters& counters, PumpOwner& owner)
    : worker_(worker), stream_(&stream), counters_(counters), owner_(owner) {}

StreamPump::~StreamPump() {
  worker_.cancel_flush(*this);
}

void StreamPump::attach(std::unique_ptr<StreamPort> port) {
  port_ = std::move(port);
  port_->set_handler(*this);
  if (!is_up_done_) port_->want_readable();
  if (is_down_open_) worker_.request_flush(*this);
}

void StreamPump::open_downstream() {
  is_down_open_ = true;
  worker_.request_flush(*this);
}

void StreamPump::on_quic_readable() {
  if (is_write_broken_ || is_breaking_) return drop_input();
  if (is_down_open_ && !is_port_blocked_) worker_.request_flush(*this);
}

void StreamPump::on_quic_writable(Instant now) {
  if (is_breaking_) return break_when_delivered(now);
  pump_up(now);
}

void StreamPump::on_resumed(Instant now, buffers::ByteStream& stream) {
  stream_ = &stream;
  on_quic_readable();
  on_quic_writable(now);
}

void StreamPump::on_stream_failed(Instant now, const Error&) {
  break_off(now);
}
void StreamPump::on_stream_readable(Instant now) {
  pump_up(now);
}

void StreamPump::on_stream_writable(Instant now) {
  is_port_blocked_ = false;
  pump_down(now);
}

void StreamPump::flush(Instant now) {
  pump_down(now);
}

void StreamPump::pump_up(Instant now) {
  if (port_ == nullptr || is_up_done_ || stream_->is_parked) return;
  std::size_t moved = 0;
  while (moved < limits::kReadBytesPerTurn) {
    std::array<ByteSpan, kSpans> spans;
    const std::size_t wanted =
        std::min({reads_.wanted(), limits::kReadBytesPerTurn - moved, stream_->output.space()});
    const std::size_t count = stream_->output.reserve(wanted, spans);
    if (count == 0) {
      stream_->wants_space = true;
      break;
    }
    const IoResult result = port_->try_read(std::span(spans).first(count));
    stream_->output.commit(result.bytes);
    moved += result.bytes;
    reads_.on_got(wanted, result.bytes);
    if (result.status == IoStatus::ok) continue;
    if (result.status == IoStatus::failed) {
      if (moved > 0) stream_->submit();
      counters_.to_stream += moved;
      break_off(now);
      return;
    }
    if (result.status == IoStatus::end) {
      is_up_done_ = true;
      stream_->finish();
    } else {
      port_->want_readable();
    }
    break;
  }
  if (moved >= limits::kReadBytesPerTurn) {
    CULVERT_PROBE("flow.a flow reads all that it may in one turn");
    port_->want_readable();
  }
  if (moved > 0) stream_->submit();
  counters_.to_stream += moved;
  finish_if_done(now);
}

void StreamPump::pump_down(Instant now) {
  if (port_ == nullptr || !is_down_open_ || is_down_done_ || is_port_blocked_) return;
  std::size_t moved = 0;
  while (stream_->input.size() > 0) {
    std::array<ByteView, kSpans> views;
    const std::size_t count = stream_->input.views(views);
    const IoResult result = port_->try_write(std::span(views).first(count));
    if (result.status == IoStatus::would_block) {
      is_port_blocked_ = true;
      port_->want_writable();
      break;
    }
    if (result.status != IoStatus::ok) {
      counters_.from_stream += moved;
      if (is_up_done_) return break_off(now);
      // A target that greets and is gone: the greeting is still to be read.
      is_write_broken_ = is_down_done_ = true;
      drop_input();
      return pump_up(now);
    }
    stream_->consume(result.bytes);
    moved += result.bytes;
  }
  counters_.from_stream += moved;
  if (stream_->is_input_finished()) {
    is_down_done_ = true;
    port_->shutdown_write();
  }
  finish_if_done(now);
}

void StreamPump::finish_if_done(Instant now) {
  if (port_ == nullptr || !is_up_done_ || !is_down_done_) return;
  if (is_write_broken_) return break_off(now);
  port_.reset();
  owner_.on_pump_finished(now);
}

void StreamPump::stop_upstream() {
  is_up_done_ = true;
  stream_->wants_space = false;
}

void StreamPump::end_upstream(Instant now) {
  stop_upstream();
  finish_if_done(now);
}

void StreamPump::deliver_rest() {
  if (port_ == nullptr || !is_down_open_ || is_down_done_) return;
  while (stream_->input.size() > 0) {
    std::array<ByteView, kSpans> views;
    const std::size_t count = stream_->input.views(views);
    const IoResult result = port_->try_write(std::span(views).first(count));
    if (result.status != IoStatus::ok) return;
    stream_->consume(result.bytes);
    counters_.from_stream += result.bytes;
  }
}

// A reset of the stream overtakes what was written to it before, and takes it away: it waits
// until the peer has that.
void StreamPump::break_off(Instant now) {
  if (port_ != nullptr) port_->reset();
  port_.reset();
  is_up_done_ = is_down_done_ = is_breaking_ = true;
  drop_input();
  break_when_delivered(now);
}

void StreamPump::break_when_delivered(Instant now) {
  if (!stream_->is_output_over && stream_->output.unacked_bytes() > 0) {
    stream_->wants_space = true;  // asks again with every acknowledgement
    return;
  }
  is_breaking_ = false;
  if (!stream_->is_fin_queued) stream_->reset(peer::kReset);
  stream_->stop_sending(peer::kReset);
  owner_.on_pump_broken(now);
}

void StreamPump::drop_input() {
  const std::size_t size = stream_->input.size();
  if (size == 0) return;
  stream_->consume(size);
}

void StreamPump::abort(std::uint64_t flow_code) {
  if (port_ != nullptr) port_->reset();
  port_.reset();
  is_up_done_ = is_down_done_ = true;
  is_breaking_ = false;
  stream_->reset(flow_code);
  stream_->stop_sending(flow_code);
}

void StreamPump::close_politely() {
  if (port_ != nullptr) port_->shutdown_write();
  port_.reset();
  abort(peer::kNone);
}

bool StreamPump::on_quic_closed() {
  worker_.cancel_flush(*this);
  if (port_ == nullptr) return false;
  const bool is_whole = is_up_done_ && stream_->is_input_finished() && !stream_->is_reset_received;
  if (!is_whole) {
    port_->reset();
  } else if (!is_down_done_) {
    port_->shutdown_write();
  }
  port_.reset();
  is_up_done_ = is_down_done_ = true;
  return is_whole;
}

bool StreamPump::write_ahead(ByteView bytes) {
  const std::array<ByteView, 1> views{bytes};
  return port_ != nullptr && port_->try_write(views).bytes == bytes.size();
}

}  // namespace culvert::flow
