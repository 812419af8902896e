// Small files: keys, tokens, configuration. Blocking; not for loops under load.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

#include <cstddef>
#include <functional>
#include <string>

namespace culvert::net {

// The whole file. Larger than `max_bytes` is an error: a wrong path (a device, a disk
// image) must not fill memory. Errors are of kind configuration and name the path.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t max_bytes);
// As read_file, from an open descriptor up to its end ("-" or --config-stdin). `name` is
// for errors.
[[nodiscard]] Result<std::string> read_descriptor(int fd, std::size_t max_bytes,
                                                  const std::string& name);

// As read_descriptor, but of a peer that may keep its end open (a pipe): ends when
// `is_complete` says so of what has come. An error when that takes longer than `timeout`.
[[nodiscard]] Result<std::string> read_until(
    int fd, std::size_t max_bytes, const std::string& name, Duration timeout,
    const std::function<bool(std::string_view)>& is_complete);

enum class Overwrite : bool { no, yes };
// Mode 0600, complete or not at all: a temporary file beside it is synced, then linked
// (Overwrite::no: fails if `path` exists) or renamed into place.
[[nodiscard]] Status write_secret_file(const std::string& path, std::string_view contents,
                                       Overwrite overwrite);

// Whether others than the owner may read it; for a warning about key files.
[[nodiscard]] bool is_readable_by_others(const std::string& path);

// mkdir -p with mode 0700 for what is missing.
[[nodiscard]] Status create_directories(const std::string& path);

// As create_directories, for sockets that only this user may see: the last directory must be
// this user's own, not a link, and gets mode 0700 (/tmp is anybody's to prepare).
[[nodiscard]] Status make_private_directory(const std::string& path);

// An append-only file for logs of whole lines or chunks (qlog, key log). Mode 0600.
// Writes from several threads do not mix within one call (O_APPEND).
class AppendFile {
 public:
  [[nodiscard]] static Result<AppendFile> open(const std::string& path);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();
  // What the disk refuses is dropped: logs must not stop traffic.
  void write(std::string_view chunk) const;

 private:
  explicit AppendFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace culvert::net
