// What the command line needs of the operating system, so that cli/ includes app/ only:
// files of keys and tokens, log lines on standard error, randomness for new keys.
#pragma once

#include "net/core_dumps.h"   // IWYU pragma: export
#include "net/descriptors.h"  // IWYU pragma: export
#include "net/files.h"        // IWYU pragma: export
#include "net/libraries.h"    // IWYU pragma: export
#include "net/stderr_sink.h"  // IWYU pragma: export
#include "net/system_rng.h"   // IWYU pragma: export
#include "net/terminal.h"     // IWYU pragma: export
#include "net/unix_client.h"  // IWYU pragma: export
