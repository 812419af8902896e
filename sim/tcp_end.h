// TCP between two machines, as applications see it: bytes arrive in order, after the delay of the
// links between. While a link is down, or an address gone, they wait and are tried again as TCP
// does, until it gives up. A machine that has forgotten the connection (vanish()) answers the next
// bytes by a reset: until then the other end is half-open.
#pragma once

#include "ports/ports.h"
#include "sim/network.h"
#include "sim/world.h"

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>

namespace culvert::sim {

struct TcpPlace {
  Machine* machine;
  SocketAddress address;
};

struct TcpConfig {
  std::size_t buffer_bytes = 256 * 1024;  // of one direction, sent and not yet read
  std::size_t max_io_bytes = 0;           // 0 = no limit per call
  // Linux: 200 ms, doubled each time, and some 15 minutes in all (tcp_retries2).
  Duration first_retry = std::chrono::milliseconds(200);
  Duration most_retry = std::chrono::seconds(120);
  Duration gives_up = std::chrono::minutes(15);
  // Until then the end that connected hears of nothing (SimHost::stop_until()); null: at any time.
  std::shared_ptr<const Instant> awake_at{};
};

// What takes one direction, links and no more.
[[nodiscard]] Duration tcp_delay(const TcpPlace& from, const TcpPlace& to);
[[nodiscard]] bool is_reachable(const TcpPlace& from, const TcpPlace& to);

class TcpEnd final : public StreamPort {
 public:
  // Established already. `first` is the one that connected.
  static std::pair<std::unique_ptr<TcpEnd>, std::unique_ptr<TcpEnd>> make_pair(
      World& world, const TcpConfig& config, const TcpPlace& first, const TcpPlace& second);
  ~TcpEnd() override;

  IoResult try_read(std::span<const ByteSpan> into) override;
  IoResult try_write(std::span<const ByteView> from) override;
  void want_readable() override;
  void want_writable() override;
  void shutdown_write() override;
  void reset() override;
  void set_handler(StreamHandler& handler) override;
  std::string remote_text() const override;
  std::optional<StreamEnds> ends() const override;

  // Its machine has lost power, or a middlebox its table: nobody is told.
  void vanish();

 private:
  struct Segment {
    Bytes bytes;
    bool is_fin = false;
  };
  // What one side sends.
  struct Direction {
    std::deque<std::uint8_t> arrived;
    std::size_t under_way = 0;
    bool is_fin_sent = false;
    bool has_fin_arrived = false;
    Instant last_due{};        // nothing overtakes
    std::deque<Segment> held;  // could not arrive, and is tried again
    Duration retry{};
    Instant silent_since{};
  };
  struct Shared {
    World& world;
    TcpConfig config;
    std::array<TcpPlace, 2> place;
    std::array<Direction, 2> direction{};
    std::array<TcpEnd*, 2> end{};     // null: its program has closed it
    std::array<bool, 2> is_broken{};  // knows of no connection any more
  };
  using SharedPtr = std::shared_ptr<Shared>;  // the ends and the events between them

  TcpEnd(SharedPtr shared, unsigned side);
  static void transmit(const SharedPtr& shared, unsigned side, Segment segment);
  static void arrive(const SharedPtr& shared, unsigned side, Segment segment);
  static void take(const SharedPtr& shared, unsigned side, Segment segment);
  static void retry_later(const SharedPtr& shared, unsigned side);
  static void send_reset(const SharedPtr& shared, unsigned side);
  static void break_side(const SharedPtr& shared, unsigned side);
  static void notify(const SharedPtr& shared, unsigned side);
  static void notify_later(const SharedPtr& shared, unsigned side, Duration delay);

  [[nodiscard]] Direction& incoming() { return shared_->direction[1 - side_]; }
  [[nodiscard]] Direction& outgoing() { return shared_->direction[side_]; }
  [[nodiscard]] bool is_broken() const { return shared_->is_broken[side_]; }
  [[nodiscard]] bool is_readable();
  [[nodiscard]] bool is_writable();

  SharedPtr shared_;
  unsigned side_;
  StreamHandler* handler_ = nullptr;
  bool wants_readable_ = false;
  bool wants_writable_ = false;
  bool has_told_break_ = false;
};

}  // namespace culvert::sim
