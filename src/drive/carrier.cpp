#include "drive/carrier.h"

namespace culvert::drive {

void Carrier::reset(quic::Stream& stream, std::uint64_t code) {
  if (stream.is_parked) {
    stream.is_output_over = true;
    stream.output.discard();
    return;
  }
  if (stream.is_resumed && !stream.output.is_head_acked()) gone_.push_back(stream.flow_id);
  connection_->reset(stream, code);
}

void Carrier::stop_sending(quic::Stream& stream, std::uint64_t code) {
  if (stream.is_parked) {
    stream.is_input_dropped = true;
    stream.input.discard();
    return;
  }
  connection_->stop_sending(stream, code);
}

}  // namespace culvert::drive
