#include "buffers/datagram_buffers.h"

#include "base/limits.h"

#include <algorithm>
#include <utility>

namespace culvert::buffers {
namespace {

// Besides the bound in bytes: that many of 64 bytes.
constexpr std::size_t kMaxQueuedDatagrams = limits::kDatagramQueueBytes / 64;

}  // namespace

DatagramBuffers::DatagramBuffers()
    : incoming_(limits::kDatagramQueueBytes, kMaxQueuedDatagrams),
      outgoing_(limits::kDatagramQueueBytes, kMaxQueuedDatagrams) {}

std::size_t DatagramBuffers::push_outgoing(Instant now, SessionBudget& budget, ByteView header,
                                           ByteView payload) {
  used_at_ = now;
  outgoing_.limit(std::max(budget.send_share() / 4, limits::kDatagramQueueLeast));
  const std::size_t dropped = outgoing_.push(header, payload);
  count(budget);
  return dropped;
}

std::size_t DatagramBuffers::push_incoming(Instant now, SessionBudget& budget, ByteView payload) {
  end_loan();  // a push may move or drop it
  used_at_ = now;
  incoming_.limit(std::max(budget.datagram_share(), limits::kDatagramQueueLeast));
  const std::size_t dropped = incoming_.push({}, payload);
  count(budget);
  return dropped;
}

std::optional<ByteView> DatagramBuffers::poll_incoming() {
  end_loan();
  if (incoming_.is_empty()) return std::nullopt;
  is_lent_ = true;
  return incoming_.front();
}

void DatagramBuffers::end_loan() {
  if (!is_lent_) return;
  incoming_.pop();
  is_lent_ = false;
}

void DatagramBuffers::rest(Instant now, SessionBudget& budget) {
  if (held_ + waiting_ == 0 || now - used_at_ < limits::kStreamIdle) return;
  incoming_.give_back();
  outgoing_.give_back();
  count(budget);
}

void DatagramBuffers::count(SessionBudget& budget) {
  if (const std::size_t held = outgoing_.memory_bytes(); held != held_) {
    budget.let_go(std::exchange(held_, held));
    budget.hold(held);
  }
  if (const std::size_t waiting = incoming_.memory_bytes(); waiting != waiting_) {
    budget.release(std::exchange(waiting_, waiting));
    budget.commit_anyway(waiting);
  }
}

void DatagramBuffers::recount(SessionBudget& from, SessionBudget& to) {
  from.let_go(held_);
  to.hold(held_);
  from.release(waiting_);
  to.commit_anyway(waiting_);
}

void DatagramBuffers::uncount(SessionBudget& budget) {
  budget.let_go(std::exchange(held_, 0));
  budget.release(std::exchange(waiting_, 0));
}

}  // namespace culvert::buffers
