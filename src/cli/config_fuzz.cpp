// Configuration files of arbitrary bytes: an error or a tree of bounded depth.
#include "base/assert.h"
#include "cli/config_file.h"

#include <cstdint>

namespace {

using culvert::settings::Node;

std::size_t depth_of(const Node& node) {
  std::size_t depth = 0;
  for (const Node& item : node.items) depth = std::max(depth, depth_of(item));
  for (const auto& [name, value] : node.members) depth = std::max(depth, depth_of(value));
  return depth + 1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& parsed :
       {culvert::cli::parse_toml(text, "fuzz"), culvert::cli::parse_json(text, "fuzz")}) {
    if (parsed) {
      CULVERT_ASSERT(parsed->kind == Node::Kind::table && depth_of(*parsed) <= 300);
    } else {
      CULVERT_ASSERT(parsed.error().kind == culvert::ErrorKind::configuration);
    }
  }
  (void)culvert::cli::is_complete_object(text);
  return 0;
}
