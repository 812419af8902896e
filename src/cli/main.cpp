#include "cli/run.h"
#include "net/core_dumps.h"
#include "net/files.h"

#include <csignal>
#include <string_view>
#include <vector>

int main(int argc, char** argv) {
  // A reader of our output that went away is an error of write(), not the end of us.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // so is a file that may grow no more
  culvert::net::open_standard_descriptors();
  culvert::net::forbid_core_dumps();
  const std::vector<std::string_view> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  return static_cast<int>(culvert::cli::run(args));
}
