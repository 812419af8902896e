// The routes of the control interface, version 1: which request asks what of the target, and
// the OpenAPI description of them, both from one table. Bytes and sockets are http::Server's.
//
// Owned by ControlServer; on the loop that serves it.
#pragma once

#include "admin/metrics.h"
#include "admin/target.h"
#include "http/message.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace culvert::admin {

struct RouteInfo {
  std::string_view method;
  std::string_view path;  // OpenAPI's form: /v1/sessions/{id}
  std::string_view summary;
  std::string_view response;  // name of a schema in openapi.cpp; empty: 204 without a body
  std::string_view body;      // likewise; empty: none
  std::string_view type = "application/json";
};
[[nodiscard]] std::span<const RouteInfo> routes();

// OpenAPI 3.1, as served at /v1/openapi.json and kept in docs/control-api.json.
[[nodiscard]] std::string openapi_json();

class Api {
 public:
  using Answer = std::move_only_function<void(Instant now, http::Response response)>;

  // `counters` tells what the server around it has counted. Both outlive the Api.
  Api(ControlTarget& target, std::function<ControlCounters()> counters);

  void handle(Instant now, const http::Request& request, Answer answer);
  // Only /metrics and /healthz: for a network that may watch but not touch.
  void handle_metrics_only(Instant now, const http::Request& request, Answer answer);

 private:
  friend struct RouteTable;
  struct Call;  // one request on its way
  using Render = std::string (*)(const Snapshot& snapshot);

  void answer_snapshot(Instant now, Answer answer, Render render);
  void get_status(Call& call);
  void get_paths(Call& call);
  void get_sessions(Call& call);
  void delete_session(Call& call);
  void get_tunnels(Call& call);
  void post_tunnel(Call& call);
  void delete_tunnel(Call& call);
  void patch_tunnel(Call& call);
  void enable_tunnel(Call& call);
  void disable_tunnel(Call& call);
  void switch_tunnel(Call& call, bool is_enabled);
  void change_tunnel(Call& call, TunnelChange change, int status);
  void get_log_level(Call& call);
  void put_log_level(Call& call);
  void get_metrics(Call& call);
  void get_health(Call& call);
  void get_events(Call& call);
  void get_openapi(Call& call);

  ControlTarget& target_;
  std::function<ControlCounters()> counters_;
};

}  // namespace culvert::admin
