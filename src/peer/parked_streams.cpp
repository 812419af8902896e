#include "peer/parked_streams.h"

#include "base/limits.h"
#include "base/probe.h"

#include <algorithm>
#include <utility>

namespace culvert::peer {

void ParkedStreams::take(quic::Connection& closed, std::shared_ptr<buffers::SessionBudget> budget,
                         const End& end) {
  forget_finished();
  budget_ = std::move(budget);
  for (auto& stream : closed.take_streams()) {
    StreamUser* user = user_of(*stream);
    const bool is_over = stream->is_closed_by_transport;
    if (stream->flow_id != 0 && !is_over) {
      stream->input_skip = 0;
      Parked& parked = by_id_[stream->flow_id];
      parked.stream = std::move(stream);
      account(parked);
    } else if (user != nullptr && is_over && has_ended_in_order(*stream)) {
      CULVERT_PROBE("peer.a flow that is over but for its own socket loses its connection");
      finishing_.push_back({.stream = std::move(stream)});
      account(finishing_.back());
    } else if (user != nullptr) {
      end(*user);
    }
  }
}

void ParkedStreams::account(Parked& parked) {
  budget_->release(std::exchange(parked.waiting, parked.stream->input.size()));
  budget_->commit_anyway(parked.waiting);
  budget_->let_go(std::exchange(parked.held, parked.stream->output.unacked_bytes()));
  budget_->hold(parked.held);
}

std::unique_ptr<quic::Stream> ParkedStreams::release(Parked parked) {
  budget_->release(parked.waiting);
  budget_->let_go(parked.held);
  return std::move(parked.stream);
}

quic::Stream* ParkedStreams::find(std::uint64_t flow_id) {
  const auto found = by_id_.find(flow_id);
  return found == by_id_.end() ? nullptr : found->second.stream.get();
}

std::unique_ptr<quic::Stream> ParkedStreams::remove(std::uint64_t flow_id) {
  const auto found = by_id_.find(flow_id);
  Parked parked = std::move(found->second);
  by_id_.erase(found);
  return release(std::move(parked));
}

void ParkedStreams::let_finish(std::uint64_t flow_id) {
  forget_finished();
  auto stream = remove(flow_id);
  if (stream->context == nullptr) return;
  finishing_.push_back({.stream = std::move(stream)});
  account(finishing_.back());
}

void ParkedStreams::clear() {
  for (auto& [id, parked] : by_id_) static_cast<void>(release(std::move(parked)));
  for (Parked& parked : finishing_) static_cast<void>(release(std::move(parked)));
  by_id_.clear();
  finishing_.clear();
}

// Their flows have taken the rest and left.
void ParkedStreams::forget_finished() {
  std::erase_if(finishing_, [&](Parked& parked) {
    if (parked.stream->context != nullptr) return false;
    static_cast<void>(release(std::move(parked)));
    return true;
  });
}

quic::Stream* ParkedStreams::largest_beyond_share() {
  std::size_t total = 0;
  quic::Stream* largest = nullptr;
  for (auto& [id, parked] : by_id_) {
    account(parked);
    if (parked.waiting == 0) continue;
    total += parked.waiting + limits::kStreamWindowFirst;
    if (largest == nullptr || parked.waiting > largest->input.size()) largest = parked.stream.get();
  }
  return budget_ && total > budget_->parked_limit() ? largest : nullptr;
}

}  // namespace culvert::peer
