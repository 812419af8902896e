// Keeps what this process holds in memory (keys, tokens, what users send) out of files that
// others collect.
#pragma once

namespace culvert::net {

// From now on the kernel writes no core dump of this process, also not through a program
// (systemd-coredump), and only root may read its memory: no ptrace by the same user.
void forbid_core_dumps();

}  // namespace culvert::net
