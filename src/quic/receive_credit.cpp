#include "quic/receive_credit.h"

#include <algorithm>
#include <utility>

namespace culvert::quic {
namespace {

constexpr std::size_t kFirst = limits::kStreamWindowFirst;
// Shorter round trips than a turn of the loop say nothing about a reader.
constexpr Duration kLeastRoundTrip = std::chrono::microseconds(500);
constexpr std::size_t kLeastExtension = 16 * 1024;

}  // namespace

ReceiveCredit::ReceiveCredit(std::shared_ptr<SessionBudget> budget) : budget_(std::move(budget)) {
  budget_->commit_anyway(granted_);
}

ReceiveCredit::~ReceiveCredit() {
  while (StreamCredit* stream = awake_.front()) on_stream_over(*stream);
  budget_->release(static_cast<std::size_t>(granted_ - consumed_) + inherited_);
}

void ReceiveCredit::share(std::shared_ptr<SessionBudget> budget) {
  if (budget == budget_) return;
  const std::size_t committed = static_cast<std::size_t>(granted_ - consumed_) + inherited_;
  budget_->release(committed);
  budget->commit_anyway(committed);
  std::size_t grown = 0;
  IntrusiveList<StreamCredit, &StreamCredit::awake_hook> moved;
  while (StreamCredit* stream = awake_.pop_front()) {
    if (stream->is_counted) grown += stream->window - kFirst;
    moved.push_back(*stream);
  }
  while (StreamCredit* stream = moved.pop_front()) awake_.push_back(*stream);
  budget_->shrink(grown);
  budget->grow_anyway(grown);
  budget_ = std::move(budget);
  target_ = limits::kConnectionAheadMin;
}

// --- streams -------------------------------------------------------------------------------------

void ReceiveCredit::count(StreamCredit& stream, bool is_counted) {
  if (std::exchange(stream.is_counted, is_counted) == is_counted) return;
  if (is_counted) {
    budget_->grow_anyway(stream.window - kFirst);
  } else {
    budget_->shrink(stream.window - kFirst);
  }
}

void ReceiveCredit::wake(Instant now, StreamCredit& stream) {
  stream.received_at = now;
  awake_.remove(stream);
  awake_.push_back(stream);
  count(stream, true);
}

// Credit that was given and never used cannot be taken back, but whoever has been read to the
// end and is silent will hardly fill it now.
void ReceiveCredit::put_idle_to_sleep(Instant now) {
  StreamCredit* stream = awake_.front();
  if (stream == nullptr || now - stream->received_at < limits::kStreamIdle) return;
  if (stream->unread() != 0) {
    wake(now, *stream);
    return;
  }
  awake_.remove(*stream);
  count(*stream, false);
}

std::uint64_t ReceiveCredit::start_window(Instant now, StreamCredit& stream) {
  wake(now, stream);
  for (std::size_t window = limits::kStreamWindowStart; window > kFirst; window /= 2) {
    if (!budget_->begin(window - stream.window)) continue;
    stream.window = window;
    stream.granted_at = stream.resized_at = now;
    const std::uint64_t before = std::exchange(stream.granted, stream.consumed + window);
    return stream.granted - before;
  }
  return 0;
}

std::uint64_t ReceiveCredit::ensure_window(Instant now, StreamCredit& stream, std::size_t window) {
  stream.least_window = window;
  if (stream.window >= window) return 0;
  wake(now, stream);
  budget_->grow_anyway(window - stream.window);
  stream.window = window;
  const std::uint64_t wanted = stream.consumed + window;
  return wanted <= stream.granted ? 0 : wanted - std::exchange(stream.granted, wanted);
}

std::uint64_t ReceiveCredit::on_opened(Instant now, StreamCredit& stream) {
  return start_window(now, stream);
}

std::uint64_t ReceiveCredit::on_received(Instant now, StreamCredit& stream, std::size_t count) {
  received_ += count;
  stream.received += count;
  put_idle_to_sleep(now);
  if (!stream.is_counted || now - stream.received_at > limits::kStreamIdle / 8) wake(now, stream);
  const bool is_used = stream.received >= kFirst / 4 && stream.received - count < kFirst / 4;
  return is_used && stream.window == kFirst ? start_window(now, stream) : 0;
}

// Some round trips' worth is enough of a window for any rate. A quarter of it was used within one:
// it may be what holds the peer back.
void ReceiveCredit::resize(Instant now, StreamCredit& stream) {
  const Duration round_trip = std::max(round_trip_, kLeastRoundTrip);
  const bool is_behind = stream.unread() > stream.window / 2;
  if (is_behind || budget_->is_overgrown()) {
    if (stream.window == stream.least_window || now - stream.resized_at < round_trip) return;
    const std::size_t window = std::max(stream.window / 2, stream.least_window);
    budget_->shrink(stream.window - window);
    stream.window = window;
    stream.resized_at = now;
    return;
  }
  if (now - stream.granted_at > round_trip || stream.window >= limits::kStreamWindowMax) return;
  if (!budget_->grow(stream.window, stream.window)) return;
  stream.window *= 2;
  stream.resized_at = now;
}

std::uint64_t ReceiveCredit::on_consumed(Instant now, StreamCredit& stream, std::size_t count) {
  stream.consumed += count;
  give_back(count);
  if (stream.consumed + stream.window < stream.granted + stream.window / 4) return 0;
  if (stream.is_counted) resize(now, stream);
  const std::uint64_t wanted = stream.consumed + stream.window;
  if (wanted <= stream.granted) return 0;
  stream.granted_at = now;
  return wanted - std::exchange(stream.granted, wanted);
}

void ReceiveCredit::give_back(std::size_t count) {
  consumed_ += count;
  budget_->release(count);
}

void ReceiveCredit::on_dropped(std::size_t count) {
  received_ += count;
  give_back(count);
}

void ReceiveCredit::on_inherited(std::size_t count) {
  inherited_ += count;
  budget_->commit_anyway(count);
}

void ReceiveCredit::on_inherited_consumed(std::size_t count) {
  inherited_ -= count;
  budget_->release(count);
}

void ReceiveCredit::on_stream_over(StreamCredit& stream) {
  awake_.remove(stream);
  count(stream, false);
  give_back(stream.unread());
  stream.consumed = stream.received;
}

// --- the connection
// --------------------------------------------------------------------------------

std::uint64_t ReceiveCredit::extend(Instant now) {
  if (ahead() > target_ / 2) {
    retry_at_ = kNever;
    return 0;
  }
  const bool is_busy = now - extended_at_ < 2 * std::max(round_trip_, kLeastRoundTrip);
  if (is_busy && target_ >= limits::kConnectionAheadMin) {
    target_ = std::min(2 * target_, limits::kConnectionAheadMax);
  }
  std::size_t more = target_ - ahead();
  while (!budget_->commit(more)) {
    more /= 2;
    if (more >= kLeastExtension) continue;
    // Nothing is left. What this connection always has, it gets; then others must give back.
    if (granted_ - consumed_ >= limits::kConnectionWindowFirst) {
      retry_at_ = ahead() >= limits::kConnectionWindowFirst ? kNever : now + limits::kCreditRetry;
      return 0;
    }
    more = limits::kConnectionWindowFirst;
    budget_->commit_anyway(more);
    break;
  }
  retry_at_ = kNever;
  extended_at_ = now;
  granted_ += more;
  return more;
}

}  // namespace culvert::quic
