// A slow, one-shot timer (resolver timeouts, debouncing, idle deadlines); destroy to cancel.
#pragma once

namespace culvert::net {

class Timer {
 public:
  virtual ~Timer() = default;
};

}  // namespace culvert::net
