#include "peer/stripe.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/flow_codes.h"
#include "session/chunk_frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace culvert::peer {
namespace {

// A leg is given bytes while it has fewer than this unsent, or a part of its congestion window:
// enough to keep its connection busy until the next acknowledgement, not more, for what is
// queued on a leg cannot take another way. A redundant one has to be close behind the other.
constexpr std::uint64_t kLeastAhead = 16 * 1024;
constexpr std::uint64_t kMostAhead = 512 * 1024;
constexpr std::size_t kRedundantLegs = 2;
constexpr std::size_t kLeastChunkRoom = 1024;
constexpr Duration kLeastPatience = std::chrono::milliseconds(100);
constexpr std::size_t kViews = buffers::kChunksOf64KiB;  // a chunk of a flow is smaller

}  // namespace

struct Stripe::Leg final : StreamUser {
  Leg(Stripe& its_stripe, quic::Stream& its_stream, session::LegId its_id)
      : stripe(its_stripe), stream(&its_stream), id(its_id) {}

  void on_quic_readable(Instant now) override { stripe.read(now, *this); }
  void on_quic_writable(Instant) override { stripe.take_acknowledgements(*this); }
  void on_quic_reset(Instant now, std::uint64_t code) override { stripe.end_by_peer(now, code); }
  void on_quic_stop_sending(Instant now, std::uint64_t code) override {
    stripe.on_peer_stopped(now, code);
  }
  void on_quic_closed(Instant now) override { stripe.lose(now, *this); }
  [[nodiscard]] bool is_flow() const override { return false; }

  [[nodiscard]] std::uint64_t most_unsent() const {
    const std::uint64_t part = stripe.mode() == Multipath::redundant ? 8 : 2;
    return std::clamp(life.congestion_window_bytes / part, kLeastAhead, kMostAhead);
  }
  // How many bytes its next chunk may have.
  [[nodiscard]] std::size_t chunk_room() const {
    const std::uint64_t unsent = stream->output.end_offset() - stream->output.sent_offset();
    if (unsent >= most_unsent()) return 0;
    const std::size_t space = stream->output.space();
    // Chunks of a few bytes are not worth their headers, unless there is nothing else to send.
    if (space < kLeastChunkRoom && unsent > 0) return 0;
    return std::clamp(space, kLeastChunkRoom, session::kMaxChunkBytes);
  }
  void write(ByteView bytes) { stream->output.append(bytes); }
  Stripe& stripe;
  quic::Stream* stream;
  session::LegId id;
  bool is_usable = true;
  quic::Liveness life{};  // of its connection, in this turn
  std::uint64_t window_told = limits::kStripeWindowFirst;
  std::uint64_t chunk_offset = 0;  // of the chunk that is arriving
  std::size_t chunk_left = 0;
};

Stripe::Stripe(drive::Worker& worker, StripeHost& host, StripeOptions options)
    : buffers::ByteStream(worker.chunks(), limits::kStripeWindowFirst),
      worker_(worker),
      host_(host),
      options_(options),
      scheduler_(options.mode),
      reassembly_(limits::kStripeWindowFirst),
      late_(worker.timers(), *this),
      orphaned_(worker.timers(), *this) {
  scheduler_.set_window(limits::kStripeWindowFirst);
}

Stripe::~Stripe() {
  let_go();
  host_.budget().shrink(window_ - limits::kStripeWindowFirst);
  host_.budget().let_go(held_);
  host_.budget().release(waiting_);
  host_.budget().take_back(aside_);
}

void Stripe::let_go() {
  is_ended_ = true;
  worker_.cancel_flush(*this);
  late_.cancel();
  orphaned_.cancel();
  for (const auto& leg : legs_) leg->stream->context = nullptr;
  legs_.clear();
  context = nullptr;
}

// --- legs --------------------------------------------------------------------------------------

bool Stripe::attach(Instant now, quic::Stream& stream, bool is_usable) {
  const auto id = scheduler_.add_leg();
  if (!id) {
    CULVERT_PROBE("peer.a striped flow has legs enough");
    return false;
  }
  orphaned_.cancel();
  auto leg = std::make_unique<Leg>(*this, stream, *id);
  leg->is_usable = is_usable;
  stream.context = static_cast<StreamUser*>(leg.get());
  stream.wants_space = true;
  stream.output.append(head_);
  stream.submit();
  if (is_output_over) stream.reset(kReset);
  if (is_input_dropped) stream.stop_sending(kReset);
  legs_.push_back(std::move(leg));
  start_window();
  worker_.request_flush(*this);
  if (stream.input.size() > 0) read(now, *legs_.back());
  return true;
}

