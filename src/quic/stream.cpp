#include "quic/stream.h"

#include "quic/connection.h"

namespace culvert::quic {

void Stream::submit() {
  if (owner != nullptr) owner->submit(*this);
}

void Stream::finish() {
  is_fin_queued = true;
  if (owner != nullptr) owner->finish(*this);
}

void Stream::reset(std::uint64_t code) {
  if (owner == nullptr) {
    is_output_over = true;
    output.discard();
    return;
  }
  if (is_resumed && !output.is_head_acked()) is_end_untold = true;
  owner->reset(*this, code);
}

void Stream::stop_sending(std::uint64_t code) {
  if (owner == nullptr) {
    is_input_dropped = true;
    input.discard();
    return;
  }
  owner->stop_sending(*this, code);
}

void Stream::consume(std::size_t count) {
  if (owner != nullptr) {
    owner->consume(*this, count);
  } else {
    input.consume(count);
  }
}

}  // namespace culvert::quic
