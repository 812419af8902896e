// The audit trail as a file: JSON lines, appended, mode 0600 when new.
//
//   {"time":"2026-01-02T03:04:05.678Z","event":"auth","client":HEX,"address":"IP:PORT",
//    "dialect":"culvert/1","proof":"token|key|endpoint_id|none","decision":"accepted|refused",
//    "comment":TEXT | "code":N,"reason":TEXT,"retry_after_s":N}
//   {..., "event":"flow","source":URL,"decision":"accepted|refused","dialled":"IP:PORT" |
//    "reason":TEXT}
#pragma once

#include "base/result.h"
#include "drive/audit.h"
#include "net/files.h"

#include <functional>
#include <mutex>
#include <string>

namespace culvert::app {

// Owned by the server app; any thread may call it.
class AuditLog final : public drive::AuditSink {
 public:
  using WallClock = std::function<std::chrono::system_clock::time_point()>;

  [[nodiscard]] static Result<std::unique_ptr<AuditLog>> open(
      const std::string& path, WallClock clock = std::chrono::system_clock::now);
  // Goes on in a new file at the same path (after a rotation). On failure the old one stays.
  [[nodiscard]] Status reopen();

  void on_auth(const drive::AuthRecord& record) override;
  void on_flow(const drive::FlowRecord& record) override;

 private:
  AuditLog(std::string path, WallClock clock, net::AppendFile file)
      : path_(std::move(path)), clock_(std::move(clock)), file_(std::move(file)) {}
  void write(const std::string& line);

  std::string path_;
  WallClock clock_;
  std::mutex mutex_;  // of file_
  net::AppendFile file_;
};

}  // namespace culvert::app
