#include "net/files.h"

#include "net/stderr_sink.h"
#include "net/system_rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace culvert::net {
namespace {

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "culvert-files-XXXXXX");
    directory_ = ::mkdtemp(pattern.data());
  }
  ~FilesTest() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] std::ptrdiff_t file_count() const {
    return std::distance(std::filesystem::directory_iterator(directory_), {});
  }
  std::string directory_;
};

TEST_F(FilesTest, secret_file_is_private_and_reads_back) {
  ASSERT_TRUE(write_secret_file(path("key"), "secret\n", Overwrite::no));
  struct stat info{};
  ASSERT_EQ(::stat(path("key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_FALSE(is_readable_by_others(path("key")));
  EXPECT_EQ(*read_file(path("key"), 100), "secret\n");
  EXPECT_EQ(file_count(), 1);  // no temporary stays
}

TEST_F(FilesTest, secret_file_is_never_replaced_unless_forced) {
  ASSERT_TRUE(write_secret_file(path("key"), "first", Overwrite::no));
  const Status second = write_secret_file(path("key"), "second", Overwrite::no);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::configuration);
  EXPECT_EQ(second.error().offender, path("key"));
  EXPECT_EQ(*read_file(path("key"), 100), "first");
  ASSERT_TRUE(write_secret_file(path("key"), "third", Overwrite::yes));
  EXPECT_EQ(*read_file(path("key"), 100), "third");
  EXPECT_EQ(file_count(), 1);
}

TEST_F(FilesTest, reading_is_bounded_and_errors_name_the_path) {
  ASSERT_TRUE(write_secret_file(path("big"), std::string(10'000, 'x'), Overwrite::no));
  EXPECT_EQ(read_file(path("big"), 10'000)->size(), 10'000U);
  for (const std::string& name : {path("big"), path("absent")}) {
    const auto result = read_file(name, 9'999);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::configuration);
    EXPECT_EQ(result.error().offender, name);
  }
}

TEST_F(FilesTest, byte_order_marks_are_blanks_in_utf_8_and_an_error_in_utf_16) {
  ASSERT_TRUE(write_secret_file(path("marked"), "\xef\xbb\xbftext\n", Overwrite::no));
  EXPECT_EQ(*read_file(path("marked"), 100), "   text\n");
  ASSERT_TRUE(write_secret_file(path("part"), "\xef\xbb", Overwrite::no));
  EXPECT_EQ(*read_file(path("part"), 100), "\xef\xbb");
  for (const std::string mark : {"\xff\xfe", "\xfe\xff"}) {
    ASSERT_TRUE(write_secret_file(path("wide"), mark + "t", Overwrite::yes));
    const auto wide = read_file(path("wide"), 100);
    ASSERT_FALSE(wide);
    EXPECT_NE(wide.error().what.find("UTF-8"), std::string::npos);
    EXPECT_EQ(wide.error().offender, path("wide"));
  }
}

TEST_F(FilesTest, a_pipe_that_nobody_writes_is_no_file_and_is_not_waited_for) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  for (const std::string& name : {path("fifo"), std::string("/dev/zero"), directory_}) {
    const auto result = read_file(name, 100);
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().kind, ErrorKind::configuration);
    EXPECT_EQ(result.error().offender, name);
  }
  const auto late = read_input(path("fifo"), 100, std::chrono::milliseconds(1));
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().what.find("nothing complete came"), std::string::npos);
  EXPECT_EQ(late.error().offender, path("fifo"));
}

TEST_F(FilesTest, input_may_be_a_pipe_with_a_writer) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  std::jthread writer([&] { std::ofstream(path("fifo")) << "token\n"; });
  const auto text = read_input(path("fifo"), 100, std::chrono::minutes(1));
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, "token\n");
}

TEST_F(FilesTest, input_from_a_descriptor_by_its_name) {  // as process substitution gives it
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ASSERT_EQ(::write(ends[1], "token", 5), 5);
  ::close(ends[1]);
  const std::string name = "/dev/fd/" + std::to_string(ends[0]);
  const auto text = read_input(name, 100, std::chrono::minutes(1));
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(*text, "token");
  EXPECT_FALSE(read_file(name, 100));
  ::close(ends[0]);
}

TEST_F(FilesTest, input_is_bounded) {
  EXPECT_FALSE(read_input("/dev/zero", 1000, std::chrono::minutes(1)));
  EXPECT_EQ(*read_input("/dev/null", 1000, std::chrono::minutes(1)), "");
}

// In a process of its own, whose descriptors are not those of the test.
TEST(StandardDescriptors, that_are_closed_lead_to_nothing) {
  for (const int closed : {0, 1, 2}) {
    EXPECT_EXIT(
        {
          ::close(closed);
          if (closed == 0) ::close(1);
          open_standard_descriptors();
          struct stat null{};
          struct stat info{};
          const bool is_right = ::stat("/dev/null", &null) == 0 && ::fstat(closed, &info) == 0 &&
                                info.st_rdev == null.st_rdev && ::fcntl(1, F_GETFD) == 0;
          std::_Exit(is_right ? 7 : 1);
        },
        testing::ExitedWithCode(7), "");
  }
}

TEST_F(FilesTest, directories_are_made_and_a_file_in_the_way_is_told) {
  ASSERT_TRUE(create_directories(path("a/b/c")));
  ASSERT_TRUE(create_directories(path("a/b/c")));
  ASSERT_TRUE(write_secret_file(path("a/b/c/file"), "x", Overwrite::no));
  EXPECT_FALSE(create_directories(path("a/b/c/file")));
}

TEST_F(FilesTest, append_file_keeps_what_was_there) {
  for (const char* line : {"one\n", "two\n"}) {
    const auto file = AppendFile::open(path("log"));
    ASSERT_TRUE(file);
    file->write(line);
  }
  EXPECT_EQ(*read_file(path("log"), 100), "one\ntwo\n");
}

TEST(StderrSink, human_line_hides_control_characters_of_peers) {
  const std::string line =
      format_human(1'767'323'045'678, LogLevel::warn, "path", "peer says \033[2J\n!", false);
  EXPECT_EQ(line.substr(line.find(".678")), ".678 warn  path: peer says  [2J !\n");
}

TEST(StderrSink, hides_c1_control_characters_and_bytes_that_are_no_utf8) {
  const std::string words =
      "\u009b31m \x9b"
      "2J \u00e9";
  const std::string line = format_human(0, LogLevel::info, "path", words, false);
  EXPECT_TRUE(line.ends_with("path:  31m  2J \u00e9\n")) << line;
  const std::string json = format_json(0, LogLevel::info, "path", words);
  EXPECT_TRUE(json.ends_with("\"message\":\"\\ufffd31m \\ufffd2J \u00e9\"}\n")) << json;
}

TEST(StderrSink, cuts_a_line_to_what_a_pipe_takes_at_once) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  for (const LogFormat format : {LogFormat::human, LogFormat::json}) {
    StderrSink(format, ends[1]).write(LogLevel::info, "net", std::string(20'000, '\x01'));
    std::array<char, 8192> block{};
    const ssize_t got = ::read(ends[0], block.data(), block.size());
    EXPECT_GT(got, 1'000);
    EXPECT_LE(got, 4'096);
    EXPECT_EQ(block.at(static_cast<std::size_t>(got) - 1), '\n');
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(StderrSink, waits_for_no_reader_and_says_what_it_left_out) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  StderrSink sink(LogFormat::human, ends[1]);
  const std::string line(900, 'x');
  constexpr int kLines = 500;  // several times what the pipe holds
  for (int i = 0; i < kLines; ++i) sink.write(LogLevel::info, "net", line);
  ASSERT_EQ(::fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
  const auto read_all = [&] {
    std::string all;
    std::array<char, 4096> block{};
    for (ssize_t got = 0; (got = ::read(ends[0], block.data(), block.size())) > 0;) {
      all.append(block.data(), static_cast<std::size_t>(got));
    }
    return all;
  };
  const std::string before = read_all();
  const auto written = std::ranges::count(before, '\n');
  EXPECT_LT(written, kLines);
  EXPECT_TRUE(before.ends_with("x\n")) << "whole lines only";
  sink.write(LogLevel::info, "net", "again");
  const std::string after = read_all();
  EXPECT_NE(after.find(std::to_string(kLines - written) + " lines were left out"),
            std::string::npos)
      << after;
  EXPECT_TRUE(after.ends_with("net: again\n"));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(StderrSink, json_line_is_utc_and_escaped) {
  EXPECT_EQ(format_json(1'767'323'045'008, LogLevel::info, "net", "a \"b\" \\ \n"),
            R"({"time":"2026-01-02T03:04:05.008Z","level":"info","area":"net",)"
            "\"message\":\"a \\\"b\\\" \\\\ \\u000a\"}\n");
}

TEST(SystemRng, gives_fresh_bytes_for_small_and_large_requests) {
  SystemRng rng;
  std::vector<std::uint64_t> seen;
  for (int i = 0; i < 200; ++i) seen.push_back(rng.next());
  std::ranges::sort(seen);
  EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
  Bytes large(4096);
  rng.fill(large);
  EXPECT_LT(std::ranges::count(large, 0), 100);
}

}  // namespace
}  // namespace culvert::net
