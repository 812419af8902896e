// Test helper: flows over one bottleneck in virtual time, packet by packet: a queue, a rate,
// loss, half the round trip each way, a receiver that acknowledges every few packets. Small and
// fast, so that a controller can be judged over minutes of many networks; whole connections over
// sim::Link are the simulation's business.
#pragma once

#include "base/time.h"
#include "congestion/bbr.h"
#include "congestion/cubic_window.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <vector>

namespace culvert::congestion::model {

inline constexpr std::uint64_t kPacket = 1500;

struct Bottleneck {
  double bits_per_second = 100e6;
  Duration round_trip = std::chrono::milliseconds(20);
  double loss = 0;              // each way
  bool is_lost_before = false;  // the bottleneck, of whose rate it then takes nothing
  Duration queue = std::chrono::milliseconds(50);
  Duration jitter{};  // of the way back, at most
};

// What decides of a flow; ours, and to compare with the CUBIC of kernels.
class Controller {
 public:
  virtual ~Controller() = default;
  virtual void on_ack(Instant now, const Ack& ack) = 0;
  virtual void on_lost(Instant now, std::uint64_t bytes, bool is_new_event) = 0;
  [[nodiscard]] virtual double window() const = 0;
  [[nodiscard]] virtual double pace() const = 0;  // bytes a second; zero: none
};

class BbrController final : public Controller {
 public:
  void on_ack(Instant now, const Ack& ack) override { bbr.on_ack(now, ack); }
  void on_lost(Instant, std::uint64_t bytes, bool) override { bbr.on_lost(bytes); }
  [[nodiscard]] double window() const override { return static_cast<double>(bbr.window_bytes()); }
  [[nodiscard]] double pace() const override { return bbr.pace_per_second(); }
  Bbr bbr{kPacket};
};

// As kernels do it: slow start, then CUBIC, not paced.
class CubicController final : public Controller {
 public:
  void on_ack(Instant now, const Ack& ack) override {
    if (is_slow_start_) {
      window_ += static_cast<double>(ack.acked);
    } else {
      cubic_.on_ack(now, ack.rtt, static_cast<double>(ack.acked));
    }
  }
  void on_lost(Instant now, std::uint64_t, bool is_new_event) override {
    if (!is_new_event) return;
    if (is_slow_start_) cubic_.start(now, window_, kPacket);
    is_slow_start_ = false;
    cubic_.on_congestion(now);
  }
  [[nodiscard]] double window() const override { return is_slow_start_ ? window_ : cubic_.bytes(); }
  [[nodiscard]] double pace() const override { return 0; }

 private:
  bool is_slow_start_ = true;
  double window_ = 10 * kPacket;
  CubicWindow cubic_;
};

class Wire;

class Flow {
 public:
  Flow(Wire& wire, std::unique_ptr<Controller> controller)
      : wire_(wire), controller_(std::move(controller)) {}
  // Has something to send only when it is offered.
  bool is_interactive = false;
  std::uint64_t ack_every = 8;

  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
  template <class T>
  [[nodiscard]] const T& as() const {
    return dynamic_cast<const T&>(*controller_);
  }
  void send();
  void offer(std::uint64_t packets) {
    app_credit_ += packets;
    send();
  }

 private:
  struct Sent {
    std::uint64_t number;
    Instant at;
    std::uint64_t delivered;
    Instant delivered_at;
    Instant first_sent;
    bool is_app_limited;
  };
  void receive(std::uint64_t number);
  void acknowledge();
  void on_ack(const std::vector<std::uint64_t>& numbers);
  void detect_losses();

  Wire& wire_;
  std::unique_ptr<Controller> controller_;
  std::deque<Sent> in_flight_;
  std::uint64_t next_number_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t largest_acked_ = 0;
  std::uint64_t app_credit_ = 0;
  std::uint64_t app_limited_until_ = 0;
  std::uint64_t recovery_until_ = 0;
  Instant delivered_at_{};
  Instant first_sent_{};
  Instant next_send_{};
  Instant back_at_{};  // the last acknowledgement's arrival: none overtakes another
  Duration smoothed_{};
  bool is_wake_set_ = false;
  bool is_ack_set_ = false;
  std::vector<std::uint64_t> unacked_;  // at the receiver
};

class Wire {
 public:
  explicit Wire(const Bottleneck& bottleneck, unsigned seed = 1)
      : bottleneck(bottleneck), random_(seed) {}
  Bottleneck bottleneck;

  Flow& add(std::unique_ptr<Controller> controller) {
    flows_.push_back(std::make_unique<Flow>(*this, std::move(controller)));
    return *flows_.back();
  }
  Flow& add_bbr() { return add(std::make_unique<BbrController>()); }
  Flow& add_cubic() { return add(std::make_unique<CubicController>()); }

  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] bool chance(double p) {
    return p > 0 && std::uniform_real_distribution()(random_) < p;
  }
  [[nodiscard]] Duration draw(Duration most) {
    return Duration(std::uniform_int_distribution<Duration::rep>(0, most.count())(random_));
  }
  void at(Instant when, std::function<void()> what) {
    events_.push(Event{when, sequence_++, std::move(what)});
  }
  void run_for(Duration span) {
    const Instant end = now_ + span;
    while (!events_.empty() && events_.top().when <= end) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.when;
      event.what();
    }
    now_ = end;
  }
  // How long a packet would wait now; sampled by tests.
  [[nodiscard]] Duration queue_delay() const { return std::max(free_at_ - now_, Duration::zero()); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  // Of all flows.
  [[nodiscard]] std::uint64_t delivered() const;

  // False: the queue was full, or chance took it.
  void carry(std::function<void()> arrive) {
    if (bottleneck.is_lost_before && chance(bottleneck.loss)) return;
    if (queue_delay() > bottleneck.queue) {
      ++dropped_;
      return;
    }
    const auto serialization = Duration(static_cast<Duration::rep>(
        8e9 * static_cast<double>(kPacket) / bottleneck.bits_per_second));
    free_at_ = std::max(free_at_, now_) + serialization;
    if (!bottleneck.is_lost_before && chance(bottleneck.loss)) return;
    at(free_at_ + bottleneck.round_trip / 2, std::move(arrive));
  }

 private:
  struct Event {
    Instant when;
    std::uint64_t sequence;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return std::pair(when, sequence) > std::pair(other.when, other.sequence);
    }
  };
  Instant now_ = Instant(std::chrono::seconds(1000));
  Instant free_at_{};
  std::uint64_t sequence_ = 0;
  std::uint64_t dropped_ = 0;
  std::priority_queue<Event> events_;
  std::vector<std::unique_ptr<Flow>> flows_;
  std::mt19937_64 random_;
};

