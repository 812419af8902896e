#include "quic/own_ids.h"

#include <algorithm>

namespace culvert::quic {
namespace {

auto find_id(auto& ids, ByteView wanted) {
  return std::ranges::find_if(
      ids, [&](const ConnectionId& id) { return std::ranges::equal(id.view(), wanted); });
}

}  // namespace

OwnIds::~OwnIds() {
  for (const ConnectionId& id : ids_) registry_.unregister_id(id);
  for (const ConnectionId& token : peer_tokens_) registry_.unregister_peer_token(token);
}

bool OwnIds::add(const ConnectionId& id) {
  if (!registry_.register_id(id, connection_)) return false;
  ids_.push_back(id);
  return true;
}

std::optional<ConnectionId> OwnIds::make() {
  const ConnectionId made = registry_.make_connection_id();
  return add(made) ? std::optional(made) : std::nullopt;
}

void OwnIds::retire(ByteView id) {
  const auto found = find_id(ids_, id);
  if (found == ids_.end()) return;
  registry_.unregister_id(*found);
  ids_.erase(found);
}

bool OwnIds::contains(ByteView id) const {
  return find_id(ids_, id) != ids_.end();
}

void OwnIds::add_peer_token(ByteView token) {
  const ConnectionId as_id(token);
  if (registry_.register_peer_token(as_id, connection_)) peer_tokens_.push_back(as_id);
}

void OwnIds::retire_peer_token(ByteView token) {
  const auto found = find_id(peer_tokens_, token);
  if (found == peer_tokens_.end()) return;
  registry_.unregister_peer_token(*found);
  peer_tokens_.erase(found);
}

}  // namespace culvert::quic
