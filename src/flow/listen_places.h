// The addresses and ports that one target means: which of them are open, which could not be
// opened and why, and when those are tried again. A large range is opened over several turns.
// Decides only; who owns it opens and closes. Private to drive/.
#pragma once

#include "base/limits.h"
#include "base/time.h"
#include "ports/ports.h"
#include "tunnel/source.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace culvert::flow {

class ListenPlaces {
 public:
  explicit ListenPlaces(const tunnel::Target& target);

  // Opens one place, at that address (port 0: any), and tells which it got.
  using Open = std::function<Result<StreamAddress>(std::size_t place, const StreamAddress& at)>;
  // Tries those that are due, limits::kListenersPerTurn at most.
  void open_due(Instant now, const Open& open);
  // When there is something to do again.
  [[nodiscard]] Instant next_timeout() const;
  // Of a port within its range.
  [[nodiscard]] std::uint16_t port_offset(std::size_t place) const {
    return static_cast<std::uint16_t>(place % port_count_);
  }

  [[nodiscard]] bool is_any_open() const { return open_count_ > 0; }
  // Each place was tried once at least.
  [[nodiscard]] bool has_tried_all() const { return next_first_try_ >= places_.size(); }
  // When those that failed are tried again; empty: none failed.
  [[nodiscard]] std::optional<Instant> next_retry() const;
  // Those that are open, a run of ports as one: "127.0.0.1:8000-8003".
  [[nodiscard]] std::vector<std::string> open_texts() const;
  // What could not be opened and why; empty: nothing.
  [[nodiscard]] std::string failure() const;

  // Once all were tried: what was opened since the last call; and what has failed, unless that
  // was told before.
  [[nodiscard]] std::vector<std::string> take_opened();
  [[nodiscard]] std::string take_failure();

 private:
  enum class State : std::uint8_t {
    untried,
    open,
    failed,
    absent,  // IPv6 where several addresses were wished for, and this machine has none
  };
  struct Place {
    StreamAddress address;
    State state = State::untried;
    bool is_news = false;  // its state was not told
    std::string failure{};
  };

  void try_place(std::size_t index, const Open& open);
  [[nodiscard]] std::vector<std::string> texts(const std::function<bool(const Place&)>& has) const;
  [[nodiscard]] std::string failure_text(const std::function<bool(const Place&)>& has) const;

  std::size_t port_count_;
  std::vector<Place> places_;  // by address, then by port
  std::size_t next_first_try_ = 0;
  std::size_t next_again_ = 0;  // of a round of further tries
  std::size_t open_count_ = 0;
  std::size_t failed_count_ = 0;
  Instant asked_at_{};
  Instant retry_at_ = kNever;
  Duration retry_delay_ = limits::kTunnelRetryMin;
};

}  // namespace culvert::flow
