# Writes OUTPUT, the source that defines cli/commit.h's constant, for the commit of SOURCE_DIR.
# Only a change touches the file.
execute_process(
  COMMAND git -C "${SOURCE_DIR}" describe --always --abbrev=12 --dirty --exclude=*
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR NOT commit MATCHES "^[0-9a-f]+(-dirty)?$")
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "cli/commit.h"

namespace culvert::cli {

const char* const kCommit = "@commit@";

}  // namespace culvert::cli
]] @ONLY)
