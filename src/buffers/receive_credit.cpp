#include "buffers/receive_credit.h"

#include <algorithm>
#include <utility>

namespace culvert::buffers {
namespace {

constexpr std::size_t kFirst = limits::kStreamWindowFirst;
// Shorter round trips than a turn of the loop say nothing about a reader.
constexpr Duration kLeastRoundTrip = std::chrono::microseconds(500);
constexpr std::size_t kLeastExtension = 16 * 1024;
// Streams looked at for having become idle, each time something arrives.
constexpr int kIdleLookedAt = 4;
// While a packet that was lost is sent again, which takes a round trip and more, a sender that
// still gets up to speed doubles what it sends.
constexpr std::size_t kBurstsOfWindow = 4;

}  // namespace

ReceiveCredit::ReceiveCredit(std::shared_ptr<SessionBudget> budget) : budget_(std::move(budget)) {
  budget_->commit_anyway(granted_);
}

ReceiveCredit::~ReceiveCredit() {
  while (StreamCredit* stream = awake_.front()) on_stream_over(*stream);
  budget_->take_back(inherited_);
  budget_->remove_unread(inherited_);
  budget_->release(static_cast<std::size_t>(granted_ - consumed_) + inherited_);
}

void ReceiveCredit::share(std::shared_ptr<SessionBudget> budget) {
  if (budget == budget_) return;
  const std::size_t committed = static_cast<std::size_t>(granted_ - consumed_) + inherited_;
  budget_->release(committed);
  budget->commit_anyway(committed);
  budget_->take_back(inherited_);
  budget->set_aside(inherited_);
  budget_->remove_unread(inherited_);
  budget->add_unread(inherited_);
  IntrusiveList<StreamCredit, &StreamCredit::awake_hook> moved;
  while (StreamCredit* stream = awake_.pop_front()) {
    count(*stream, false);
    moved.push_back(*stream);
  }
  budget_ = std::move(budget);
  while (StreamCredit* stream = moved.pop_front()) {
    count(*stream, true);
    awake_.push_back(*stream);
  }
  target_ = limits::kConnectionAheadMin;
}

// --- streams -------------------------------------------------------------------------------------

void ReceiveCredit::count(StreamCredit& stream, bool is_counted) {
  if (std::exchange(stream.is_counted, is_counted) == is_counted) return;
  if (is_counted) {
    budget_->set_aside(kFirst);
  } else {
    budget_->take_back(kFirst);
  }
  recount(stream);
  note_unread(stream);
}

// Where something waits, all of a first window may.
void ReceiveCredit::note_unread(StreamCredit& stream) {
  const bool is_waiting = stream.is_counted && stream.unread() + stream.inherited != 0;
  if (std::exchange(stream.is_waiting, is_waiting) == is_waiting) return;
  if (is_waiting) {
    budget_->add_unread(kFirst);
  } else {
    budget_->remove_unread(kFirst);
  }
}

// What has been granted is out, also where the window has become smaller meanwhile.
void ReceiveCredit::recount(StreamCredit& stream) {
  const std::size_t bytes = stream.is_counted ? stream.outstanding() - kFirst : 0;
  budget_->shrink(std::exchange(stream.counted_bytes, bytes));
  budget_->grow_anyway(bytes);
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
  for (int i = 0; i < kIdleLookedAt; ++i) {
    StreamCredit* stream = awake_.front();
    if (stream == nullptr || now - stream->received_at < limits::kStreamIdle) return;
    if (stream->unread() + stream->inherited != 0) {
      wake(now, *stream);
    } else {
      awake_.remove(*stream);
      count(*stream, false);
    }
  }
}

std::uint64_t ReceiveCredit::start_window(Instant now, StreamCredit& stream) {
  wake(now, stream);
  for (std::size_t window = limits::kStreamWindowStart; window > kFirst; window /= 2) {
    if (!budget_->begin(window - stream.window)) continue;
    stream.window = window;
    stream.granted_at = stream.resized_at = now;
    const std::uint64_t before = std::exchange(stream.granted, stream.consumed + window);
    stream.counted_bytes += window - kFirst;
    recount(stream);
    return stream.granted - before;
  }
  return 0;
}

std::uint64_t ReceiveCredit::ensure_window(Instant now, StreamCredit& stream, std::size_t window) {
  stream.least_window = static_cast<std::uint32_t>(window);
  if (stream.window >= window) return 0;
  wake(now, stream);
  stream.window = window;
  const std::uint64_t wanted = stream.consumed + window;
  const std::uint64_t before = std::exchange(stream.granted, std::max(stream.granted, wanted));
  recount(stream);
  return stream.granted - before;
}

std::uint64_t ReceiveCredit::on_opened(Instant now, StreamCredit& stream) {
  return start_window(now, stream);
}

std::uint64_t ReceiveCredit::on_received(Instant now, StreamCredit& stream, std::size_t count) {
  received_ += count;
  stream.received += count;
  const Duration round_trip = std::max(round_trip_, kLeastRoundTrip);
  burst_.add(now, count, target_ / kBurstsOfWindow, round_trip);
  stream.burst.add(now, count, stream.window / kBurstsOfWindow, round_trip);
  put_idle_to_sleep(now);
  if (!stream.is_counted || now - stream.received_at > limits::kStreamIdle / 8) wake(now, stream);
  if (!stream.is_waiting) note_unread(stream);
  const bool is_used = stream.received >= kFirst / 4 && stream.received - count < kFirst / 4;
  const bool may_start = is_used && stream.inherited == 0 && stream.window == kFirst;
  return may_start ? start_window(now, stream) : 0;
}

// Some round trips' worth is enough of a window for any rate. At the rate since credit was last
// given a quarter of it would be used within one: it may be what holds the peer back. (The whole of
// a small one is used up, read and granted again in a round trip and the time that sending takes.)
// What has come this very moment does not tell of a reader.
void ReceiveCredit::resize(Instant now, StreamCredit& stream) {
  const Duration round_trip = std::max(round_trip_, kLeastRoundTrip);
  const std::size_t burst = stream.burst.bytes(now, round_trip);
  const bool is_behind = stream.unread() > stream.window / 2 + burst;
  if (is_behind || budget_->is_overgrown()) {
    if (stream.window == stream.least_window || now - stream.resized_at < round_trip) return;
    stream.window = std::max<std::size_t>(stream.window / 2, stream.least_window);
    stream.resized_at = now;
    return;
  }
  const std::uint64_t used = stream.consumed + stream.window - stream.granted;
  const std::uint64_t quarters = std::min<std::uint64_t>(4 * used / stream.window, 4);
  const bool is_used_up =
      now - stream.granted_at <= static_cast<Duration::rep>(quarters) * round_trip;
  if (is_used_up && !enlarge(now, stream)) return;
  while (stream.window < kBurstsOfWindow * burst && enlarge(now, stream)) {
  }
}

// False: it is as large as may be.
bool ReceiveCredit::enlarge(Instant now, StreamCredit& stream) {
  if (stream.window >= limits::kStreamWindowMax) return false;
  const std::uint64_t read_bytes = stream.read_before + stream.consumed;
  if (!budget_->grow(stream.window, stream.window, read_bytes)) return false;
  stream.counted_bytes += stream.window;
  stream.window *= 2;
  stream.resized_at = now;
  // Or the connection's credit would hold the peer back instead.
  if (target_ >= limits::kConnectionAheadMin) {
    target_ = std::min(std::max(target_, 2 * stream.window), limits::kConnectionAheadMax);
  }
  return true;
}

std::uint64_t ReceiveCredit::on_consumed(Instant now, StreamCredit& stream, std::size_t count) {
  stream.consumed += count;
  give_back(count);
  if (stream.unread() == 0) note_unread(stream);
  if (stream.consumed + stream.window < stream.granted + stream.window / 4) {
    if (stream.counted_bytes + kFirst > stream.window) recount(stream);
    return 0;
  }
  if (stream.is_counted) resize(now, stream);
  const std::uint64_t wanted = stream.consumed + stream.window;
  const std::uint64_t before = std::exchange(stream.granted, std::max(stream.granted, wanted));
  recount(stream);
  if (stream.granted > before) stream.granted_at = now;
  return stream.granted - before;
}

void ReceiveCredit::give_back(std::size_t count) {
  consumed_ += count;
  budget_->release(count);
}

void ReceiveCredit::on_dropped(std::size_t count) {
  received_ += count;
  give_back(count);
}

void ReceiveCredit::on_inherited(Instant now, StreamCredit& stream, std::size_t count,
                                 std::uint64_t read_before) {
  stream.inherited = count;
  stream.read_before = read_before;
  inherited_ += count;
  budget_->set_aside(count);
  budget_->add_unread(count);
  budget_->commit_anyway(count);
  if (count > 0) wake(now, stream);
  note_unread(stream);
}

std::uint64_t ReceiveCredit::on_inherited_consumed(Instant now, StreamCredit& stream,
                                                   std::size_t count) {
  forget_inherited(stream, count);
  stream.read_before += count;
  return stream.inherited == 0 && stream.window == kFirst ? start_window(now, stream) : 0;
}

void ReceiveCredit::forget_inherited(StreamCredit& stream, std::size_t count) {
  stream.inherited -= count;
  inherited_ -= count;
  budget_->take_back(count);
  budget_->remove_unread(count);
  budget_->release(count);
  note_unread(stream);
}

void ReceiveCredit::on_stream_over(StreamCredit& stream) {
  awake_.remove(stream);
  count(stream, false);
  forget_inherited(stream, stream.inherited);
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
  const std::size_t held_up = kBurstsOfWindow * burst_.bytes(now, round_trip_);
  if ((is_busy || target_ < held_up) && target_ >= limits::kConnectionAheadMin) {
    target_ = std::min(std::max(2 * target_, held_up), limits::kConnectionAheadMax);
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

}  // namespace culvert::buffers
