#include "app/audit_log.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace culvert::app {
namespace {

using nlohmann::json;

constexpr auto kLogPatience = std::chrono::seconds(20);  // only failures take this long

struct AuditLogTest : testing::Test {
  AuditLogTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "culvert_audit_XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
    path = (directory / "audit.jsonl").string();
    options.clock = [this] {
      return std::chrono::system_clock::time_point(std::chrono::milliseconds(now_ms.load()));
    };
    options.retry = std::chrono::milliseconds(1);
    options.flush = std::chrono::milliseconds(1);
  }
  ~AuditLogTest() override {
    log.reset();
    std::filesystem::remove_all(directory);
  }
  void open() { log = AuditLog::open(path, null_logger(), options).value(); }
  void written() const { ASSERT_TRUE(log->wait_until_written(kLogPatience)); }
  void flow(std::string_view source, bool is_accepted = true) const {
    log->on_flow({.client = client, .source = source, .is_accepted = is_accepted});
  }
  // Until `is_so` of what the log tells of itself.
  [[nodiscard]] bool comes_to(const std::function<bool(const admin::AuditInfo&)>& is_so) const {
    const auto deadline = std::chrono::steady_clock::now() + kLogPatience;
    while (!is_so(log->stats())) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  [[nodiscard]] static std::vector<json> lines(const std::string& file) {
    std::vector<json> out;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
    return out;
  }

  std::filesystem::path directory;
  std::string path;
  std::atomic<std::int64_t> now_ms = 1'000'000'007;
  AuditOptions options;
  std::unique_ptr<AuditLog> log;
  peer::AuditedClient client{.id = {}, .address = SocketAddress::parse("[2001:db8::1]:7").value()};
};

TEST_F(AuditLogTest, writes_a_line_of_json_for_every_decision) {
  open();
  log->on_auth({.client = client,
                .proof = session::ProofKind::key,
                .comment = "alice \"the\nadmin\" \xff",
                .is_accepted = true});
  log->on_auth({.client = client,
                .proof = session::ProofKind::token,
                .code = session::CloseCode::rate_limited,
                .reason = "Too many",
                .retry_after_s = 60});
  log->on_flow(
      {.client = client, .source = "tcp://h:22", .is_accepted = true, .dialled = "192.0.2.1:22"});
  log->on_flow({.client = client, .source = "tcp://h:23", .reason = "not allowed"});
  written();
  EXPECT_EQ(log->stats().lines_written, 4U);
  EXPECT_EQ(log->stats().bytes_waiting, 0U);
  const auto written = lines(path);
  ASSERT_EQ(written.size(), 4U);
  EXPECT_EQ(written[0], json({{"time", "1970-01-12T13:46:40.007Z"},
                              {"event", "auth"},
                              {"client", std::string(64, '0')},
                              {"address", "[2001:db8::1]:7"},
                              {"dialect", "culvert/1"},
                              {"proof", "key"},
                              {"decision", "accepted"},
                              {"comment", "alice \"the\nadmin\" \xef\xbf\xbd"}}));
  EXPECT_EQ(written[1]["decision"], "refused");
  EXPECT_EQ(written[1]["code"], 3);
  EXPECT_EQ(written[1]["reason"], "Too many");
  EXPECT_EQ(written[1]["retry_after_s"], 60);
  EXPECT_EQ(written[2]["dialled"], "192.0.2.1:22");
  EXPECT_EQ(written[3]["event"], "flow");
  EXPECT_EQ(written[3]["source"], "tcp://h:23");
  EXPECT_EQ(written[3]["reason"], "not allowed");
}

TEST_F(AuditLogTest, keeps_terminals_out_of_what_peers_say) {
  open();
  log->on_flow({.client = client, .source = "tcp://\u009b31m", .reason = std::string(10'000, 'x')});
  written();
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  EXPECT_NE(line.find("\\u009b31m"), std::string::npos) << line;
  EXPECT_LT(line.size(), 1'000U);
}

TEST_F(AuditLogTest, is_private_appends_and_reopens_after_a_rotation) {
  open();
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path).permissions(), perms::owner_read | perms::owner_write);
  flow("tcp://h:1");
  written();
  std::filesystem::rename(path, path + ".1");
  flow("tcp://h:2");  // still the old file
  log->reopen();
  flow("tcp://h:3");
  log->reopen();  // of a file with contents
  flow("tcp://h:4");
  written();
  EXPECT_EQ(lines(path + ".1").size(), 2U);
  EXPECT_EQ(lines(path).size(), 2U);
}

TEST_F(AuditLogTest, keeps_the_old_file_when_a_new_one_cannot_be_opened) {
  open();
  std::filesystem::rename(path, path + ".1");
  std::filesystem::create_directory(path);
  log->reopen();
  flow("tcp://h:1");
  written();
  EXPECT_EQ(lines(path + ".1").size(), 1U);
}

TEST_F(AuditLogTest, refuses_a_pipe_without_a_reader) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto opened = AuditLog::open(path, null_logger(), options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().offender, path);
}

// As many lines as it likes, none of them waits: what finds no room is counted, and the file
// says so once it is read.
TEST_F(AuditLogTest, waits_for_no_reader_of_a_pipe_and_counts_what_it_loses) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  options.queue_bytes = 100'000;
  open();
  constexpr std::uint64_t kLines = 5'000;  // several times what pipe and queue hold
  for (std::uint64_t i = 0; i < kLines; ++i) flow("tcp://h:1");
  ASSERT_TRUE(comes_to([](const admin::AuditInfo& stats) { return !stats.failure.empty(); }));
  EXPECT_EQ(log->stats().failure, "nobody reads it");
  EXPECT_LE(log->stats().bytes_waiting, options.queue_bytes);
  const std::uint64_t lost = log->stats().lines_lost;
  EXPECT_GT(lost, 1'000U);
  EXPECT_TRUE(log->takes_flows()) << "unless it is required";

  std::string all;
  std::array<char, 65'536> block{};
  while (!log->wait_until_written(std::chrono::nanoseconds(0))) {
    const ssize_t got = ::read(reader, block.data(), block.size());
    if (got > 0) all.append(block.data(), static_cast<std::size_t>(got));
  }
  for (ssize_t got = 0; (got = ::read(reader, block.data(), block.size())) > 0;) {
    all.append(block.data(), static_cast<std::size_t>(got));
  }
  std::istringstream in(all);
  std::uint64_t flows = 0;
  std::uint64_t told = 0;
  for (std::string line; std::getline(in, line);) {
    const json parsed = json::parse(line);
    flows += parsed["event"] == "flow" ? 1 : 0;
    if (parsed["event"] == "lost") told += parsed["lines"].get<std::uint64_t>();
  }
  EXPECT_EQ(flows, kLines - lost);
  EXPECT_EQ(told, lost);
  EXPECT_EQ(log->stats().failure, "");
  ::close(reader);
}

TEST_F(AuditLogTest, is_over_soon_although_nobody_reads) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  open();
  for (int i = 0; i < 1'000; ++i) flow("tcp://h:1");
  const auto begin = std::chrono::steady_clock::now();
  log.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kLogPatience);
  ::close(reader);
}

TEST_F(AuditLogTest, on_a_full_disk_holds_up_flows_only_where_it_is_required) {
  path = "/dev/full";
  for (const bool is_required : {false, true}) {
    options.is_required = is_required;
    open();
    EXPECT_TRUE(log->takes_flows());
    flow("tcp://h:1");
    ASSERT_TRUE(comes_to([](const admin::AuditInfo& stats) { return !stats.failure.empty(); }));
    EXPECT_NE(log->stats().failure.find("No space left"), std::string::npos);
    EXPECT_EQ(log->takes_flows(), !is_required);
    EXPECT_EQ(log->stats().lines_written, 0U);
  }
}

// A disk of its own that fills up, and is then made room on.
TEST_F(AuditLogTest, loses_nothing_while_a_disk_is_full_for_a_while) {
  if (::mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=64k,mode=0700") != 0) {
    GTEST_SKIP() << "needs the right to mount";
  }
  options.is_required = true;
  open();
  std::ofstream(directory / "filler") << std::string(32'768, 'x');
  constexpr int kLines = 400;  // more than fit
  for (int i = 0; i < kLines; ++i) flow("tcp://h:" + std::to_string(i + 1));
  EXPECT_TRUE(comes_to([](const admin::AuditInfo& stats) { return !stats.failure.empty(); }));
  EXPECT_FALSE(log->takes_flows());
  std::filesystem::remove(directory / "filler");
  ::mount("tmpfs", directory.c_str(), "tmpfs", MS_REMOUNT, "size=4m");
  EXPECT_TRUE(log->wait_until_written(kLogPatience));
  EXPECT_TRUE(log->takes_flows());
  EXPECT_EQ(log->stats().lines_lost, 0U);
  const auto all = lines(path);  // each of them whole
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kLines));
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i]["source"], "tcp://h:" + std::to_string(i + 1));
  }
  log.reset();
  EXPECT_EQ(::umount2(directory.c_str(), MNT_DETACH), 0);
}

