#include "cli/config_file.h"

namespace culvert::cli {

bool is_complete_object(std::string_view text) {
  std::size_t depth = 0;
  bool is_in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_in_string) {
      if (c == '\\') ++i;
      if (c == '"') is_in_string = false;
    } else if (c == '"') {
      is_in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}') {
      if (depth <= 1) return true;
      --depth;
    }
  }
  return false;
}

}  // namespace culvert::cli
