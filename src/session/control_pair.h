// For tests: streams with as much room as they are given, and a client and a server that speak over
// a perfect one.
#pragma once

#include "session/control_channel.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>

namespace culvert::session {

struct TestSink final : ControlSink {
  std::optional<std::size_t> write(ByteView bytes) override {
    if (is_stopped) return std::nullopt;
    const std::size_t size = std::min(room, bytes.size());
    room -= size;
    written.insert(written.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    return size;
  }
  void on_channel_failed() override { ++failures; }

  std::size_t room = std::numeric_limits<std::size_t>::max();
  bool is_stopped = false;
  Bytes written;
  int failures = 0;
};

struct ControlPair {
  // Until both are silent, or `after` a message says that it is enough.
  template <typename After>
  void exchange(After after) {
    bool has_moved = true;
    while (has_moved) {
      has_moved = move(to_server, server, after);
      has_moved = move(to_client, client, after) || has_moved;
    }
  }
  void exchange() {
    exchange([] {});
  }
  template <typename After>
  static bool move(TestSink& from, ControlChannel& to, After after) {
    const Bytes bytes = std::exchange(from.written, {});
    for (std::size_t at = 0; at < bytes.size();) {
      at += to.handle_data(ByteView(bytes).subspan(at));
      after();
    }
    return !bytes.empty();
  }

  TestSink to_server;
  TestSink to_client;
  ControlChannel client{Dialect::culvert_1, ControlEnd::client, to_server};
  ControlChannel server{Dialect::culvert_1, ControlEnd::server, to_client};
};

}  // namespace culvert::session
