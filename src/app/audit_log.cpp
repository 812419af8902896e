#include "app/audit_log.h"

#include "session/flow_open.h"

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace culvert::app {
namespace {

using Json = nlohmann::ordered_json;

std::string time_text(std::chrono::system_clock::time_point time) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(milliseconds).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds),
                     milliseconds.count() % 1'000);
}

std::string_view text(session::ProofKind kind) {
  switch (kind) {
    case session::ProofKind::token:
      return "token";
    case session::ProofKind::key:
      return "key";
    case session::ProofKind::endpoint_id:
      return "endpoint_id";
    case session::ProofKind::nothing:
      break;
  }
  return "none";
}

Json head(std::chrono::system_clock::time_point time, std::string_view event,
          const peer::AuditedClient& client) {
  return {{"time", time_text(time)},
          {"event", event},
          {"client", client.id.text()},
          {"address", client.address.text()},
          {"dialect", session::alpn(client.dialect)}};
}

std::string_view decision(bool is_accepted) {
  return is_accepted ? "accepted" : "refused";
}

// One line; what is no UTF-8 in a peer's words is replaced, and nothing in it steers a terminal.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace

bool AuditLog::Rate::admits(std::chrono::system_clock::time_point now) {
  const std::chrono::duration<double> passed = now - last_;
  last_ = now;
  tokens_ = std::clamp(tokens_ + std::max(passed.count(), 0.0) * limits::kAuditRefusalsPerSecond,
                       0.0, static_cast<double>(limits::kAuditRefusalBurst));
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

AuditLog::AuditLog(std::string path, Logger& log, AuditOptions options, net::AppendFile file)
    : path_(std::move(path)),
      log_(log),
      options_(std::move(options)),
      file_(std::move(file)),
      writer_([this](const std::stop_token& stop) { run(stop); }) {}

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& path, Logger& log,
                                                 AuditOptions options) {
  CULVERT_TRY(net::AppendFile file, net::AppendFile::open(path));
  return std::unique_ptr<AuditLog>(new AuditLog(path, log, std::move(options), std::move(file)));
}

AuditLog::~AuditLog() {
  {
    const std::scoped_lock lock(mutex_);
    summarise();
  }
  wait_until_written(options_.flush);
  writer_.request_stop();
  writer_.join();
  const std::uint64_t lost = lost_untold_ + queue_.size();
  if (lost > 0) log_.error("audit", "{}: {} lines were not written", path_, lost);
}

void AuditLog::reopen() {
  const std::scoped_lock lock(mutex_);
  if (std::exchange(is_reopening_, true)) return;
  queue_.emplace_back();
  changed_.notify_all();
}

bool AuditLog::takes_flows() const {
  if (!options_.is_required) return true;
  const std::scoped_lock lock(mutex_);
  // The rest is for flows that are on their way.
  return stats_.failure.empty() && stats_.bytes_waiting < options_.queue_bytes / 8 * 7;
}

admin::AuditInfo AuditLog::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

bool AuditLog::wait_until_written(std::chrono::nanoseconds patience) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return queue_.empty(); });
}

void AuditLog::on_auth(const peer::AuthRecord& record) {
  const auto line = [&] {
    Json json = head(options_.clock(), "auth", record.client);
    json["proof"] = text(record.proof);
    json["decision"] = decision(record.is_accepted);
    if (record.is_accepted) {
      json["comment"] = session::bounded_reason(record.comment);
    } else {
      json["code"] = static_cast<std::uint64_t>(record.code);
      json["reason"] = session::bounded_reason(record.reason);
      if (record.retry_after_s > 0) json["retry_after_s"] = record.retry_after_s;
    }
    return line_of(json);
  };
  if (record.is_accepted) {
    put(line(), Weight::accepted);
  } else {
    put_refusal(auth_refusals_, auth_suppressed_, line);
  }
}

void AuditLog::on_flow(const peer::FlowRecord& record) {
  const auto line = [&] {
    Json json = head(options_.clock(), "flow", record.client);
    json["source"] = session::bounded_reason(record.source);
    json["decision"] = decision(record.is_accepted);
    if (record.is_accepted) {
      json["dialled"] = record.dialled;
    } else {
      json["reason"] = session::bounded_reason(record.reason);
    }
    return line_of(json);
  };
  if (record.is_accepted) {
    put(line(), Weight::accepted);
  } else {
    put_refusal(flow_refusals_, flows_suppressed_, line);
  }
}

