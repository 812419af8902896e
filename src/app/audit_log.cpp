#include "app/audit_log.h"

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

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
          const drive::AuditedClient& client) {
  return {{"time", time_text(time)},
          {"event", event},
          {"client", client.id.text()},
          {"address", client.address.text()},
          {"dialect", session::alpn(client.dialect)}};
}

std::string_view decision(bool is_accepted) {
  return is_accepted ? "accepted" : "refused";
}

// One line; what is no UTF-8 in a peer's words is replaced.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& path, WallClock clock) {
  CULVERT_TRY(net::AppendFile file, net::AppendFile::open(path));
  return std::unique_ptr<AuditLog>(new AuditLog(path, std::move(clock), std::move(file)));
}

Status AuditLog::reopen() {
  CULVERT_TRY(net::AppendFile file, net::AppendFile::open(path_));
  const std::scoped_lock lock(mutex_);
  file_ = std::move(file);
  return {};
}

void AuditLog::on_auth(const drive::AuthRecord& record) {
  Json json = head(clock_(), "auth", record.client);
  json["proof"] = text(record.proof);
  json["decision"] = decision(record.is_accepted);
  if (record.is_accepted) {
    json["comment"] = record.comment;
  } else {
    json["code"] = static_cast<std::uint64_t>(record.code);
    json["reason"] = record.reason;
    if (record.retry_after_s > 0) json["retry_after_s"] = record.retry_after_s;
  }
  write(line_of(json));
}

void AuditLog::on_flow(const drive::FlowRecord& record) {
  Json json = head(clock_(), "flow", record.client);
  json["source"] = record.source;
  json["decision"] = decision(record.is_accepted);
  if (record.is_accepted) {
    json["dialled"] = record.dialled;
  } else {
    json["reason"] = record.reason;
  }
  write(line_of(json));
}

void AuditLog::write(const std::string& line) {
  const std::scoped_lock lock(mutex_);
  file_.write(line);
}

}  // namespace culvert::app
