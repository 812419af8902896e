// A TCP flow that uses several connections of its session at once: to its flow it is a stream of
// bytes like any other, underneath its bytes travel in chunks on one QUIC stream (a leg) of every
// connection. Legs come and go with their connections; what was lost with one goes again over
// the others. Which bytes go where: session/stripe_scheduler.h. Private to drive/.
#pragma once

#include "base/multipath.h"
#include "drive/worker.h"
#include "peer/stream_user.h"
#include "quic/connection.h"
#include "session/reassembly.h"
#include "session/stripe_scheduler.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace culvert::peer {

class Stripe;

// The connections of the session (lanes.h).
class StripeHost {
 public:
  [[nodiscard]] virtual buffers::SessionBudget& budget() = 0;
  // Both directions are over, or nobody is left to ask; `user`, if any, has been let go of.
  virtual void on_stripe_over(Instant now, Stripe& stripe, StreamUser* user) = 0;

 protected:
  ~StripeHost() = default;
};

struct StripeOptions {
  Multipath mode = Multipath::aggregate;
  // Server: without legs for this long it ends; the client does not know it any more.
  Duration orphan_timeout{};
};

// Owned by Lanes. Its output and input are the flow's, whose offsets the chunks carry.
class Stripe final : public buffers::ByteStream, public drive::Flushable {
 public:
  Stripe(drive::Worker& worker, StripeHost& host, StripeOptions options);
  ~Stripe();

  [[nodiscard]] Multipath mode() const { return options_.mode; }
  // Client: what begins every leg; before the first.
  void set_head(Bytes head) { head_ = std::move(head); }
  [[nodiscard]] const Bytes& head() const { return head_; }
  // `stream`, of a connection of the session, becomes a leg. False: it has too many.
  [[nodiscard]] bool attach(Instant now, quic::Stream& stream, bool is_usable);
  [[nodiscard]] bool needs_legs() const {
    return !is_over_there_ && !(is_output_over && is_input_dropped);
  }
  [[nodiscard]] bool has_leg_on(const quic::Connection& connection) const;
  // The connection is lost.
  void detach(Instant now, const quic::Connection& connection);
  // The connection seems to be dead, or not any more.
  void set_usable(const quic::Connection& connection, bool is_usable);

  // The session is over, and its user has been told.
  void let_go();

  void submit() override { worker_.request_flush(*this); }
  void finish() override;
  void reset(std::uint64_t code) override;
  void stop_sending(std::uint64_t code) override;
  void consume(std::size_t count) override;

  // The peer says that it does not have this flow any more.
  void end_by_peer(Instant now, std::uint64_t code);

 private:
  struct Leg;

  void flush(Instant now) override;
  void send_windows();
  void send_chunks(Instant now);
  void send_chunk(Leg& leg, const session::ChunkRange& range);
  void read(Instant now, Leg& leg);
  [[nodiscard]] Decoded<void> read_chunks(Leg& leg);
  [[nodiscard]] Decoded<void> deliver(std::uint64_t offset, ByteView bytes);
  void take_acknowledgements(Leg& leg);
  void free_delivered(Instant now);
  void update_window(Instant now);
  void start_window();
  void account();
  void reset_legs(std::uint64_t code);
  void on_peer_stopped(Instant now, std::uint64_t code);
  void lose(Instant now, Leg& leg);
  void end_if_over(Instant now);
  void end(Instant now);
  void on_late(Instant now);
  void on_orphaned(Instant now);
  [[nodiscard]] Duration patience() const;

  drive::Worker& worker_;
  StripeHost& host_;
  StripeOptions options_;
  Bytes head_;
  session::StripeScheduler scheduler_;
  session::Reassembly reassembly_;
  std::size_t window_ = limits::kStripeWindowFirst;
  // As the budget knows it:
  std::size_t held_ = 0;     // to be sent
  std::size_t waiting_ = 0;  // received
  std::size_t aside_ = 0;    // likewise
  Instant window_updated_{};
  std::vector<std::unique_ptr<Leg>> legs_;  // the fastest first
  bool is_over_there_ = false;  // the peer had everything, sent everything and forgot it
  bool is_ended_ = false;
  MemberTimer<Stripe, &Stripe::on_late> late_;
  MemberTimer<Stripe, &Stripe::on_orphaned> orphaned_;
};

}  // namespace culvert::peer
