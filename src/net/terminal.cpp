#include "net/terminal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace culvert::net {
namespace {

volatile std::sig_atomic_t was_interrupted = 0;  // handlers can reach nothing else

void note_interrupt(int) {
  was_interrupted = 1;
}

constexpr std::array kInterrupts{SIGINT, SIGTERM, SIGHUP};

}  // namespace

std::optional<TerminalSize> terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return std::nullopt;
  }
  return TerminalSize{.rows = size.ws_row, .columns = size.ws_col};
}

struct KeyInput::Saved {
  termios attributes{};
  std::array<struct sigaction, kInterrupts.size()> actions{};
};

KeyInput::KeyInput(int fd) : fd_(fd) {
  auto saved = std::make_unique<Saved>();
  if (::tcgetattr(fd, &saved->attributes) != 0) return;
  // In the background, changing the terminal would stop us.
  if (::tcgetpgrp(fd) != ::getpgrp()) return;
  was_interrupted = 0;
  struct sigaction action{};
  action.sa_handler = note_interrupt;  // without SA_RESTART: poll() ends
  for (std::size_t i = 0; i < kInterrupts.size(); ++i) {
    ::sigaction(kInterrupts[i], &action, &saved->actions[i]);
  }
  termios raw = saved->attributes;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  ::tcsetattr(fd, TCSANOW, &raw);
  saved_ = std::move(saved);
}

KeyInput::~KeyInput() {
  if (!saved_) return;
  ::tcsetattr(fd_, TCSANOW, &saved_->attributes);
  for (std::size_t i = 0; i < kInterrupts.size(); ++i) {
    ::sigaction(kInterrupts[i], &saved_->actions[i], nullptr);
  }
}

std::optional<std::string> KeyInput::wait(Duration duration) const {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  pollfd poll_fd{.fd = saved_ ? fd_ : -1, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&poll_fd, 1, static_cast<int>(ms));
  if (was_interrupted != 0) return std::nullopt;
  if (ready < 0) return errno == EINTR ? std::optional<std::string>("") : std::nullopt;  // resized
  if (ready == 0) return std::string();
  std::array<char, 64> keys{};
  const ssize_t count = ::read(fd_, keys.data(), keys.size());
  if (count <= 0) return std::nullopt;
  return std::string(keys.data(), static_cast<std::size_t>(count));
}

}  // namespace culvert::net
