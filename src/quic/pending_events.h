// What a connection has to tell its driver, oldest first; and the stream that the last event was
// about, where that is over: the driver may look at it until it asks again. Internal to quic/.
#pragma once

#include "quic/connection.h"

#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace culvert::quic {

class PendingEvents {
 public:
  void push(Event event) { events_.push_back(std::move(event)); }
  [[nodiscard]] bool is_empty() const { return events_.empty(); }
  [[nodiscard]] std::optional<Event> take() {
    if (events_.empty()) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  void clear() { events_.clear(); }
  // Until let_go().
  void keep(std::unique_ptr<Stream> over) { over_ = std::move(over); }
  void let_go() { over_.reset(); }

 private:
  std::deque<Event> events_;
  std::unique_ptr<Stream> over_;
};

}  // namespace culvert::quic
