// All connections of one session, and the striped flows that use them. A lane is one of them:
// the session's own connection, which carries everything that is not striped, or one that has
// joined it by another path. Private to drive/.
#pragma once

#include "base/multipath.h"
#include "drive/worker.h"
#include "peer/stripe.h"
#include "quic/connection.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace culvert::peer {

// Why a session takes no further flow (buffers::SessionBudget::takes_flows).
inline constexpr std::string_view kNobodyReads =
    "most of the session's buffer waits for programs that do not read; end some of their flows, or "
    "raise --session-buffer";

// Owned by its session.
class Lanes final : public StripeHost {
 public:
  // `retire`: what the session does with the user of a flow that is over.
  using Retire = std::function<void(Instant now, StreamUser& user)>;
  Lanes(drive::Worker& worker, Retire retire) : worker_(worker), retire_(std::move(retire)) {}

  struct Lane {
    quic::Connection* connection;
    bool is_usable = true;
  };

  // The connection belongs to the session: what waits on it comes out of the session's budget.
  void share_budget(quic::Connection& connection);
  [[nodiscard]] buffers::SessionBudget& budget() override { return *shared_budget(); }
  [[nodiscard]] const std::shared_ptr<buffers::SessionBudget>& shared_budget();
  [[nodiscard]] std::size_t buffered_bytes() const { return budget_ ? budget_->used_bytes() : 0; }
  // Client: flows that have begun get a leg on it.
  void add(Instant now, quic::Connection& connection);
  void remove(Instant now, quic::Connection& connection);
  void set_usable(quic::Connection& connection, bool is_usable);
  // Client: the connection grants streams again.
  void open_missing_legs(Instant now, quic::Connection& connection);
  [[nodiscard]] bool has(const quic::Connection& connection) const;
  [[nodiscard]] std::size_t size() const { return lanes_.size(); }

  // `flow_id` is new.
  [[nodiscard]] Stripe& add_stripe(std::uint64_t flow_id, StripeOptions options);
  [[nodiscard]] Stripe* find_stripe(std::uint64_t flow_id);
  // Client: the flow begins with this head, on this stream and on one of every other lane.
  void begin(Instant now, Stripe& stripe, quic::Stream& first_leg, Bytes head);
  // Server: a stream that the client has opened for the flow.
  void attach(Instant now, Stripe& stripe, quic::Stream& stream);
  // Their users have been told.
  void clear_stripes();

  // A datagram of a flow that uses all lanes. False: it fits none.
  [[nodiscard]] bool send_datagram(Multipath mode, ByteView header, ByteView payload);

 private:
  void on_stripe_over(Instant now, Stripe& stripe, StreamUser* user) override;
  void open_leg(Instant now, Stripe& stripe, Lane& lane);
  [[nodiscard]] bool send_on(Lane& lane, ByteView header, ByteView payload);

  drive::Worker& worker_;
  Retire retire_;
  std::shared_ptr<buffers::SessionBudget> budget_;  // the session's connections share it
  std::vector<Lane> lanes_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Stripe>> stripes_;
  std::size_t turn_ = 0;  // whose datagram is next
};

}  // namespace culvert::peer