bool Stripe::has_leg_on(const quic::Connection& connection) const {
  return std::ranges::any_of(legs_,
                             [&](const auto& leg) { return leg->stream->owner == &connection; });
}

void Stripe::detach(Instant now, const quic::Connection& connection) {
  const auto found = std::ranges::find_if(
      legs_, [&](const auto& leg) { return leg->stream->owner == &connection; });
  if (found != legs_.end()) lose(now, **found);
}

// What has arrived by it still counts.
void Stripe::lose(Instant now, Leg& leg) {
  scheduler_.acknowledged(leg.id, leg.stream->output.acked_offset());
  scheduler_.remove_leg(leg.id);
  leg.stream->context = nullptr;
  const auto found = std::ranges::find(legs_, &leg, &std::unique_ptr<Leg>::get);
  const auto lost = std::move(*found);
  legs_.erase(found);
  if (legs_.empty() && options_.orphan_timeout > Duration::zero()) {
    orphaned_.set(now + options_.orphan_timeout);
  }
  worker_.request_flush(*this);
  read(now, *lost);
}

void Stripe::set_usable(const quic::Connection& connection, bool is_usable) {
  for (const auto& leg : legs_) {
    if (leg->stream->owner != &connection || leg->is_usable == is_usable) continue;
    leg->is_usable = is_usable;
    if (!is_usable) scheduler_.suspect_leg(leg->id);
    worker_.request_flush(*this);
  }
}

// --- sending -----------------------------------------------------------------------------------

void Stripe::flush(Instant now) {
  if (is_ended_) return;
  account();
  for (const auto& leg : legs_) {
    if (leg->stream->owner != nullptr) leg->life = leg->stream->owner->liveness();
  }
  std::ranges::sort(legs_, {}, [](const auto& leg) {
    return std::tuple(!leg->is_usable, leg->life.smoothed_rtt, leg->id);
  });
  update_window(now);
  send_windows();
  if (!is_output_over) {
    free_delivered(now);
    send_chunks(now);
  }
  end_if_over(now);
}

void Stripe::send_windows() {
  for (const auto& leg : legs_) {
    if (leg->window_told == reassembly_.limit() || is_fin_received || is_input_dropped ||
        leg->stream->is_output_over ||
        leg->stream->output.space() < session::kMaxChunkHeaderBytes) {
      continue;
    }
    leg->window_told = reassembly_.limit();
    leg->write(session::encode_chunk_header(session::ChunkKind::window, leg->window_told).view());
    leg->stream->submit();
  }
}

void Stripe::send_chunks(Instant now) {
  scheduler_.set_end(output.end_offset(), is_fin_queued);
  const Duration late_after = patience();
  std::size_t used = 0;
  for (const auto& leg : legs_) {
    const bool is_spare = used > 0 && !leg->is_usable;
    if (is_spare || leg->stream->is_output_over) continue;
    if (options_.mode == Multipath::redundant && used == kRedundantLegs) break;
    ++used;
    leg->stream->refill_below = leg->most_unsent() / 2;
    bool has_sent = false;
    while (const std::size_t room = leg->chunk_room()) {
      const auto range = scheduler_.next(now, leg->id, room, late_after);
      if (!range) break;
      send_chunk(*leg, *range);
      has_sent = true;
    }
    if (!has_sent) continue;
    leg->stream->submit();
  }
  const bool may_be_late = used > 1 && options_.mode != Multipath::redundant;
  if (!may_be_late || scheduler_.oldest() == kNever) {
    late_.cancel();
  } else {
    const Instant due = scheduler_.oldest() + late_after;
    late_.set(due > now ? due : now + late_after);
  }
}

void Stripe::send_chunk(Leg& leg, const session::ChunkRange& range) {
  if (range.length == 0) {
    leg.write(session::encode_chunk_header(session::ChunkKind::end, range.offset).view());
  } else {
    leg.write(
        session::encode_chunk_header(session::ChunkKind::data, range.offset, range.length).view());
    std::array<ByteView, kViews> views;
    const std::size_t count = output.views(range.offset, range.length, views);
    for (const ByteView& view : std::span(views).first(count)) leg.write(view);
    const std::uint64_t queued_to = scheduler_.next_offset();
    output.mark_sent(static_cast<std::size_t>(queued_to - output.sent_offset()));
  }
  scheduler_.queued(leg.id, leg.stream->output.end_offset());
}

