#include "admin/api.h"

#include "admin/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace culvert::admin {

struct Api::Call {
  Instant now;
  const http::Request& request;
  Answer answer;
  std::string parameter{};  // what stands for {id} or {name}
};

struct RouteTable {
  struct Route {
    RouteInfo info;
    void (Api::*handle)(Api::Call& call);
  };
  static constexpr std::array kRoutes{
      Route{{"GET", "/v1/status", "What runs, since when, and how it is", "Status", ""},
            &Api::get_status},
      Route{{"GET", "/v1/paths", "The ways that packets take", "Paths", ""}, &Api::get_paths},
      Route{{"GET", "/v1/sessions", "Server: the clients that are logged in", "Sessions", ""},
            &Api::get_sessions},
      Route{{"DELETE", "/v1/sessions/{id}", "Server: close a session; the client is told why", "",
             "Reason"},
            &Api::delete_session},
      Route{{"GET", "/v1/tunnels", "Client: the tunnels and how they are", "Tunnels", ""},
            &Api::get_tunnels},
      Route{{"POST", "/v1/tunnels", "Client: add a tunnel", "Tunnels", "NewTunnel"},
            &Api::post_tunnel},
      Route{{"PATCH", "/v1/tunnels/{name}", "Client: change a tunnel", "", "TunnelChange"},
            &Api::patch_tunnel},
      Route{{"DELETE", "/v1/tunnels/{name}", "Client: remove a tunnel and its flows", "", ""},
            &Api::delete_tunnel},
      Route{{"POST", "/v1/tunnels/{name}/enable", "Client: let a tunnel listen", "", ""},
            &Api::enable_tunnel},
      Route{{"POST", "/v1/tunnels/{name}/disable", "Client: close a tunnel, but keep it", "", ""},
            &Api::disable_tunnel},
      Route{{"GET", "/v1/log-level", "How much is logged", "LogLevel", ""}, &Api::get_log_level},
      Route{{"PUT", "/v1/log-level", "Log more or less from now on", "", "LogLevel"},
            &Api::put_log_level},
      Route{{"GET", "/v1/events", "Server-sent events, as they happen", "Event", "",
             "text/event-stream"},
            &Api::get_events},
      Route{{"GET", "/v1/openapi.json", "This description", "OpenApi", ""}, &Api::get_openapi},
      Route{{"GET", "/metrics", "Prometheus text format", "Metrics", "", "text/plain"},
            &Api::get_metrics},
      Route{{"GET", "/healthz", "200 while the process answers", "Health", "", "text/plain"},
            &Api::get_health},
  };
};

namespace {

// Whether `segments` is a path of `form`; what stands for a {placeholder} is `parameter`.
bool matches(std::string_view form, const std::vector<std::string>& segments,
             std::string& parameter) {
  for (const std::string& segment : segments) {
    if (!form.starts_with('/')) return false;
    form.remove_prefix(1);
    const std::string_view part = form.substr(0, form.find('/'));
    form.remove_prefix(part.size());
    if (part.starts_with('{')) {
      parameter = segment;
    } else if (part != segment) {
      return false;
    }
  }
  return form.empty();
}

}  // namespace

std::span<const RouteInfo> routes() {
  static const std::vector<RouteInfo> infos = [] {
    std::vector<RouteInfo> list;
    for (const RouteTable::Route& route : RouteTable::kRoutes) list.push_back(route.info);
    return list;
  }();
  return infos;
}

Api::Api(ControlTarget& target, std::function<ControlCounters()> counters)
    : target_(target), counters_(std::move(counters)) {}

void Api::handle(Instant now, const http::Request& request, Answer answer) {
  const auto segments = http::path_segments(request.path);
  std::string allow;
  for (const RouteTable::Route& route : RouteTable::kRoutes) {
    Call call{.now = now, .request = request, .answer = {}};
    if (!segments || !matches(route.info.path, *segments, call.parameter)) continue;
    if (route.info.method != request.method) {
      allow += (allow.empty() ? "" : ", ") + std::string(route.info.method);
      continue;
    }
    call.answer = std::move(answer);
    (this->*route.handle)(call);
    return;
  }
  if (allow.empty()) {
    answer(now, error_response(404, "there is no such resource", request.path,
                               "GET /v1/openapi.json lists what there is"));
    return;
  }
  http::Response response = error_response(405, "this resource does not know the method",
                                           request.method, "use one of: " + allow);
  response.allow = std::move(allow);
  answer(now, std::move(response));
}

