// Lists of tables in a client's configuration file: [[iroh.tunnels]] and [[servers]]. Private to
// settings/.
#pragma once

#include "base/result.h"
#include "settings/file_values.h"
#include "settings/node.h"
#include "settings/resolver.h"
#include "settings/table.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::settings {

// One [[servers]] entry, before it is joined with what stands elsewhere.
struct FileServer {
  std::string name{};
  std::string origin{};
  std::map<Id, std::vector<Value>> values{};
  std::vector<TunnelEntry> tunnels{};
};

// `list` is what errors call it.
[[nodiscard]] Result<std::vector<TunnelEntry>> read_tunnels(const FileValues& values,
                                                            const Node& node,
                                                            std::string_view list);
// `known` are the settings of the command.
[[nodiscard]] Result<std::vector<FileServer>> read_servers(const FileValues& values,
                                                           std::span<const Setting* const> known,
                                                           const Node& node);

}  // namespace culvert::settings
