#include "net/files.h"

#include "base/secret.h"
#include "net/socket_address.h"
#include "net/system_rng.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace culvert::net {
namespace {

constexpr mode_t kPrivate = 0600;

Error file_error(int error, std::string_view what, const std::string& path) {
  return {ErrorKind::configuration, std::string(what) + ": " + std::strerror(error), path};
}

Status write_all(int fd, std::string_view contents, const std::string& path) {
  while (!contents.empty()) {
    const ssize_t count = ::write(fd, contents.data(), contents.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::unexpected(file_error(errno, "cannot write", path));
    contents.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

std::unexpected<Error> too_large(std::size_t max_bytes, const std::string& name) {
  return fail(ErrorKind::configuration, fmt::format("is larger than {} bytes", max_bytes), name);
}

// Blanks in its place, so that no part of a secret moves.
Status take_byte_order_mark(std::string& text, const std::string& name) {
  constexpr std::string_view kUtf8 = "\xef\xbb\xbf";
  if (text.starts_with(kUtf8)) text.replace(0, kUtf8.size(), kUtf8.size(), ' ');
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    return fail(ErrorKind::configuration, "is UTF-16 text: save it as UTF-8", name);
  }
  return {};
}

}  // namespace

Result<std::string> read_until(int fd, std::size_t max_bytes, const std::string& name,
                               Duration timeout,
                               const std::function<bool(std::string_view)>& is_complete) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string contents;
  std::array<char, 4096> block;
  const WipedAtEnd wiped(block);  // it may have been a key
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready =
        ::poll(&poll_fd, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return std::unexpected(file_error(errno, "cannot read", name));
    if (ready == 0) {
      return fail(ErrorKind::configuration,
                  fmt::format("nothing complete came within {} s: whoever writes there must close "
                              "it",
                              std::chrono::duration_cast<std::chrono::seconds>(timeout).count()),
                  name);
    }
    const ssize_t count = ::read(fd, block.data(), block.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return std::unexpected(file_error(errno, "cannot read", name));
    contents.append(block.data(), static_cast<std::size_t>(count));
    if (contents.size() > max_bytes) return too_large(max_bytes, name);
    if (count > 0 && !is_complete(contents)) continue;
    if (Status text = take_byte_order_mark(contents, name); !text) return forward(text);
    return contents;
  }
}

namespace {

enum class Kinds : std::uint8_t { regular, readable };

// Without waiting for a pipe's writer, and never as the terminal that controls us.
Result<Fd> open_for_reading(const std::string& path, std::size_t max_bytes, Kinds kinds) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd.is_open()) return std::unexpected(file_error(errno, "cannot open", path));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) {
    return std::unexpected(file_error(errno, "cannot open", path));
  }
  if (S_ISREG(info.st_mode)) {
    if (static_cast<std::size_t>(info.st_size) > max_bytes) return too_large(max_bytes, path);
    return fd;
  }
  const bool is_stream = S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode);
  if (is_stream && kinds == Kinds::readable) return fd;
  return fail(ErrorKind::configuration,
              is_stream ? "is a pipe or a device, which is read at the start only: name a regular "
                          "file"
                        : "is not a regular file",
              path);
}

bool never(std::string_view) {
  return false;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  CULVERT_TRY(const Fd fd, open_for_reading(path, max_bytes, Kinds::regular));
  return read_until(fd.get(), max_bytes, path, Duration::zero(), never);
}

Result<std::string> read_input(const std::string& path, std::size_t max_bytes, Duration timeout) {
  CULVERT_TRY(const Fd fd, open_for_reading(path, max_bytes, Kinds::readable));
  return read_until(fd.get(), max_bytes, path, timeout, never);
}

void open_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      // The lowest free number, which this is. Nothing can be told when it fails.
      [[maybe_unused]] const int opened = ::open("/dev/null", O_RDWR);
    }
  }
}

Status write_secret_file(const std::string& path, std::string_view contents, Overwrite overwrite) {
  SystemRng rng;
  const std::string temporary = path + ".tmp" + std::to_string(rng.next());
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kPrivate));
  if (!fd.is_open()) return std::unexpected(file_error(errno, "cannot create", path));
  Status status = write_all(fd.get(), contents, path);
  if (status && ::fsync(fd.get()) != 0) {
    status = std::unexpected(file_error(errno, "cannot write", path));
  }
  fd.close();
  if (status && overwrite == Overwrite::yes && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = std::unexpected(file_error(errno, "cannot replace", path));
  }
  if (status && overwrite == Overwrite::no && ::link(temporary.c_str(), path.c_str()) != 0) {
    status = errno == EEXIST
                 ? fail(ErrorKind::configuration, "exists already; --force replaces it", path)
                 : std::unexpected(file_error(errno, "cannot create", path));
  }
  ::unlink(temporary.c_str());
  return status;
}

bool is_readable_by_others(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

Status create_directories(const std::string& path) {
  std::filesystem::path done;
  for (const auto& part : std::filesystem::path(path)) {
    done /= part;
    if (::mkdir(done.c_str(), 0700) == 0 || errno == EEXIST) continue;
    return std::unexpected(file_error(errno, "cannot create directory", done.string()));
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
  return fail(ErrorKind::configuration, "is not a directory", path);
}

namespace {

// The directory itself, not what a link leads to.
Result<struct stat> own_directory(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) {
    return fail(ErrorKind::configuration,
                "is not a directory of this user: remove it, or name another place", path);
  }
  return info;
}

}  // namespace

Status make_private_directory(const std::string& path) {
  if (Status made = create_directories(path); !made) return made;
  CULVERT_TRY(const struct stat info, own_directory(path));
  if ((info.st_mode & 0777) != 0700 && ::chmod(path.c_str(), 0700) != 0) {
    return std::unexpected(file_error(errno, "cannot make private", path));
  }
  return {};
}

Status check_private_directory(const std::string& path) {
  CULVERT_TRY(const struct stat info, own_directory(path));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  return fail(ErrorKind::configuration,
              "other users can write there: look at what lies in it, then chmod 700 it", path);
}

void remove_stale_socket(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return;
  if (S_ISSOCK(info.st_mode) && info.st_uid == ::geteuid()) ::unlink(path.c_str());
}

Result<AppendFile> AppendFile::open(const std::string& path) {
  const int fd = ::open(
      path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, kPrivate);
  if (fd < 0 && errno == ENXIO) {
    return fail(ErrorKind::configuration, "is a pipe without a reader: start that first", path);
  }
  if (fd < 0) return std::unexpected(file_error(errno, "cannot open", path));
  return AppendFile(fd);
}

AppendFile::AppendFile(AppendFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

void AppendFile::write(std::string_view chunk) const {
  [[maybe_unused]] const ssize_t written = ::write(fd_, chunk.data(), chunk.size());
}

Result<std::size_t> AppendFile::try_write(std::string_view chunk) const {
  for (;;) {
    const ssize_t written = ::write(fd_, chunk.data(), chunk.size());
    if (written >= 0) return static_cast<std::size_t>(written);
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return std::size_t{0};
    return fail(ErrorKind::io, std::string("cannot write: ") + std::strerror(errno));
  }
}

bool AppendFile::wait_writable(Duration timeout) const {
  pollfd poll_fd{.fd = fd_, .events = POLLOUT, .revents = 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return ::poll(&poll_fd, 1, static_cast<int>(ms)) == 1;
}

}  // namespace culvert::net
