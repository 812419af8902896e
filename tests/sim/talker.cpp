#include "tests/sim/talker.h"

#include "base/assert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::sim {
namespace {

constexpr std::uint64_t kCalleeSalt = 0x9e3779b97f4a7c15ULL;
constexpr std::size_t kWriteChunk = 16 * 1024;

// Byte `offset` of the stream named by `seed`; random access, so nothing is stored.
std::uint8_t stream_byte(std::uint64_t seed, std::uint64_t offset) {
  std::uint64_t word = seed + (offset / 8) * 0xbf58476d1ce4e5b9ULL;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
  word ^= word >> 31;
  return static_cast<std::uint8_t>(word >> (8 * (offset % 8)));
}

}  // namespace

Bytes FlowPlan::encode() const {
  Bytes out;
  ByteWriter writer(out);
  writer.u64(seed);
  writer.u32(upload_bytes);
  writer.u32(download_bytes);
  writer.u32(caller_resets_after);
  writer.u32(callee_resets_after);
  writer.u32(read_chunk_bytes);
  writer.u32(read_pause_us);
  writer.u32(read_before_pause);
  writer.u8(callee_waits_for_end ? 1 : 0);
  writer.u8(caller_waits_for_end ? 1 : 0);
  out.resize(kHeaderBytes);
  return out;
}

FlowPlan FlowPlan::decode(ByteView header) {
  ByteReader reader(header);
  FlowPlan plan;
  plan.seed = *reader.u64();
  plan.upload_bytes = *reader.u32();
  plan.download_bytes = *reader.u32();
  plan.caller_resets_after = *reader.u32();
  plan.callee_resets_after = *reader.u32();
  plan.read_chunk_bytes = std::clamp<std::uint32_t>(*reader.u32(), 1, 1 << 20);
  plan.read_pause_us = *reader.u32();
  plan.read_before_pause = *reader.u32();
  plan.callee_waits_for_end = *reader.u8() != 0;
  plan.caller_waits_for_end = *reader.u8() != 0;
  return plan;
}

Talker::Talker(SimHost& host, Side side) : host_(host), side_(side) {}

Talker::~Talker() {
  alive_.end();
}

std::unique_ptr<Talker> Talker::call(SimHost& host, const StreamAddress& address,
                                     const FlowPlan& plan) {
  std::unique_ptr<Talker> talker(new Talker(host, Side::caller));
  talker->plan_ = plan;
  talker->header_ = plan.encode();
  auto stream = host.connect_stream(address, Purpose::flow, *talker);
  CULVERT_ASSERT(stream.has_value());
  talker->stream_ = std::move(*stream);
  return talker;
}

std::unique_ptr<Talker> Talker::answer(SimHost& host, std::unique_ptr<StreamPort> stream) {
  std::unique_ptr<Talker> talker(new Talker(host, Side::callee));
  talker->stream_ = std::move(stream);
  talker->stream_->set_handler(*talker);
  talker->is_connected_ = true;
  talker->stream_->want_readable();
  return talker;
}

std::string Talker::describe() const {
  return fmt::format("{} seed={} state={} sent={}/{} received={}/{} end_sent={} end_seen={}{}",
                     side_ == Side::caller ? "caller" : "callee", plan_ ? plan_->seed : 0,
                     state_ == State::running    ? "running"
                     : state_ == State::finished ? "finished"
                                                 : "reset",
                     sent_, plan_ ? bytes_to_send() : 0, received_, plan_ ? bytes_to_receive() : 0,
                     has_sent_end_, has_seen_end_, has_wrong_bytes_ ? " WRONG BYTES" : "");
}

void Talker::on_stream_connected(Instant) {
  is_connected_ = true;
  step();
}
void Talker::on_stream_failed(Instant, const Error&) {
  end(State::reset);
}
void Talker::on_stream_readable(Instant) {
  read_some();
  step();
}
void Talker::on_stream_writable(Instant) {
  step();
}

std::uint64_t Talker::bytes_to_send() const {
  return side_ == Side::caller ? plan_->upload_bytes : plan_->download_bytes;
}
std::uint64_t Talker::bytes_to_receive() const {
  return side_ == Side::caller ? plan_->download_bytes : plan_->upload_bytes;
}

bool Talker::may_send() const {
  return side_ == Side::caller || !plan_->callee_waits_for_end || has_seen_end_;
}

