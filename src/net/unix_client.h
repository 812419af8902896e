// A blocking connection to a Unix socket, for command-line tools that ask one question.
#pragma once

#include "base/result.h"
#include "base/time.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::net {

class UnixClient {
 public:
  // An error of kind unreachable: nobody listens there (any more). Every read and write
  // then takes at most `patience`.
  [[nodiscard]] static Result<UnixClient> connect(const std::string& path, Duration patience);
  UnixClient(UnixClient&& other) noexcept;
  UnixClient& operator=(UnixClient&&) = delete;
  ~UnixClient();

  [[nodiscard]] Status write(std::string_view bytes) const;
  // Up to the peer's end; more than `max_bytes` is an error.
  [[nodiscard]] Result<std::string> read_all(std::size_t max_bytes) const;
  // Whose process listens there.
  [[nodiscard]] unsigned peer_user_id() const { return peer_user_id_; }

 private:
  UnixClient(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
  unsigned peer_user_id_ = 0;
};

// Names in a directory that end with `suffix`, sorted; none when there is no directory.
[[nodiscard]] std::vector<std::string> files_in(const std::string& directory,
                                                std::string_view suffix);
[[nodiscard]] int process_id();
[[nodiscard]] bool is_running(int process_id);  // of any user
[[nodiscard]] unsigned user_id();
[[nodiscard]] std::string host_name();
[[nodiscard]] bool is_terminal(int fd);
// Waits, for a display that is drawn again and again. False: interrupted by a signal.
bool pause_for(Duration duration);

}  // namespace culvert::net
