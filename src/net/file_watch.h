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
  // Which file a path leads to. What is written into it shows in events alone, when the writer
  // has closed it: half a file is nothing to read.
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  [[nodiscard]] static Identity identity_of(const std::string& path);

  void on_fd_events(std::uint32_t events) override;
  void run(Instant now) override;
  void settle(Instant now);
  [[nodiscard]] Status watch_directories();
  [[nodiscard]] Status watch_directory(const std::string& path);

  Loop& loop_;
  std::function<void(Instant)> on_changed_;
  Fd fd_;
  WatchId watch_;
  std::vector<std::string> paths_;
  std::vector<Identity> identities_;  // of paths_
  std::vector<std::string> names_;    // of paths_ and what they lead to, without directories
  std::vector<int> directories_;
  bool was_written_ = false;  // one of that name, since the last call
  std::unique_ptr<TimerPort> settling_;
};

}  // namespace culvert::net