// An opened file that is gone on with after a rotation, although the old one is on a full disk.
TEST_F(AuditLogTest, leaves_a_full_disk_by_a_rotation) {
  std::filesystem::create_symlink("/dev/full", path);
  open();
  flow("tcp://h:1");
  ASSERT_TRUE(comes_to([](const admin::AuditInfo& stats) { return !stats.failure.empty(); }));
  std::filesystem::remove(path);
  log->reopen();
  written();
  EXPECT_EQ(lines(path).size(), 1U);
  EXPECT_EQ(log->stats().failure, "");
}

TEST_F(AuditLogTest, writes_so_many_refusals_at_a_time_and_the_number_of_the_rest) {
  options.flush = kLogPatience;
  open();
  constexpr std::uint64_t kKnocks = 3 * limits::kAuditRefusalBurst;
  for (std::uint64_t i = 0; i < kKnocks; ++i) {
    log->on_auth({.client = client, .reason = "no"});
    flow("tcp://h:1", false);
  }
  flow("tcp://h:2");  // what is allowed is always written
  written();
  EXPECT_EQ(log->stats().lines_written, 2 * limits::kAuditRefusalBurst + 1);
  EXPECT_EQ(log->stats().refusals_suppressed, 2 * (kKnocks - limits::kAuditRefusalBurst));
  now_ms += 10'000;  // ten seconds later ten more of each
  for (int i = 0; i < 100; ++i) log->on_auth({.client = client, .reason = "no"});
  written();
  EXPECT_EQ(log->stats().lines_written,
            2 * limits::kAuditRefusalBurst + 1 + 10 * limits::kAuditRefusalsPerSecond);
  log.reset();
  const json last = lines(path).back();
  EXPECT_EQ(last["event"], "suppressed");
  EXPECT_EQ(last["auth"], kKnocks - limits::kAuditRefusalBurst + 90);
  EXPECT_EQ(last["flow"], kKnocks - limits::kAuditRefusalBurst);
}

TEST_F(AuditLogTest, keeps_half_of_its_room_from_refusals) {
  path = "/dev/full";
  options.queue_bytes = 20'000;
  open();
  for (int i = 0; i < 500; ++i) log->on_auth({.client = client, .reason = "no"});
  EXPECT_GT(log->stats().lines_lost, 0U);
  EXPECT_LE(log->stats().bytes_waiting, options.queue_bytes / 2);
  const std::uint64_t lost = log->stats().lines_lost;
  for (int i = 0; i < 10; ++i) flow("tcp://h:1");
  EXPECT_EQ(log->stats().lines_lost, lost);
}

}  // namespace
}  // namespace culvert::app
