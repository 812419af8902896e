#include "net/file_watch.h"

#include <climits>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

namespace culvert::net {
namespace {

// An editor writes, renames and removes within some milliseconds; a deployment changes
// several files.
constexpr Duration kFileSettleTime = std::chrono::milliseconds(200);

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM |
                                  IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string real_path(const std::string& path) {
  std::array<char, PATH_MAX> buffer{};
  return ::realpath(path.c_str(), buffer.data()) == nullptr ? path : std::string(buffer.data());
}

}  // namespace

FileWatch::FileWatch(Loop& loop, std::function<void(Instant)> on_changed)
    : loop_(loop),
      on_changed_(std::move(on_changed)),
      fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!fd_.is_open()) return;
  if (auto watch = loop_.watch(fd_.get(), EPOLLIN, *this)) watch_ = *watch;
}

FileWatch::~FileWatch() {
  if (watch_.is_valid()) loop_.unwatch(watch_, fd_.get());
}

Status FileWatch::set_paths(std::vector<std::string> paths) {
  std::ranges::sort(paths);
  const auto repeated = std::ranges::unique(paths);
  paths.erase(repeated.begin(), repeated.end());
  if (!watch_.is_valid()) {
    return fail(ErrorKind::io, "files cannot be watched: the limit of inotify instances is reached",
                "fs.inotify.max_user_instances");
  }
  if (paths != paths_) {
    paths_ = std::move(paths);
    identities_.clear();
    for (const std::string& path : paths_) identities_.push_back(identity_of(path));
  }
  return watch_directories();
}

// Directories that are watched already stay so; those that nobody asks for any more are left.
Status FileWatch::watch_directories() {
  const std::vector<int> before = std::exchange(directories_, {});
  names_.clear();
  Status first;
  for (const std::string& path : paths_) {
    for (const std::string& link : {path, real_path(path)}) {
      names_.emplace_back(name_of(link));
      Status watched = watch_directory(directory_of(link));
      if (!watched && first) first = std::move(watched);
    }
  }
  for (const int directory : before) {
    if (std::ranges::find(directories_, directory) != directories_.end()) continue;
    ::inotify_rm_watch(fd_.get(), directory);  // fails if the directory is gone: as well
  }
  return first;
}

Status FileWatch::watch_directory(const std::string& path) {
  const int directory = ::inotify_add_watch(fd_.get(), path.c_str(), kEvents);
  if (directory < 0) {
    return fail(ErrorKind::io,
                "cannot be watched: " + std::error_code(errno, std::system_category()).message(),
                path);
  }
  if (std::ranges::find(directories_, directory) == directories_.end()) {
    directories_.push_back(directory);
  }
  return {};
}

FileWatch::Identity FileWatch::identity_of(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {.device = info.st_dev, .inode = info.st_ino};
}

void FileWatch::on_fd_events(std::uint32_t) {
  loop_.make_ready(*this);
}

void FileWatch::run(Instant) {
  alignas(inotify_event) std::array<char, 8192> buffer;
  bool has_events = false;
  for (;;) {
    const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    has_events = true;
    for (ssize_t at = 0; at + static_cast<ssize_t>(sizeof(inotify_event)) <= got;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = buffer.data() + at + sizeof event;
      const bool is_write = (event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0;
      if (is_write && event.len > 0 && std::ranges::find(names_, name) != names_.end()) {
        was_written_ = true;
      }
      at += static_cast<ssize_t>(sizeof event) + event.len;
    }
  }
  if (!has_events || settling_) return;
  settling_ = loop_.after(kFileSettleTime, [this](Instant now) {
    settling_.reset();
    settle(now);
  });
}

void FileWatch::settle(Instant now) {
  // A directory may have been replaced, a link may lead elsewhere. One that cannot be watched
  // any more is tried again with the next event of the others.
  static_cast<void>(watch_directories());
  bool has_changed = std::exchange(was_written_, false);
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    const Identity now_there = identity_of(paths_[i]);
    has_changed = has_changed || now_there != identities_[i];
    identities_[i] = now_there;  // before anybody reads: what comes meanwhile is seen
  }
  if (has_changed) on_changed_(now);
}

}  // namespace culvert::net
