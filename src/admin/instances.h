// The other end: finds running instances by their sockets and asks them. Blocking; for the
// command line.
#pragma once

#include "base/result.h"
#include "http/message.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::admin {

// Where sockets are: $XDG_RUNTIME_DIR/culvert; else /run/culvert for root; else
// /tmp/culvert-UID, which nobody else may own.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
[[nodiscard]] std::string socket_directory(const Environment& environment, unsigned user_id);

struct Instance {
  std::string name;  // "server-1234": role and process id
  std::string socket;
};
// Those of this user that answer; none where there is no directory. Sockets of processes that
// are gone are removed. An error when the directory is not this user's alone: whoever can write
// there could have us take his process for ours.
[[nodiscard]] Result<std::vector<Instance>> find_instances(const std::string& directory);
// What killed processes left in the directory, which is this user's alone: sockets on which nobody
// listens, named after a process id that nobody has. Asks nothing of those that live.
void remove_stale_instances(const std::string& directory);
// By the whole name, or by process id alone.
[[nodiscard]] bool is_called(const Instance& instance, std::string_view name_or_pid);

// One request, of a process of this user or of root (root asks anybody's). An error of kind
// unreachable: no instance listens there. Answers of 400 and above are errors with the words of
// the answer.
[[nodiscard]] Result<std::string> ask(const std::string& socket, std::string_view method,
                                      std::string_view path, std::string_view body = {});
// Splits what came back over the wire.
[[nodiscard]] Result<http::Reply> parse_reply(std::string_view wire);

}  // namespace culvert::admin
