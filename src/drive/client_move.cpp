#include "drive/client_move.h"

#include "base/limits.h"
#include "base/probe.h"
#include "drive/client_session.h"

#include <algorithm>
#include <utility>

namespace culvert::drive {
namespace {

// Longer than a path validation takes to fail (3 PTO, RFC 9000 8.2.4) on common paths.
constexpr Duration kMigrationCheck = std::chrono::seconds(2);

}  // namespace

ClientMove::ClientMove(ClientContext& context, ClientSession& session)
    : context_(context),
      session_(session),
      stalled_(context.worker.timers(), *this),
      check_(context.worker.timers(), *this) {}

// Nothing is known against the new path. But a server whose congestion window is full of what it
// sent to the old one may not answer before its probe timeout, which has doubled meanwhile; and
// the network between may know the old address only.
void ClientMove::on_stalled(Instant now) {
  if (!session_.is_resumable())
    return;  // there is nothing that another connection could go on with
  const auto local = context_.worker.host().local_address_towards(session_.server().ip);
  if (!local || *local != to_) return;  // another change of the network has come or will
  CULVERT_PROBE("drive.a move stalls");
  is_stalled_ = true;
  session_.on_move_stalled(now);
}

void ClientMove::end(Instant now) {
  stalled_.cancel();
  to_.reset();
  if (std::exchange(is_stalled_, false)) session_.on_move_over(now);
}

// The network changed, and the connection has not moved since.
void ClientMove::on_check(Instant now) {
  start(now, quic::Migration::at_once);
}

void ClientMove::start(Instant now, quic::Migration migration) {
  quic::Connection* connection = session_.connection();
  if (connection == nullptr) return;
  const auto local = context_.worker.host().local_address_towards(session_.server().ip);
  if (!local) return;
  if (*local == connection->path().local.ip) {
    if (*local != to_) {
      CULVERT_PROBE("drive.a connection stays where it was");
      end(now);
    } else if (!is_stalled_ && !stalled_.is_set()) {
      stalled_.set(now + limits::kSuspectMove);  // the address was away once more
    }
    return;
  }
  if (!session_.may_use(*local)) {
    CULVERT_PROBE("drive.a connection does not move into a tunnel");
    context_.worker.log().debug("path", "not moved to {}: its interface is left out",
                                local->text());
    end(now);
    session_.on_no_way(now);
    return;
  }
  const PathId path{.local = {*local, context_.worker.local_address().port},
                    .remote = session_.server()};
  context_.worker.log().info("path", "local address changed to {}: migrating", local->text());
  const Duration patience = std::max(limits::kSuspectMove, connection->liveness().probe_timeout);
  auto migrated = connection->migrate(now, path, migration);
  if (!migrated) context_.worker.log().warn("path", "cannot migrate: {}", migrated.error().text());
  to_ = *local;
  stalled_.set(migrated ? now + patience : now);
  check_.set(now + kMigrationCheck);
}

void ClientMove::forget() {
  stalled_.cancel();
  check_.cancel();
  to_.reset();
  is_stalled_ = false;
}

}  // namespace culvert::drive
