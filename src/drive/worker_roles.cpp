#include "drive/worker_roles.h"

#include "drive/worker.h"

#include <algorithm>
#include <utility>

namespace culvert::drive {

Status WorkerRoles::add(WorkerHandler& role, std::vector<std::string> alpns) {
  for (const std::string& alpn : alpns) {
    if (speaker_of(alpn) == nullptr) continue;
    return fail(ErrorKind::configuration, "another role of this worker speaks it already", alpn);
  }
  roles_.push_back({.handler = &role, .alpns = std::move(alpns)});
  return {};
}

void WorkerRoles::remove(const WorkerHandler& role) {
  std::erase_if(roles_, [&](const Role& other) { return other.handler == &role; });
}

std::vector<std::string> WorkerRoles::alpns() const {
  std::vector<std::string> all;
  for (const Role& role : roles_) all.insert(all.end(), role.alpns.begin(), role.alpns.end());
  return all;
}

WorkerHandler* WorkerRoles::speaker_of(std::string_view alpn) const {
  for (const Role& role : roles_) {
    if (std::ranges::find(role.alpns, alpn) != role.alpns.end()) return role.handler;
  }
  return nullptr;
}

void WorkerRoles::on_network_changed(Instant now) const {
  for (const Role& role : roles_) role.handler->on_network_changed(now);
}

void WorkerRoles::on_refused(Instant now, const UdpRefusal& refusal) const {
  for (const Role& role : roles_) role.handler->on_refused(now, refusal);
}

}  // namespace culvert::drive
