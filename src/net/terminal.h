// The terminal that a command draws on, and what is typed there. Blocking; for the command line.
#pragma once

#include "base/time.h"

#include <memory>
#include <optional>
#include <string>

namespace culvert::net {

struct TerminalSize {
  unsigned rows = 0;
  unsigned columns = 0;
};
// Empty: it is no terminal, or does not say.
[[nodiscard]] std::optional<TerminalSize> terminal_size(int fd);

// Keys as they are pressed, without echo; the terminal is as it was when this ends, also by
// SIGINT, SIGTERM or SIGHUP, which only end wait(). One at a time in a process.
class KeyInput {
 public:
  // Nothing is read from what is no terminal.
  explicit KeyInput(int fd);
  ~KeyInput();
  KeyInput(const KeyInput&) = delete;
  KeyInput& operator=(const KeyInput&) = delete;

  // What was pressed, or nothing within `duration`. Empty optional: a signal came, or the
  // terminal is gone.
  [[nodiscard]] std::optional<std::string> wait(Duration duration) const;

 private:
  struct Saved;
  int fd_;
  std::unique_ptr<Saved> saved_;  // null: no terminal
};

}  // namespace culvert::net