void Api::handle_metrics_only(Instant now, const http::Request& request, Answer answer) {
  const bool is_served = request.path == "/metrics" || request.path == "/healthz";
  if (is_served) {
    handle(now, request, std::move(answer));
  } else {
    answer(now, error_response(404, "only /metrics and /healthz are served here", request.path,
                               "the rest is at the control socket"));
  }
}

// --- reading -----------------------------------------------------------------------------------

void Api::answer_snapshot(Instant now, Answer answer, Render render) {
  target_.collect(
      now, [answer = std::move(answer), render](Instant at, const Snapshot& snapshot) mutable {
        answer(at, http::Response{.body = render(snapshot)});
      });
}

void Api::get_status(Call& call) {
  answer_snapshot(call.now, std::move(call.answer), &status_json);
}
void Api::get_paths(Call& call) {
  answer_snapshot(call.now, std::move(call.answer), &paths_json);
}
void Api::get_sessions(Call& call) {
  answer_snapshot(call.now, std::move(call.answer), &sessions_json);
}
void Api::get_tunnels(Call& call) {
  answer_snapshot(call.now, std::move(call.answer), &tunnels_json);
}

void Api::get_metrics(Call& call) {
  target_.collect(call.now, [counters = counters_(), answer = std::move(call.answer)](
                                Instant at, const Snapshot& snapshot) mutable {
    answer(at, http::Response{.body = metrics_text(snapshot, counters),
                              .content_type = std::string(kMetricsType)});
  });
}

void Api::get_health(Call& call) {
  call.answer(call.now, http::Response{.body = "ok\n", .content_type = "text/plain"});
}

void Api::get_openapi(Call& call) {
  call.answer(call.now, http::Response{.body = openapi_json()});
}

void Api::get_events(Call& call) {
  call.answer(call.now,
              http::Response{.content_type = "text/event-stream", .is_event_stream = true});
}

void Api::get_log_level(Call& call) {
  call.answer(call.now, http::Response{.body = log_level_json(target_.log().level())});
}

// --- changing ----------------------------------------------------------------------------------

void Api::put_log_level(Call& call) {
  const auto level = parse_log_level(call.request.body);
  if (!level) return call.answer(call.now, error_response(level.error()));
  target_.log().set_level(*level);
  target_.log().info("control", "log level is {} now", to_string(*level));
  call.answer(call.now, http::Response{.status = 204});
}

void Api::delete_session(Call& call) {
  std::uint64_t id = 0;
  const char* end = call.parameter.data() + call.parameter.size();
  const auto [stop, failed] = std::from_chars(call.parameter.data(), end, id);
  if (failed != std::errc{} || stop != end) {
    return call.answer(call.now, error_response(404, "is no session's number", call.parameter,
                                                "GET /v1/sessions lists them"));
  }
  auto reason = parse_reason(call.request.body);
  if (!reason) return call.answer(call.now, error_response(reason.error()));
  target_.kick(call.now, id, std::move(*reason),
               [answer = std::move(call.answer)](Instant at, const Status& done) mutable {
                 answer(at, done ? http::Response{.status = 204} : error_response(done.error()));
               });
}

void Api::change_tunnel(Call& call, TunnelChange change, int status) {
  target_.change_tunnel(
      call.now, std::move(change),
      [this, status, answer = std::move(call.answer)](Instant at, const Status& done) mutable {
        if (!done) return answer(at, error_response(done.error()));
        if (status == 204) return answer(at, http::Response{.status = 204});
        target_.collect(at, [status, answer = std::move(answer)](Instant then,
                                                                 const Snapshot& snapshot) mutable {
          answer(then, http::Response{.status = status, .body = tunnels_json(snapshot)});
        });
      });
}

void Api::post_tunnel(Call& call) {
  auto change = parse_tunnel_change(TunnelAction::add, call.request.body);
  if (!change) return call.answer(call.now, error_response(change.error()));
  change_tunnel(call, std::move(*change), 201);
}

void Api::patch_tunnel(Call& call) {
  auto change = parse_tunnel_change(TunnelAction::update, call.request.body);
  if (!change) return call.answer(call.now, error_response(change.error()));
  change->label = std::move(call.parameter);
  change_tunnel(call, std::move(*change), 204);
}

void Api::delete_tunnel(Call& call) {
  change_tunnel(call, {.action = TunnelAction::remove, .label = std::move(call.parameter)}, 204);
}

void Api::switch_tunnel(Call& call, bool is_enabled) {
  change_tunnel(call,
                {.action = TunnelAction::update,
                 .label = std::move(call.parameter),
                 .is_enabled = is_enabled},
                204);
}
void Api::enable_tunnel(Call& call) {
  switch_tunnel(call, true);
}
void Api::disable_tunnel(Call& call) {
  switch_tunnel(call, false);
}

}  // namespace culvert::admin
