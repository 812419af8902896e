// Second and third copies of small packets, for paths that lose some. What is lost amid bulk is
// told by the packets after it, a round trip later, and goes out again then; a lone request or
// answer waits for a timeout. On a path of 100 ms that loses two packets of a hundred each such
// wait is a keystroke that hangs. So a packet that ends what a stream had to say, where that was
// little, is sent again a moment later: the same datagram, which its receiver knows by its packet
// number and drops when it has the first (RFC 9000 12.3); and a third time where so many are lost
// that both are now and then. ngtcp2 has no part in it. Sans-I/O, O(1).
#pragma once

#include "base/datagram.h"
#include "base/time.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace culvert::congestion {

// Whether a path loses packets, by those of the last some hundred.
class PathLoss {
 public:
  // Packets that were sent more than once say little: that one of two came says nothing of the
  // other. A path over which there is nothing else would be taken for one that loses nothing.
  void on_delivered(double packets, double sent_again = 0);
  void on_lost();
  // It was only late.
  void on_found();
  // How often a small packet is sent again: 0 where next to nothing is lost, 2 where about a
  // hundredth is or more. What is not known yet counts as lossy, for the first request must not
  // pay for the lesson.
  [[nodiscard]] unsigned copies() const;

 private:
  double share_ = kAtFirst;
  static constexpr double kAtFirst = 1.0 / 160;
};

// The numbers of the last packets that were sent more than once.
class RepeatedNumbers {
 public:
  void add(std::int64_t number) { numbers_.at(place_of(number)) = number; }
  [[nodiscard]] bool has(std::int64_t number) const {
    return numbers_.at(place_of(number)) == number;
  }

 private:
  // A round trip's: more than a few a millisecond are not repeated.
  static constexpr std::size_t kKnown = 128;
  static std::size_t place_of(std::int64_t number) {
    return static_cast<std::size_t>(number) % kKnown;
  }
  std::array<std::int64_t, kKnown> numbers_ = [] {
    std::array<std::int64_t, kKnown> none{};
    none.fill(-1);
    return none;
  }();
};

class Repeats {
 public:
  // Where nothing is gained, too: a timeout of so short a round trip is short itself.
  static constexpr Duration kLeastRoundTrip = std::chrono::milliseconds(5);
  static constexpr std::size_t kMostWaiting = 4;

  // A packet was just sent, and is to be sent `copies` times more. More packets than some at once
  // are not repeated: they tell of each other's loss; nor more than some kilobytes a second, so
  // that nobody has to yield to them.
  // False: it is not.
  bool keep(Instant now, Duration round_trip, const PathId& path, Ecn ecn, ByteView packet,
            unsigned copies);
  // kNever: none waits.
  [[nodiscard]] Instant next_due() const;

  struct Copy {
    PathId path;
    Ecn ecn;
    ByteView bytes;
  };
  // What is due, in order. Valid until end_front() or keep().
  [[nodiscard]] std::optional<Copy> front(Instant now) const;
  // It was sent: its next copy, if it has one, waits as long again.
  void end_front(Instant now);
  // It is of no use any more.
  void drop_front();

 private:
  struct Waiting {
    Instant due;
    Duration apart{};
    unsigned copies = 0;  // still to be sent
    PathId path;
    Ecn ecn = Ecn::not_ect;
    std::vector<std::uint8_t> bytes;  // keeps its room
  };
  std::array<Waiting, kMostWaiting> waiting_;  // a ring
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  double allowance_bytes_ = kMostAtOnce;
  Instant updated_{};
  static constexpr double kMostAtOnce = 32 * 1024;
};

}  // namespace culvert::congestion
