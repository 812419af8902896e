// TCP between two machines, as applications see it: bytes arrive in order, after the delay of the
// links between. While a link is down, or an address gone, they wait and are tried again as TCP
// does, until it gives up. Where a link of the way has a rate or loses some, when the connection is
// made, its bytes share that rate with all else, in windows (tcp_flight.h), and what is lost holds
// up what is behind it. A machine that has forgotten the connection (vanish()) answers the next
// bytes by a reset: until then the other end is half-open.
#pragma once

#include "ports/ports.h"
#include "sim/network.h"
#include "sim/tcp_flight.h"
#include "sim/world.h"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {

struct TcpPlace {
  Machine* machine;
  SocketAddress address;
  SocketAddress seen;  // by the other end: a NAT may be between
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
  // Of a direction that is shaped: on its way, from link to link.
  struct Travel {
    std::uint64_t number = 0;
    Segment segment{};
    bool is_reset = false;  // not numbered, and not sent again
    unsigned tries = 1;
    std::vector<Link*> links{};  // of this try
    std::size_t hop = 0;
    Instant first_left{};
    Instant left{};
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
    // Where it is shaped:
    std::optional<TcpFlight> flight;
    std::deque<Segment> unsent;
    std::map<std::uint64_t, Segment> early;  // arrived ahead of one that was lost
    std::uint64_t next_due = 0;              // the number that is to be taken next
  };
  struct Shared {
    World& world;
    TcpConfig config;
    std::array<TcpPlace, 2> place;
    std::array<Direction, 2> direction{};
    std::array<TcpEnd*, 2> end{};     // null: its program has closed it
    std::array<bool, 2> is_broken{};  // knows of no connection any more
    SeededRng rng{0};                 // of what its links lose
  };
  using SharedPtr = std::shared_ptr<Shared>;  // the ends and the events between them

  TcpEnd(SharedPtr shared, unsigned side);
  static void transmit(const SharedPtr& shared, unsigned side, Segment segment);
  static void arrive(const SharedPtr& shared, unsigned side, Segment segment);
  static void take(const SharedPtr& shared, unsigned side, Segment segment);
  static void retry_later(const SharedPtr& shared, unsigned side);
  static void send_some(const SharedPtr& shared, unsigned side);
  static void depart(const SharedPtr& shared, unsigned side, Travel travel);
  static void pass(const SharedPtr& shared, unsigned side, Travel travel);
  static void lose(const SharedPtr& shared, unsigned side, Travel travel);
  static void reach(const SharedPtr& shared, unsigned side, Travel travel);
  static void acknowledge(const SharedPtr& shared, unsigned side, Duration after);
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