void AuditLog::put_refusal(Rate& rate, std::uint64_t& suppressed,
                           const std::function<std::string()>& line) {
  {
    const std::scoped_lock lock(mutex_);
    if (!rate.admits(options_.clock())) {
      ++suppressed;
      ++stats_.refusals_suppressed;
      return;
    }
  }
  put(line(), Weight::refused);
}

void AuditLog::put(std::string line, Weight weight) {
  const std::scoped_lock lock(mutex_);
  const std::size_t room =
      weight == Weight::refused ? options_.queue_bytes / 2 : options_.queue_bytes;
  if (stats_.bytes_waiting + line.size() > room) {
    ++stats_.lines_lost;
    ++lost_untold_;
    return;
  }
  stats_.bytes_waiting += line.size();
  queue_.push_back(std::move(line));
  changed_.notify_all();
}

// With the lock. What was left out, once there is something to tell.
void AuditLog::summarise() {
  if (auth_suppressed_ + flows_suppressed_ == 0) return;
  Json json{{"time", time_text(options_.clock())},
            {"event", "suppressed"},
            {"auth", std::exchange(auth_suppressed_, 0)},
            {"flow", std::exchange(flows_suppressed_, 0)}};
  queue_.push_back(line_of(json));
  stats_.bytes_waiting += queue_.back().size();
  changed_.notify_all();
}

// --- the writer's thread -------------------------------------------------------------------------

void AuditLog::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  auto next_summary = std::chrono::steady_clock::now() + limits::kAuditSummary;
  while (!stop.stop_requested()) {
    changed_.wait_until(lock, stop, next_summary, [this] { return !queue_.empty(); });
    if (std::chrono::steady_clock::now() >= next_summary) {
      next_summary += limits::kAuditSummary;
      summarise();
    }
    if (queue_.empty()) continue;
    const bool was_failing = !stats_.failure.empty();
    if (queue_.front().empty() || (was_failing && is_reopening_)) {
      reopen_now(lock);
      continue;
    }
    write_front(lock);
    if (stats_.failure.empty()) continue;
    changed_.wait_for(lock, stop, options_.retry, [this] { return is_reopening_; });
  }
}

void AuditLog::write_front(std::unique_lock<std::mutex>& lock) {
  // Others only append meanwhile, and a deque's elements stay where they are.
  const std::string_view rest = std::string_view(queue_.front()).substr(offset_);
  lock.unlock();
  Result<std::size_t> written = file_.try_write(rest);
  if (written && *written == 0 && file_.wait_writable(options_.retry)) {
    written = file_.try_write(rest);
  }
  lock.lock();
  if (!written) return on_failure(std::move(written).error().what);
  if (*written == 0) return on_failure("nobody reads it");
  offset_ += *written;
  if (offset_ < queue_.front().size()) return;
  stats_.bytes_waiting -= offset_;
  ++stats_.lines_written;
  offset_ = 0;
  queue_.pop_front();
  on_success();
  if (queue_.empty()) changed_.notify_all();
}

void AuditLog::on_failure(std::string failure) {
  const bool is_news = stats_.failure != failure;
  stats_.failure = std::move(failure);
  if (!is_news) return;
  log_.error("audit", "{}: {}; lines wait, and are lost when there are too many{}", path_,
             stats_.failure, options_.is_required ? "; no flow is opened until it is written" : "");
}

void AuditLog::on_success() {
  if (!stats_.failure.empty()) {
    log_.warn("audit", "{} is written again", path_);
    stats_.failure.clear();
  }
  if (lost_untold_ == 0) return;
  log_.error("audit", "{}: {} lines were lost, because nothing could be written or too much came",
             path_, lost_untold_);
  const Json json{{"time", time_text(options_.clock())},
                  {"event", "lost"},
                  {"lines", std::exchange(lost_untold_, 0)}};
  queue_.push_back(line_of(json));
  stats_.bytes_waiting += queue_.back().size();
}

// The rest of a line whose beginning is in the old file, which fails, goes whole into the new.
void AuditLog::reopen_now(std::unique_lock<std::mutex>& lock) {
  std::erase_if(queue_, [](const std::string& line) { return line.empty(); });
  is_reopening_ = false;
  lock.unlock();
  auto file = net::AppendFile::open(path_);
  if (file) {
    file_ = std::move(*file);
    offset_ = 0;
    log_.info("audit", "reopened {}", path_);
  } else {
    log_.error("audit", "still writing to the old file: {}", file.error().text());
  }
  lock.lock();
  if (queue_.empty()) changed_.notify_all();
}

}  // namespace culvert::app