void Talker::end(State state) {
  if (state_ == State::running) state_ = state;
}

void Talker::give_up() {
  stream_->reset();
  end(State::reset);
}

void Talker::step() {
  if (state_ != State::running) return;
  if (plan_) write_some();
  if (state_ != State::running) return;
  if (has_sent_end_ && has_seen_end_) {
    end(State::finished);
    return;
  }
  if (!has_seen_end_ && !is_pausing_) stream_->want_readable();
}

void Talker::read_some() {
  if (state_ != State::running || has_seen_end_) return;
  std::vector<std::uint8_t> buffer(plan_ ? plan_->read_chunk_bytes : FlowPlan::kHeaderBytes);
  std::size_t wanted = buffer.size();
  if (!plan_) wanted = FlowPlan::kHeaderBytes - header_.size();
  const std::array<ByteSpan, 1> spans{ByteSpan(buffer).first(wanted)};
  const IoResult result = stream_->try_read(spans);
  switch (result.status) {
    case IoStatus::would_block:
      return;
    case IoStatus::failed:
      end(State::reset);
      return;
    case IoStatus::end:
      has_seen_end_ = true;
      return;
    case IoStatus::ok:
      break;
  }
  const ByteView bytes = ByteView(buffer).first(result.bytes);
  if (!plan_) {
    header_.insert(header_.end(), bytes.begin(), bytes.end());
    if (header_.size() == FlowPlan::kHeaderBytes) {
      plan_ = FlowPlan::decode(header_);
      header_.clear();
    }
    return;
  }
  check(bytes);
  if (side_ == Side::callee && plan_->callee_resets_after != 0 &&
      received_ >= plan_->callee_resets_after) {
    give_up();
    return;
  }
  if (plan_->read_pause_us != 0 && received_ >= plan_->read_before_pause) {
    is_pausing_ = true;
    host_.world().after(std::chrono::microseconds(plan_->read_pause_us),
                        [this, alive = alive_.token()](Instant) {
                          if (!alive) return;
                          is_pausing_ = false;
                          step();
                        });
  }
}

void Talker::check(ByteView bytes) {
  const std::uint64_t seed = side_ == Side::callee ? plan_->seed : plan_->seed ^ kCalleeSalt;
  for (const std::uint8_t byte : bytes) {
    if (received_ >= bytes_to_receive() || byte != stream_byte(seed, received_)) {
      has_wrong_bytes_ = true;
    }
    ++received_;
  }
}

void Talker::write_some() {
  if (!is_connected_ || has_sent_end_ || !may_send()) return;
  const std::uint64_t seed = side_ == Side::caller ? plan_->seed : plan_->seed ^ kCalleeSalt;
  while (!header_.empty() || sent_ < bytes_to_send()) {
    Bytes chunk = header_;
    const std::size_t header_bytes = header_.size();
    const std::size_t count = std::min<std::uint64_t>(kWriteChunk, bytes_to_send() - sent_);
    for (std::size_t i = 0; i < count; ++i) chunk.push_back(stream_byte(seed, sent_ + i));
    const std::array<ByteView, 1> views{chunk};
    const IoResult result = stream_->try_write(views);
    if (result.status == IoStatus::would_block) {
      stream_->want_writable();
      return;
    }
    if (result.status != IoStatus::ok) {
      end(State::reset);
      return;
    }
    const std::size_t of_header = std::min(header_bytes, result.bytes);
    header_.erase(header_.begin(), header_.begin() + static_cast<std::ptrdiff_t>(of_header));
    sent_ += result.bytes - of_header;
    if (side_ == Side::caller && plan_->caller_resets_after != 0 &&
        sent_ >= plan_->caller_resets_after) {
      give_up();
      return;
    }
  }
  if (side_ == Side::caller && plan_->caller_waits_for_end && !has_seen_end_) return;
  stream_->shutdown_write();
  has_sent_end_ = true;
}

TalkerListener::TalkerListener(SimHost& host, const SocketAddress& address) : host_(host) {
  auto listener = host.listen_stream(address, Purpose::listener, *this);
  CULVERT_ASSERT(listener.has_value());
  listener_ = std::move(*listener);
}

void TalkerListener::on_accept(Instant, std::unique_ptr<StreamPort> stream) {
  talkers_.push_back(Talker::answer(host_, std::move(stream)));
}

}  // namespace culvert::sim
