#include "app/debug_sinks.h"

#include "net/files.h"

#include <algorithm>
#include <list>
#include <memory>
#include <utility>

namespace culvert::app {
namespace {

// One file a connection, named by its id. Connections do not say when they end, so only
// the most recently written files stay open; others are opened again when needed.
class QlogDirectory {
 public:
  explicit QlogDirectory(std::string directory) : directory_(std::move(directory)) {}

  void write(std::string_view id, std::string_view chunk) {
    const auto known = std::ranges::find(open_, id, &Entry::id);
    if (known != open_.end()) {
      open_.splice(open_.begin(), open_, known);
    } else {
      auto file = net::AppendFile::open(directory_ + "/" + std::string(id) + ".sqlog");
      if (!file) return;
      open_.push_front({std::string(id), std::move(*file)});
      if (open_.size() > kMaxOpen) open_.pop_back();
    }
    open_.front().file.write(chunk);
  }

 private:
  struct Entry {
    std::string id;
    net::AppendFile file;
  };
  static constexpr std::size_t kMaxOpen = 64;  // files, each with a buffer: the latest connections

  std::string directory_;
  std::list<Entry> open_;  // most recently written first
};

}  // namespace

Result<DebugSinks> DebugSinks::open(const DebugOptions& options, Logger& log) {
  DebugSinks sinks;
  if (!options.qlog_directory.empty()) {
    CULVERT_CHECK(net::create_directories(options.qlog_directory));
    // Shared by the copies of the function, which all belong to one worker.
    sinks.qlog = [files = std::make_shared<QlogDirectory>(options.qlog_directory)](
                     std::string_view id, std::string_view chunk) { files->write(id, chunk); };
  }
  if (!options.key_log_file.empty()) {
    CULVERT_TRY(auto file, net::AppendFile::open(options.key_log_file));
    log.warn("app", "writing TLS secrets: whoever reads this file reads the traffic file={}",
             options.key_log_file);
    sinks.key_log = [shared = std::make_shared<net::AppendFile>(std::move(file))](
                        std::string_view line) { shared->write(line); };
  }
  return sinks;
}

}  // namespace culvert::app
