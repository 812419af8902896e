#include "settings/lists.h"

#include "base/limits.h"
#include "base/printable.h"
#include "settings/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace culvert::settings {
namespace {

Result<TunnelEntry> read_tunnel(const FileValues& values, const Node& node, std::string_view list) {
  const std::string origin = values.where(node, list);
  if (node.kind != Node::Kind::table) {
    return fail(ErrorKind::configuration, "each tunnel is a table with source and target", origin);
  }
  TunnelEntry entry;
  for (const auto& [name, member] : node.members) {
    const std::string key = fmt::format("{}.{}", list, name);
    const Value value{member.text, values.where(member, key)};
    const auto known = std::ranges::find(tunnel_keys(), name, &TunnelKey::name);
    if (known == tunnel_keys().end()) {
      std::vector<std::string_view> names;
      for (const TunnelKey& one : tunnel_keys()) names.push_back(one.name);
      return fail(ErrorKind::configuration,
                  fmt::format("no such setting{}", did_you_mean(name, names)), value.origin);
    }
    if (known->like) {
      CULVERT_TRY(entry.own[*known->like], values.read_scalar(setting(*known->like), key, member));
      continue;
    }
    const bool is_flag = known->type == Type::flag;
    if (member.kind != (is_flag ? Node::Kind::flag : Node::Kind::text)) {
      return fail(ErrorKind::configuration,
                  fmt::format("needs {}, not {}", is_flag ? "true or false" : "text in quotes",
                              kind_text(member)),
                  value.origin);
    }
    if (name == "source") entry.source = value;
    if (name == "target") entry.target = {values.located_target(value.text), value.origin};
    if (name == "name") entry.name = value.text;
    if (is_flag) entry.is_enabled = value.text == "true";
  }
  if (entry.source.text.empty() || entry.target.text.empty()) {
    return fail(ErrorKind::configuration, "a tunnel needs source and target", origin);
  }
  return entry;
}

Status read_server_name(const FileValues& values, const Node& node, const std::string& key,
                        std::string& name) {
  if (node.kind != Node::Kind::text || node.text.size() > limits::kMaxTunnelNameBytes ||
      !is_printable(node.text)) {
    return fail(
        ErrorKind::configuration,
        fmt::format("needs text of at most {} bytes in quotes", limits::kMaxTunnelNameBytes),
        values.where(node, key));
  }
  name = node.text;
  return {};
}

const Setting* by_server_key(std::span<const Setting* const> known, std::string_view key) {
  const auto it = std::ranges::find_if(known, [&](const Setting* setting) {
    return setting->is_per_server && (server_key(*setting) == key ||
                                      (!setting->key_alias.empty() && setting->key_alias == key));
  });
  return it == known.end() ? nullptr : *it;
}

std::vector<std::string_view> server_keys(std::span<const Setting* const> known) {
  std::vector<std::string_view> keys{"name", "tunnels"};
  for (const Setting* setting : known) {
    if (setting->is_per_server) keys.push_back(server_key(*setting));
  }
  return keys;
}

Result<FileServer> read_server(const FileValues& values, std::span<const Setting* const> known,
                               const Node& node) {
  FileServer server{.origin = values.where(node, kServersKey)};
  if (node.kind != Node::Kind::table) {
    return fail(ErrorKind::configuration, "each server is a table with a name", server.origin);
  }
  for (const auto& [name, member] : node.members) {
    const std::string key = fmt::format("{}.{}", kServersKey, name);
    if (name == "name") {
      CULVERT_CHECK(read_server_name(values, member, key, server.name));
    } else if (name == "tunnels") {
      CULVERT_TRY(server.tunnels, read_tunnels(values, member, "servers.tunnels"));
    } else if (const Setting* setting = by_server_key(known, name)) {
      CULVERT_CHECK(values.check_secret(*setting, key, member));
      CULVERT_TRY(server.values[setting->id], values.read(*setting, key, member));
    } else {
      return fail(ErrorKind::configuration,
                  fmt::format("no such setting{}", did_you_mean(name, server_keys(known))),
                  values.where(member, key));
    }
  }
  if (server.name.empty()) {
    return fail(ErrorKind::configuration, "a server needs a name", server.origin);
  }
  return server;
}

}  // namespace

Result<std::vector<TunnelEntry>> read_tunnels(const FileValues& values, const Node& node,
                                              std::string_view list) {
  if (node.kind != Node::Kind::list) {
    return fail(ErrorKind::configuration, fmt::format("needs a list: write [[{}]]", list),
                values.where(node, list));
  }
  std::vector<TunnelEntry> tunnels;
  std::set<std::string> names;
  for (const Node& item : node.items) {
    CULVERT_TRY(TunnelEntry entry, read_tunnel(values, item, list));
    if (!entry.name.empty() && !names.insert(entry.name).second) {
      return fail(ErrorKind::configuration, fmt::format("two tunnels are called '{}'", entry.name),
                  values.where(item, list));
    }
    tunnels.push_back(std::move(entry));
  }
  return tunnels;
}

Result<std::vector<FileServer>> read_servers(const FileValues& values,
                                             std::span<const Setting* const> known,
                                             const Node& node) {
  std::vector<FileServer> servers;
  if (node.kind != Node::Kind::list) {
    return fail(ErrorKind::configuration, "needs a list: write [[servers]]",
                values.where(node, kServersKey));
  }
  for (const Node& item : node.items) {
    CULVERT_TRY(FileServer server, read_server(values, known, item));
    if (std::ranges::find(servers, server.name, &FileServer::name) != servers.end()) {
      return fail(ErrorKind::configuration, fmt::format("two servers are called '{}'", server.name),
                  server.origin);
    }
    servers.push_back(std::move(server));
  }
  if (servers.size() > limits::kMaxServers) {
    return fail(ErrorKind::configuration,
                fmt::format("{} servers are more than a client may have ({})", servers.size(),
                            limits::kMaxServers),
                values.where(node, kServersKey));
  }
  return servers;
}

}  // namespace culvert::settings
