#include "admin/http_config.h"

#include "admin/json.h"
#include "base/limits.h"

namespace culvert::admin {

http::ServerConfig http_config() {
  return {
      .times = {.idle = limits::kControlIdle,
                .request = limits::kControlRequest,
                .answer = limits::kControlAnswer,
                .heartbeat = limits::kControlHeartbeat},
      .request = {.head_bytes = limits::kControlHeaderBytes,
                  .body_bytes = limits::kControlBodyBytes},
      .max_connections = limits::kMaxControlConnections,
      .max_subscribers = limits::kMaxControlSubscribers,
      .event_bytes = limits::kControlEventBytes,
      .too_slow_event =
          "event: dropped\n"
          "data: {\"reason\":\"this subscriber is too slow: subscribe again\"}\n\n",
      .request_advice = "send an HTTP/1.1 request within the limits of docs/control-api.md",
      .error_page =
          [](int status, std::string_view what, std::string_view offender, std::string_view fix) {
            return error_response(status, what, offender, fix);
          },
  };
}

}  // namespace culvert::admin
