// The audit trail as a file: JSON lines, appended, mode 0600 when new.
//
//   {"time":"2026-01-02T03:04:05.678Z","event":"auth","client":HEX,"address":"IP:PORT",
//    "dialect":"culvert/1","proof":"token|key|endpoint_id|none","decision":"accepted|refused",
//    "comment":TEXT | "code":N,"reason":TEXT,"retry_after_s":N}
//   {..., "event":"flow","source":URL,"decision":"accepted|refused","dialled":"IP:PORT" |
//    "reason":TEXT}
//   {"time":...,"event":"suppressed","auth":N,"flow":N}   refusals beyond what is written
//   {"time":...,"event":"lost","lines":N}                 that found no room while nothing could
//                                                         be written
//
// Workers put lines into a queue (limits::kAuditQueueBytes) and never wait; a thread writes
// them. What cannot be written (a full disk, a pipe nobody reads) waits in the queue and is
// tried again; what finds no room there is lost, counted, and said.
#pragma once

#include "admin/counters.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"
#include "net/files.h"
#include "peer/audit.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace culvert::app {

struct AuditOptions {
  // Flows are refused while nothing can be written.
  bool is_required = false;
  using WallClock = std::function<std::chrono::system_clock::time_point()>;
  WallClock clock = std::chrono::system_clock::now;
  std::size_t queue_bytes = limits::kAuditQueueBytes;
  std::chrono::nanoseconds retry = limits::kAuditRetry;
  std::chrono::nanoseconds flush = limits::kAuditFlush;  // at the end
};

// Owned by the server app; any thread may call it. Its end waits options.flush for what is
// in the queue.
class AuditLog final : public peer::AuditSink {
 public:
  // `log` outlives it.
  [[nodiscard]] static Result<std::unique_ptr<AuditLog>> open(const std::string& path, Logger& log,
                                                              AuditOptions options = {});
  ~AuditLog() override;

  // Goes on in a new file at the same path (after a rotation), once the lines of before are in
  // the old one. When that fails the old one stays; the log says what happened.
  void reopen();

  void on_auth(const peer::AuthRecord& record) override;
  void on_flow(const peer::FlowRecord& record) override;
  [[nodiscard]] bool takes_flows() const override;

  [[nodiscard]] admin::AuditInfo stats() const;
  // Whether everything was written within `patience`.
  bool wait_until_written(std::chrono::nanoseconds patience) const;

 private:
  // Of refusals of one kind: which are written.
  class Rate {
   public:
    [[nodiscard]] bool admits(std::chrono::system_clock::time_point now);

   private:
    double tokens_ = limits::kAuditRefusalBurst;
    std::chrono::system_clock::time_point last_{};
  };
  enum class Weight : std::uint8_t { accepted, refused };

  AuditLog(std::string path, Logger& log, AuditOptions options, net::AppendFile file);
  void put(std::string line, Weight weight);
  void put_refusal(Rate& rate, std::uint64_t& suppressed, const std::function<std::string()>& line);
  // The writer's.
  void run(const std::stop_token& stop);
  void write_front(std::unique_lock<std::mutex>& lock);
  void reopen_now(std::unique_lock<std::mutex>& lock);
  void summarise();
  void on_failure(std::string failure);
  void on_success();

  const std::string path_;
  Logger& log_;
  const AuditOptions options_;

  mutable std::mutex mutex_;  // of all below but file_ and offset_
  mutable std::condition_variable_any changed_;
  std::deque<std::string> queue_;  // an empty line stands for a wish to open the file anew
  admin::AuditInfo stats_;
  std::uint64_t lost_untold_ = 0;  // in the file
  std::uint64_t auth_suppressed_ = 0;
  std::uint64_t flows_suppressed_ = 0;
  Rate auth_refusals_;
  Rate flow_refusals_;
  bool is_reopening_ = false;

  net::AppendFile file_;    // the writer's alone
  std::size_t offset_ = 0;  // of the front line: so much is in the file
  std::jthread writer_;     // dies first
};

}  // namespace culvert::app