void Stripe::take_acknowledgements(Leg& leg) {
  leg.stream->wants_space = true;
  scheduler_.acknowledged(leg.id, leg.stream->output.acked_offset());
  worker_.request_flush(*this);
}

// As much may be held as the peer's window lets be under way, but no peer can have us hold more
// than ours does.
void Stripe::free_delivered(Instant now) {
  output.acknowledge(static_cast<std::size_t>(scheduler_.delivered() - output.acked_offset()));
  account();
  output.set_limit(static_cast<std::size_t>(
      std::min<std::uint64_t>(scheduler_.window() - scheduler_.delivered() + limits::kBlockedOutput,
                              host_.budget().send_share())));
  if (wants_space && output.space() >= output.limit() / 4) {
    wants_space = false;
    if (auto* user = user_of(*this)) user->on_quic_writable(now);
  }
}

// Longer than an acknowledgement takes on any leg that works.
Duration Stripe::patience() const {
  Duration longest = kLeastPatience;
  for (const auto& leg : legs_) longest = std::max(longest, 2 * leg->life.probe_timeout);
  return longest;
}

void Stripe::on_late(Instant) {
  worker_.request_flush(*this);
}

// --- receiving -----------------------------------------------------------------------------------

void Stripe::read(Instant now, Leg& leg) {
  const std::size_t before = input.size();
  const auto read = read_chunks(leg);
  if (!read) {
    CULVERT_PROBE("peer.chunks break the rules");
    worker_.warnings().warn(now,
                            fmt::format("a flow is broken off: its peer sends chunks that are {}",
                                        to_string(read.error())));
    StreamUser* user = user_of(*this);
    reset_legs(kProtocolError);
    stop_sending(kProtocolError);
    if (user != nullptr) user->on_quic_reset(now, kReset);
    return;
  }
  const bool has_ended = !is_fin_received && reassembly_.is_complete();
  if (has_ended) is_fin_received = true;
  if (input.size() != before || has_ended) {
    if (auto* user = user_of(*this)) {
      user->on_quic_readable(now);
    } else {
      consume(input.size());
    }
  }
  worker_.request_flush(*this);
}

Decoded<void> Stripe::read_chunks(Leg& leg) {
  buffers::RecvBuffer& from = leg.stream->input;
  while (from.size() > 0) {
    std::array<ByteView, kViews> views;
    const std::size_t count = from.views(views);
    if (leg.chunk_left > 0) {
      const ByteView part = views[0].first(std::min(views[0].size(), leg.chunk_left));
      if (auto delivered = deliver(leg.chunk_offset, part); !delivered) return delivered;
      leg.chunk_offset += part.size();
      leg.chunk_left -= part.size();
      leg.stream->consume(part.size());
      continue;
    }
    std::array<std::uint8_t, session::kMaxChunkHeaderBytes> joined{};
    std::size_t size = 0;
    for (const ByteView& view : std::span(views).first(count)) {
      const std::size_t part = std::min(view.size(), joined.size() - size);
      std::ranges::copy(view.first(part), joined.begin() + static_cast<std::ptrdiff_t>(size));
      size += part;
    }
    const auto header = session::decode_chunk_header(ByteView(joined).first(size));
    if (!header) {
      if (header.error() == DecodeError::truncated) return {};
      return std::unexpected(header.error());
    }
    leg.stream->consume(header->size);
    switch (header->kind) {
      case session::ChunkKind::data:
        leg.chunk_offset = header->offset;
        leg.chunk_left = static_cast<std::size_t>(header->length);
        break;
      case session::ChunkKind::end:
        if (auto ended = reassembly_.set_end(header->offset); !ended) return ended;
        break;
      case session::ChunkKind::window:
        scheduler_.set_window(header->offset);
        break;
    }
  }
  return {};
}

Decoded<void> Stripe::deliver(std::uint64_t offset, ByteView bytes) {
  if (is_input_dropped) return {};
  const auto in_order = reassembly_.add(offset, bytes);
  if (!in_order) return std::unexpected(in_order.error());
  if (in_order->empty()) return {};
  input.append(*in_order);
  while (const auto piece = reassembly_.take()) input.append(*piece);
  return {};
}

void Stripe::consume(std::size_t count) {
  input.consume(count);
  worker_.request_flush(*this);
}

