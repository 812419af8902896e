#include "app/server_control.h"

#include "net/unix_client.h"
#include "net/unix_time.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace culvert::app {

admin::PathInfo path_info(const PathId& path, const quic::ConnectionStats& stats) {
  return {.local = path.local.text(), .remote = path.remote.text(), .stats = stats};
}

struct ServerControl::Part {
  drive::Counters counters{};
  std::vector<peer::SessionSnapshot> sessions{};
};

struct ServerControl::Gather {
  std::size_t missing;
  OnSnapshot done;
  drive::Counters counters{};
  std::vector<peer::SessionSnapshot> sessions{};
};

struct ServerControl::Kick {
  std::size_t missing;
  OnDone done;
  bool was_found = false;
};

ServerControl::ServerControl(net::HostGroup& group, const Servers& servers,
                             const ServerOptions& options, const SharedAuthLimiter& auth_limiter,
                             const std::unique_ptr<AuditLog>& audit_log, Logger& log)
    : group_(group),
      servers_(servers),
      options_(options),
      auth_limiter_(auth_limiter),
      audit_log_(audit_log),
      log_(log),
      started_at_s_(static_cast<std::int64_t>(net::unix_time_s())),
      started_at_(group.host(0).now()) {}

template <typename Answer, typename Ask, typename Add>
void ServerControl::ask_workers(Instant now, const Ask& ask, const Add& add) {
  for (unsigned i = 1; i < group_.size(); ++i) {
    const bool is_posted = group_.host(i).post([this, i, ask, add](Instant then) {
      group_.host(0).post(
          [add, answer = ask(i, then)](Instant at) mutable { add(at, std::move(answer)); });
    });
    if (!is_posted) add(now, Answer{});
  }
  add(now, ask(0U, now));
}

ServerControl::Part ServerControl::part_of(unsigned worker) const {
  return {.counters = servers_[worker]->stats(),
          .sessions = servers_[worker]->sessions(limits::kMaxListedSessions)};
}

void ServerControl::collect(Instant now, OnSnapshot done) {
  // Shared by the tasks on their way; only worker 0's thread looks into it.
  const auto gather = std::make_shared<Gather>(group_.size(), std::move(done));
  ask_workers<Part>(
      now, [this](unsigned worker, Instant) { return part_of(worker); },
      [this, gather](Instant at, Part part) { add(at, *gather, std::move(part)); });
}

void ServerControl::add(Instant now, Gather& gather, Part part) {
  admin::add(gather.counters, part.counters);
  std::ranges::move(part.sessions, std::back_inserter(gather.sessions));
  if (--gather.missing > 0) return;

  admin::Snapshot snapshot{.role = "server",
                           .version = options_.version,
                           .state = is_stopping_ ? "stopping" : "serving",
                           .pid = net::process_id(),
                           .started_at_s = started_at_s_,
                           .uptime = now - started_at_,
                           .endpoint_id = options_.identity.public_key().text(),
                           .listening = {servers_[0]->local_address().text()},
                           .counters = gather.counters};
  snapshot.auth = auth_limiter_.metrics(now);
  if (audit_log_) snapshot.audit = audit_log_->stats();
  std::ranges::sort(gather.sessions, {}, &peer::SessionSnapshot::id);
  if (gather.sessions.size() > limits::kMaxListedSessions) {
    gather.sessions.erase(gather.sessions.begin() + limits::kMaxListedSessions,
                          gather.sessions.end());
  }
  for (peer::SessionSnapshot& session : gather.sessions) {
    if (session.path) {
      snapshot.paths.push_back(path_info(*session.path, session.connection));
      snapshot.paths.back().session = session.id;
    }
    for (const auto& joined : session.joined) {
      admin::PathInfo& info =
          snapshot.paths.emplace_back(path_info(joined.path, joined.connection));
      info.session = session.id;
      if (joined.is_standby) info.state = "standby";
    }
    snapshot.sessions.push_back(
        {.id = session.id,
         .client = session.client.text(),
         .comment = std::move(session.comment),
         .address = std::move(session.address),
         .age = std::max(Duration{}, now - session.since),
         .counters = {.flows = session.flows,
                      .bytes_sent = session.connection.bytes_sent,
                      .bytes_received = session.connection.bytes_received}});
  }
  // Here, and not where the last worker lets go of its task.
  OnSnapshot done = std::move(gather.done);
  done(now, snapshot);
}

void ServerControl::kick(Instant now, std::uint64_t session, std::string reason, OnDone done) {
  const auto kick = std::make_shared<Kick>(group_.size(), std::move(done));  // as Gather
  ask_workers<bool>(
      now,
      [this, session, reason = std::move(reason)](unsigned worker, Instant then) {
        return servers_[worker]->kick(then, session, reason);
      },
      [kick, session](Instant at, bool was_found) {
        kick->was_found = kick->was_found || was_found;
        if (--kick->missing > 0) return;
        OnDone answer = std::move(kick->done);  // as in add()
        if (kick->was_found) {
          answer(at, {});
        } else {
          answer(at,
                 fail(ErrorKind::not_found, "there is no such session", std::to_string(session)));
        }
      });
}

void ServerControl::change_tunnel(Instant now, admin::TunnelChange, OnDone done) {
  done(now, fail(ErrorKind::refused, "this is a server: its clients have the tunnels"));
}

}  // namespace culvert::app
