// Blocking system calls that outlast an interruption.
//
// A signal handler ends a blocking call with EINTR; so does a process that is stopped and goes on,
// or is frozen and thawed, even without a handler, where a socket has a timeout (SO_RCVTIMEO,
// SO_SNDTIMEO; signal(7)).
#pragma once

#include <cerrno>

namespace culvert::net {

// The result of `call`, a system call that returns a negative number and sets errno when it fails,
// called again as long as it is interrupted. Not for connect() of TCP, which goes on by itself.
template <typename Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace culvert::net