inline std::uint64_t Wire::delivered() const {
  std::uint64_t sum = 0;
  for (const auto& flow : flows_) sum += flow->delivered();
  return sum;
}

inline void Flow::send() {
  constexpr Duration kBurst = std::chrono::milliseconds(1);
  const Instant now = wire_.now();
  while (static_cast<double>((in_flight_.size() + 1) * kPacket) <= controller_->window()) {
    if (is_interactive && app_credit_ == 0) {
      app_limited_until_ = std::max<std::uint64_t>(delivered_ + in_flight_.size() * kPacket, 1);
      return;
    }
    const double pace = controller_->pace();
    if (pace > 0) {
      next_send_ = std::max(next_send_, now - kBurst);
      if (next_send_ > now) {
        if (!is_wake_set_) {
          is_wake_set_ = true;
          wire_.at(next_send_ + kBurst / 2, [this] {
            is_wake_set_ = false;
            send();
          });
        }
        return;
      }
      next_send_ += Duration(static_cast<Duration::rep>(1e9 * static_cast<double>(kPacket) / pace));
    }
    if (is_interactive) --app_credit_;
    if (in_flight_.empty()) first_sent_ = delivered_at_ = now;
    in_flight_.push_back({.number = ++next_number_,
                          .at = now,
                          .delivered = delivered_,
                          .delivered_at = delivered_at_,
                          .first_sent = first_sent_,
                          .is_app_limited = app_limited_until_ > delivered_});
    wire_.carry([this, number = next_number_] { receive(number); });
    // Whatever happens to it, the flow goes on.
    if (in_flight_.size() == 1) {
      wire_.at(now + std::chrono::seconds(1), [this] {
        detect_losses();
        send();
      });
    }
  }
}

inline void Flow::receive(std::uint64_t number) {
  unacked_.push_back(number);
  if (unacked_.size() >= ack_every) {
    acknowledge();
  } else if (!is_ack_set_) {
    is_ack_set_ = true;
    wire_.at(wire_.now() + std::chrono::milliseconds(1), [this] {
      is_ack_set_ = false;
      if (!unacked_.empty()) acknowledge();
    });
  }
}

inline void Flow::acknowledge() {
  // A lost acknowledgement is made good by the next, which names the same packets again.
  const bool is_lost = wire_.chance(wire_.bottleneck.loss);
  if (is_lost) return;
  const Duration late = wire_.draw(wire_.bottleneck.jitter);
  back_at_ = std::max(back_at_, wire_.now() + wire_.bottleneck.round_trip / 2 + late);
  wire_.at(back_at_, [this, numbers = std::move(unacked_)] { on_ack(numbers); });
  unacked_.clear();
}

inline void Flow::on_ack(const std::vector<std::uint64_t>& numbers) {
  const Instant now = wire_.now();
  Ack ack;
  std::uint64_t newest = 0;
  for (const std::uint64_t number : numbers) {
    const auto found = std::ranges::lower_bound(in_flight_, number, {}, &Sent::number);
    if (found == in_flight_.end() || found->number != number) continue;
    delivered_ += kPacket;
    delivered_at_ = now;
    ack.acked += kPacket;
    if (number > newest) {
      newest = number;
      ack.prior_delivered = found->delivered;
      ack.interval = std::max(found->at - found->first_sent, now - found->delivered_at);
      ack.is_app_limited = found->is_app_limited;
      ack.rtt = now - found->at;
      first_sent_ = found->at;
    }
    in_flight_.erase(found);
  }
  if (newest == 0) return;
  largest_acked_ = std::max(largest_acked_, newest);
  smoothed_ = smoothed_ == Duration::zero() ? ack.rtt : (7 * smoothed_ + ack.rtt) / 8;
  detect_losses();
  ack.delivered = delivered_;
  ack.in_flight = in_flight_.size() * kPacket;
  controller_->on_ack(now, ack);
  send();
}

inline void Flow::detect_losses() {
  const std::uint64_t threshold = std::clamp<std::uint64_t>(in_flight_.size() / 2, 3, 256);
  const Instant now = wire_.now();
  while (!in_flight_.empty()) {
    const Sent& oldest = in_flight_.front();
    if (largest_acked_ < oldest.number + threshold &&
        (smoothed_ == Duration::zero() || largest_acked_ < oldest.number ||
         now - oldest.at < smoothed_ * 9 / 8) &&
        now - oldest.at < std::chrono::milliseconds(900)) {
      return;
    }
    const bool is_new_event = oldest.number > recovery_until_;
    if (is_new_event) recovery_until_ = next_number_;
    in_flight_.pop_front();
    controller_->on_lost(now, kPacket, is_new_event);
  }
}

}  // namespace culvert::congestion::model