// The peer may have a window of bytes beyond what our side has taken. It grows while it is
// what holds the peer back: when half of it is used up within few round trips.
void Stripe::update_window(Instant now) {
  const std::uint64_t consumed = reassembly_.next() - input.size();
  if (reassembly_.limit() - consumed > window_ / 2) return;
  Duration round_trip = std::chrono::milliseconds(10);
  for (const auto& leg : legs_) round_trip = std::max(round_trip, leg->life.smoothed_rtt);
  const bool is_busy = now - window_updated_ < 4 * round_trip;
  if (is_busy && window_ < limits::kStripeWindowMax &&
      host_.budget().grow(window_, window_, consumed)) {
    window_ *= 2;
  }
  window_updated_ = now;
  reassembly_.set_limit(consumed + window_);
}

// The peer begins with little; both sides let it have more as soon as there is a leg to say so.
void Stripe::start_window() {
  if (window_ != limits::kStripeWindowFirst) return;
  for (std::size_t window = limits::kStripeWindowStart; window > window_; window /= 2) {
    if (!host_.budget().begin(window - window_)) continue;
    window_ = window;
    reassembly_.set_limit(reassembly_.next() - input.size() + window_);
    return;
  }
}

// Tells the budget what waits here now, for the peer and for our side.
void Stripe::account() {
  buffers::SessionBudget& budget = host_.budget();
  budget.let_go(std::exchange(held_, output.unacked_bytes()));
  budget.hold(held_);
  budget.release(std::exchange(waiting_, input.size() + reassembly_.held_bytes()));
  budget.commit_anyway(waiting_);
  budget.take_back(std::exchange(aside_, waiting_ > 0 ? limits::kStripeWindowFirst : 0));
  budget.set_aside(aside_);
}

// --- the end -----------------------------------------------------------------------------------

void Stripe::finish() {
  is_fin_queued = true;
  submit();
}

// A leg that is lost takes its reset along.
void Stripe::reset(std::uint64_t code) {
  if (!is_output_over && !head_.empty()) is_end_untold = true;
  reset_legs(code);
}

void Stripe::reset_legs(std::uint64_t code) {
  if (is_output_over) return;
  is_output_over = true;
  output.discard();
  for (const auto& leg : legs_) {
    if (leg->stream->owner != nullptr) leg->stream->reset(code);
  }
  worker_.request_flush(*this);
}

void Stripe::stop_sending(std::uint64_t code) {
  if (is_input_dropped) return;
  is_input_dropped = true;
  input.discard();
  for (const auto& leg : legs_) {
    if (leg->stream->owner != nullptr) leg->stream->stop_sending(code);
  }
  worker_.request_flush(*this);
}

void Stripe::on_peer_stopped(Instant now, std::uint64_t code) {
  if (is_output_over) return;
  reset_legs(kReset);
  if (auto* user = user_of(*this)) user->on_quic_stop_sending(now, code);
}

void Stripe::end_by_peer(Instant now, std::uint64_t code) {
  if (is_reset_received || is_over_there_) return;
  worker_.request_flush(*this);
  if (code == kUnknown && has_ended_in_order(*this)) {
    // Over here, too, but for the last acknowledgement and what our side has not taken yet.
    CULVERT_PROBE("peer.a striped flow was over in order at the peer");
    is_over_there_ = is_output_over = true;
    return;
  }
  is_reset_received = true;
  if (auto* user = user_of(*this)) {
    user->on_quic_reset(now, code);
  } else {
    reset_legs(kReset);
  }
}

void Stripe::on_orphaned(Instant now) {
  CULVERT_PROBE("peer.a striped flow is not brought back");
  end_by_peer(now, kUnknown);
}

void Stripe::end_if_over(Instant now) {
  const bool is_output_done = is_output_over || scheduler_.is_all_delivered();
  const bool is_input_done = is_input_dropped || is_reset_received || is_input_finished();
  if (is_output_done && is_input_done) end(now);
}

void Stripe::end(Instant now) {
  if (is_ended_) return;
  is_ended_ = true;
  late_.cancel();
  orphaned_.cancel();
  for (const auto& leg : legs_) {
    leg->stream->context = nullptr;
    if (leg->stream->owner != nullptr) leg->stream->finish();
  }
  legs_.clear();
  StreamUser* user = user_of(*this);
  context = nullptr;
  host_.on_stripe_over(now, *this, user);
}

}  // namespace culvert::peer
