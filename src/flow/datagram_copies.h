// DATAGRAM frames of a flow that sends each of them over two paths: numbered, and the second
// to arrive is dropped. Those of other flows pass as they are. Private to drive/.
#pragma once

#include "base/limits.h"
#include "base/multipath.h"
#include "session/flow_open.h"
#include "session/resume.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace culvert::flow {

class DatagramCopies {
 public:
  [[nodiscard]] session::DatagramHeader header(std::uint64_t flow_id, Multipath mode) {
    if (mode != Multipath::redundant) return session::datagram_header(flow_id);
    return session::datagram_header(flow_id, ++sent_);
  }
  // What follows the flow id, without its number; empty: it has come before, or is broken.
  [[nodiscard]] std::optional<ByteView> first(ByteView datagram, Multipath mode) {
    if (mode != Multipath::redundant) return datagram;
    const auto number = session::decode_datagram_header(datagram);
    if (!number) return std::nullopt;
    if (!seen_) seen_ = std::make_unique<session::SeenFlows>(limits::kDatagramCopyWindow);
    if (seen_->contains(number->value)) return std::nullopt;
    seen_->add(number->value);
    return datagram.subspan(number->size);
  }

 private:
  std::uint64_t sent_ = 0;
  std::unique_ptr<session::SeenFlows> seen_;  // half a kilobyte, for those who need it
};

}  // namespace culvert::flow
