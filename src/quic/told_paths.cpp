#include "quic/told_paths.h"

#include "base/probe.h"

#include <algorithm>

namespace culvert::quic {

void ToldPaths::begin(const PathId& path) {
  if (path.local.ip.is_unspecified()) known_.push_back({.path = path, .local = path.local});
}

const ngtcp2_path* ToldPaths::arrival(const PathId& path) {
  if (known_.empty()) return arrival_.get(path);
  const Known* wildcard = nullptr;
  for (const Known& known : known_) {
    if (known.path.remote != path.remote) continue;
    if (known.path.local == path.local) return arrival_.get({known.local, path.remote});
    const bool fits_any =
        known.path.local.ip.is_unspecified() && known.path.local.port == path.local.port;
    if (fits_any) wildcard = &known;
  }
  return wildcard == nullptr ? arrival_.get(path) : arrival_.get({wildcard->local, path.remote});
}

PathId ToldPaths::meaning(const PathId& name) const {
  for (const Known& known : known_) {
    if (known.local == name.local && known.path.remote == name.remote) return known.path;
  }
  return name;
}

PathId ToldPaths::meant_by(const ngtcp2_path& told) const {
  return meaning(to_path_id(told));
}

bool ToldPaths::is_name_of_another(const SocketAddress& local, const PathId& path) const {
  return std::ranges::any_of(known_, [&](const Known& known) {
    return known.path != path && known.path.remote == path.remote && known.local == local;
  });
}

PathId ToldPaths::name_of(const ngtcp2_path& present, const PathId& path) const {
  const PathId present_name = to_path_id(present);
  if (meaning(present_name) == path) return present_name;  // it is there: for ngtcp2 to refuse
  PathId name = path;
  while (name.local == present_name.local || is_name_of_another(name.local, path)) {
    CULVERT_PROBE("quic.a client goes to another address of its server from the same of its own");
    ++name.local.port;
  }
  return name;
}

void ToldPaths::remember(const ngtcp2_path& present, const PathId& path, const PathId& name) {
  const PathId present_path = meant_by(present);
  std::erase_if(known_, [&](const Known& known) { return known.path == path; });
  known_.push_back({.path = path, .local = name.local});
  if (known_.size() <= kMostKnown) return;
  known_.erase(
      std::ranges::find_if(known_, [&](const Known& known) { return known.path != present_path; }));
}

}  // namespace culvert::quic
