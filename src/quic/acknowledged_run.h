// What the packet that is being read acknowledges of one stream: an ACK frame tells of each of its
// many packets alone, and to settle a stream's output for each would cost more than the rest of
// them. Internal to quic/.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

namespace culvert::quic {

template <typename Stream>
class AcknowledgedRun {
 public:
  struct Run {
    Stream* stream;
    std::size_t count;
  };
  // Of another stream than before: what there was of that is to be settled now.
  [[nodiscard]] std::optional<Run> add(Stream& stream, std::size_t count) {
    std::optional<Run> before;
    if (stream_ != &stream) {
      before = take();
      stream_ = &stream;
    }
    count_ += count;
    return before;
  }
  // At the end of the packet, and before the stream is over.
  [[nodiscard]] std::optional<Run> take() {
    if (stream_ == nullptr) return std::nullopt;
    return Run{.stream = std::exchange(stream_, nullptr), .count = std::exchange(count_, 0)};
  }

 private:
  Stream* stream_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace culvert::quic
