// Values of settings in a configuration file: of the right kind and range, no secret, and with the
// place where each stands. Private to settings/.
#pragma once

#include "base/result.h"
#include "settings/node.h"
#include "settings/resolver.h"
#include "settings/table.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::settings {

// "a number", "a table", as errors call it.
[[nodiscard]] std::string_view kind_text(const Node& node);

class FileValues {
 public:
  // `inputs` outlive it.
  explicit FileValues(const Inputs& inputs) : inputs_(inputs) {}

  // "server.toml:4: iroh.listen"
  [[nodiscard]] std::string where(const Node& node, std::string_view key) const;
  [[nodiscard]] Status check_secret(const Setting& setting, const std::string& key,
                                    const Node& node) const;
  [[nodiscard]] Result<std::vector<Value>> read(const Setting& setting, const std::string& key,
                                                const Node& node) const;
  [[nodiscard]] Result<Value> read_scalar(const Setting& setting, const std::string& key,
                                          const Node& node) const;
  // "unix:local.sock" of a target, as others may use it.
  [[nodiscard]] std::string located_target(const std::string& target) const;

 private:
  // A file name of the file, likewise. "-" is standard input, "~/" at home, "credential:NAME" a
  // service's own.
  [[nodiscard]] std::string located(const std::string& name) const;

  const Inputs& inputs_;
};

}  // namespace culvert::settings
