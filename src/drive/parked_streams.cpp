#include "drive/parked_streams.h"

#include "base/probe.h"

#include <algorithm>
#include <utility>

namespace culvert::drive {
namespace {

std::size_t retained_bytes(const quic::Stream& stream) {
  return stream.output.unacked_bytes() + stream.input.size();
}

}  // namespace

void ParkedStreams::take(quic::Connection& closed, const End& end) {
  forget_finished();
  for (auto& stream : closed.take_streams()) {
    StreamUser* user = user_of(*stream);
    const bool is_over = stream->is_closed_by_transport;
    if (stream->flow_id != 0 && !is_over) {
      stream->input_skip = 0;
      by_id_[stream->flow_id] = std::move(stream);
    } else if (user != nullptr && is_over && has_ended_in_order(*stream)) {
      CULVERT_PROBE("drive.a flow that is over but for its own socket loses its connection");
      finishing_.push_back(std::move(stream));
    } else if (user != nullptr) {
      end(*user);
    }
  }
}

quic::Stream* ParkedStreams::find(std::uint64_t flow_id) {
  const auto found = by_id_.find(flow_id);
  return found == by_id_.end() ? nullptr : found->second.get();
}

std::unique_ptr<quic::Stream> ParkedStreams::remove(std::uint64_t flow_id) {
  const auto found = by_id_.find(flow_id);
  std::unique_ptr<quic::Stream> stream = std::move(found->second);
  by_id_.erase(found);
  return stream;
}

void ParkedStreams::let_finish(std::uint64_t flow_id) {
  forget_finished();
  auto stream = remove(flow_id);
  if (stream->context != nullptr) finishing_.push_back(std::move(stream));
}

void ParkedStreams::clear() {
  by_id_.clear();
  finishing_.clear();
}

// Their flows have taken the rest and left.
void ParkedStreams::forget_finished() {
  std::erase_if(finishing_, [](const auto& stream) { return stream->context == nullptr; });
}

quic::Stream* ParkedStreams::largest_beyond(std::size_t limit_bytes) {
  std::size_t total = 0;
  quic::Stream* largest = nullptr;
  for (const auto& [id, stream] : by_id_) {
    total += retained_bytes(*stream);
    if (largest == nullptr || retained_bytes(*stream) > retained_bytes(*largest)) {
      largest = stream.get();
    }
  }
  return total > limit_bytes ? largest : nullptr;
}

}  // namespace culvert::drive
