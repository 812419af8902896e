#include "cli/commands.h"
#include "cli/output.h"
#include "settings/help.h"

namespace culvert::cli {

Status cmd_completion(const settings::Arguments& arguments) {
  if (arguments.operands.size() != 1) {
    return fail(ErrorKind::configuration, "for which shell? bash, zsh or fish");
  }
  const auto shell = settings::shell_of(arguments.operands[0]);
  if (!shell) {
    return fail(ErrorKind::configuration, "no such shell: bash, zsh and fish are known",
                arguments.operands[0]);
  }
  print_line(settings::completion(*shell));
  return {};
}

}  // namespace culvert::cli
