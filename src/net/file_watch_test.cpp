#include "net/file_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace culvert::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FileWatchTest : public ::testing::Test {
 protected:
  FileWatchTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "culvert-watch-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    write("watched", "one");
  }
  ~FileWatchTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  // How often it is told until it has not been for longer than it collects changes.
  int calls() {
    const int before = calls_;
    const auto quiet = loop_.after(milliseconds(400), [this](Instant) { loop_.stop(); });
    loop_.run();
    return calls_ - before;
  }

  std::string directory_;
  Loop loop_;
  int calls_ = 0;
  FileWatch watch_{loop_, [this](Instant) { ++calls_; }};
};

TEST_F(FileWatchTest, tells_of_a_file_that_is_written_replaced_removed_or_made) {
  ASSERT_TRUE(watch_.set_paths({path("watched"), path("later")}));
  EXPECT_EQ(calls(), 0);
  write("watched", "two");
  write("watched", "TWO");  // the same size, the same moment, within one burst
  EXPECT_EQ(calls(), 1);
  write("temporary", "three");
  std::filesystem::rename(path("temporary"), path("watched"));
  EXPECT_EQ(calls(), 1);
  std::filesystem::remove(path("watched"));
  EXPECT_EQ(calls(), 1);
  write("later", "");
  EXPECT_EQ(calls(), 1);
}

TEST_F(FileWatchTest, waits_until_a_writer_has_closed_the_file) {
  ASSERT_TRUE(watch_.set_paths({path("watched")}));
  std::ofstream writer(path("watched"));
  writer << "half" << std::flush;
  write("neighbour", "an event");
  EXPECT_EQ(calls(), 0);
  writer << "and half";
  writer.close();
  EXPECT_EQ(calls(), 1);
}

TEST_F(FileWatchTest, does_not_tell_of_its_neighbours) {
  ASSERT_TRUE(watch_.set_paths({path("watched")}));
  write("neighbour", "one");
  std::filesystem::remove(path("neighbour"));
  EXPECT_EQ(calls(), 0);
  ASSERT_TRUE(watch_.set_paths({path("neighbour")}));
  write("watched", "two");
  EXPECT_EQ(calls(), 0);
}

// As Kubernetes does it: link -> current/file, current -> version-1.
TEST_F(FileWatchTest, follows_symbolic_links) {
  for (const char* version : {"version-1", "version-2"}) {
    std::filesystem::create_directory(path(version));
    write(std::string(version) + "/file", version);
  }
  std::filesystem::create_directory_symlink("version-1", path("current"));
  std::filesystem::create_symlink("current/file", path("link"));
  ASSERT_TRUE(watch_.set_paths({path("link")}));
  write("version-1/file", "changed");
  EXPECT_EQ(calls(), 1) << "where the link leads";
  std::filesystem::create_directory_symlink("version-2", path("next"));
  std::filesystem::rename(path("next"), path("current"));
  EXPECT_EQ(calls(), 1) << "leads elsewhere";
  write("version-2/file", "changed");
  EXPECT_EQ(calls(), 1) << "and is followed there";
}

TEST_F(FileWatchTest, says_which_directory_is_not_there) {
  const Status set = watch_.set_paths({path("absent/file"), path("watched")});
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().offender, path("absent"));
  write("watched", "two");
  EXPECT_EQ(calls(), 1) << "the others are watched";
}

}  // namespace
}  // namespace culvert::net
