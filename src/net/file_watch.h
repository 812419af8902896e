// Tells when one of some files is written, replaced or linked to another one (inotify). Their
// directories are watched, and those that symbolic links lead to, so that editors and
// deployments that put a new file into the old one's place are seen as well.
// Belongs to one loop. Private to net/.
#pragma once

#include "net/loop.h"
#include "net/socket_address.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace culvert::net {

class FileWatch final : private FdWatcher, private Runnable {
 public:
  FileWatch(Loop& loop, std::function<void(Instant)> on_changed);
  ~FileWatch();

  // From now on these. An error names the one that cannot be watched: the others are. The
  // files themselves need not be there.
  [[nodiscard]] Status set_paths(std::vector<std::string> paths);

 private:
  // What a path leads to, as far as it takes to see that it is another file now.
  struct Print {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t modified_ns = 0;
    friend bool operator==(const Print&, const Print&) = default;
  };
  [[nodiscard]] static Print print_of(const std::string& path);

  void on_fd_events(std::uint32_t events) override;
  void run(Instant now) override;
  void settle(Instant now);
  [[nodiscard]] Status watch_directories();
  [[nodiscard]] Status watch_directory(const std::string& path);
  [[nodiscard]] bool is_ours(std::string_view name) const;

  Loop& loop_;
  std::function<void(Instant)> on_changed_;
  Fd fd_;
  WatchId watch_;
  std::vector<std::string> paths_;
  std::vector<Print> prints_;  // of paths_
  std::vector<int> directories_;
  bool was_named_ = false;  // an event since the last call was about a file of that name
  std::unique_ptr<Timer> settling_;
};

}  // namespace culvert::net
