// Small text files: keys, tokens, configuration. Blocking; not for loops under load. A UTF-8
// byte-order mark, as some editors write it, is read as blanks; text in UTF-16 is an error.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

#include <cstddef>
#include <functional>
#include <string>

namespace culvert::net {

// The whole of a regular file; anything else (a pipe without a writer, a device) could keep us
// waiting for ever, and is an error. Larger than `max_bytes` is one, too: a wrong path (a disk
// image) must not fill memory. Errors are of kind configuration and name the path.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t max_bytes);
// As read_file, and of a pipe, a terminal or a character device as well (process substitution,
// /dev/stdin), up to its end. An error when that takes longer than `timeout`.
[[nodiscard]] Result<std::string> read_input(const std::string& path, std::size_t max_bytes,
                                             Duration timeout);
// As read_input, of an open descriptor ("-" or --config-stdin), whose other end may stay open:
// ends as well when `is_complete` says so of what has come. `name` is for errors.
[[nodiscard]] Result<std::string> read_until(
    int fd, std::size_t max_bytes, const std::string& name, Duration timeout,
    const std::function<bool(std::string_view)>& is_complete);

// Opens /dev/null for those of descriptors 0 to 2 that are closed: the next file or socket would
// else become standard output or error, and get what is printed. Before any thread starts.
void open_standard_descriptors();

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
// What it makes sure of, of a directory that is there: who trusts what lies in it must know that
// nobody else put it there.
[[nodiscard]] Status check_private_directory(const std::string& path);
// Removes a Unix socket of this user that nobody listens on any more; nothing else.
void remove_stale_socket(const std::string& path);

// An append-only file for logs of whole lines or chunks (qlog, key log, audit log). Mode 0600.
// Writes from several threads do not mix within one call (O_APPEND). A pipe is written without
// waiting for its reader, which must be there when it is opened.
class AppendFile {
 public:
  [[nodiscard]] static Result<AppendFile> open(const std::string& path);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();
  // What the disk refuses is dropped: logs must not stop traffic.
  void write(std::string_view chunk) const;
  // How much of it was taken; 0: a pipe has no room now.
  [[nodiscard]] Result<std::size_t> try_write(std::string_view chunk) const;
  // Waits for room. False: there was none in time.
  [[nodiscard]] bool wait_writable(Duration timeout) const;

 private:
  explicit AppendFile(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace culvert::net
