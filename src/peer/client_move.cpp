#include "peer/client_move.h"

#include "base/limits.h"
#include "base/probe.h"
#include "peer/client_session.h"

#include <algorithm>
#include <utility>

namespace culvert::peer {
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
  if (!move_) return;
  const bool follows_route = move_->reason == MoveReason::route;
  if (follows_route && session_.choice().routed_path() != move_->to) {
    return;  // another change of the network has come or will
  }
  CULVERT_PROBE("peer.a move stalls");
  is_stalled_ = true;
  session_.on_move_stalled(now);
}

void ClientMove::end(Instant now) {
  stalled_.cancel();
  if (move_ && move_->reason != MoveReason::route) check_.cancel();
  move_.reset();
  if (std::exchange(is_stalled_, false)) session_.on_move_over(now);
}

void ClientMove::on_check(Instant now) {
  session_.choice().on_move_unheard(now);
}

void ClientMove::stay(Instant now, const PathId& path) {
  if (!move_ || path != move_->to) {
    CULVERT_PROBE("peer.a connection stays where it was");
    end(now);
  } else if (!is_stalled_ && !stalled_.is_set()) {
    stalled_.set(now + limits::kSuspectMove);  // the address was away once more
  }
}

bool ClientMove::start(Instant now, const Move& move) {
  quic::Connection& connection = *session_.connection();
  context_.worker.log().info("path", "migrating to {} -> {}", move.to.local.text(),
                             move.to.remote.text());
  const Duration patience = std::max(limits::kSuspectMove, connection.liveness().probe_timeout);
  const PathId from = connection.path();
  if (move.reason != MoveReason::route) context_.worker.pin_local_addresses();
  const Status migrated = connection.migrate(now, move.to, move.migration);
  if (!migrated) context_.worker.log().warn("path", "cannot migrate: {}", migrated.error().text());
  move_ = move;
  move_->from = from;
  // What works where it is has time.
  if (move.reason != MoveReason::better) stalled_.set(migrated ? now + patience : now);
  check_.set(now + kMigrationCheck);
  return migrated.has_value();
}

void ClientMove::forget() {
  stalled_.cancel();
  check_.cancel();
  move_.reset();
  is_stalled_ = false;
}

}  // namespace culvert::peer
