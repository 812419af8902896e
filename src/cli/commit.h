// Defined in a source that the build writes (cmake/commit.cmake), so that nothing else is
// compiled again when the commit changes.
#pragma once

namespace culvert::cli {

// Twelve digits, with "-dirty" when the tree held more than the commit; "unknown" without git.
extern const char* const kCommit;

}  // namespace culvert::cli
