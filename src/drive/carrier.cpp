#include "drive/carrier.h"

namespace culvert::drive {

void Carrier::reset(quic::Stream& stream, std::uint64_t code) {
  if (stream.is_striped) {
    auto& stripe = static_cast<Stripe&>(stream);
    if (!stripe.is_output_over && !stripe.head().empty()) gone_.push_back(stripe.flow_id);
    stripe.reset(code);
    return;
  }
  if (stream.owner == nullptr) {
    stream.is_output_over = true;
    stream.output.discard();
    return;
  }
  if (stream.is_resumed && !stream.output.is_head_acked()) gone_.push_back(stream.flow_id);
  stream.owner->reset(stream, code);
}

void Carrier::stop_sending(quic::Stream& stream, std::uint64_t code) {
  if (stream.is_striped) {
    static_cast<Stripe&>(stream).stop_sending(code);
    return;
  }
  if (stream.owner == nullptr) {
    stream.is_input_dropped = true;
    stream.input.discard();
    return;
  }
  stream.owner->stop_sending(stream, code);
}

}  // namespace culvert::drive
