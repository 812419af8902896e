#include "app/audit_log.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

#include <stdlib.h>

namespace culvert::app {
namespace {

using nlohmann::json;

struct AuditLogTest : testing::Test {
  AuditLogTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "culvert_audit_XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
    path = (directory / "audit.jsonl").string();
    log = AuditLog::open(path, [] {
            return std::chrono::system_clock::time_point(std::chrono::milliseconds(1'000'000'007));
          }).value();
  }
  ~AuditLogTest() override { std::filesystem::remove_all(directory); }

  [[nodiscard]] static std::vector<json> lines(const std::string& file) {
    std::vector<json> out;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
    return out;
  }

  std::filesystem::path directory;
  std::string path;
  std::unique_ptr<AuditLog> log;
  drive::AuditedClient client{.id = {}, .address = SocketAddress::parse("[2001:db8::1]:7").value()};
};

TEST_F(AuditLogTest, writes_a_line_of_json_for_every_decision) {
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

TEST_F(AuditLogTest, is_private_appends_and_reopens_after_a_rotation) {
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path).permissions(), perms::owner_read | perms::owner_write);
  log->on_flow({.client = client, .source = "tcp://h:1", .reason = "1"});
  std::filesystem::rename(path, path + ".1");
  log->on_flow({.client = client, .source = "tcp://h:1", .reason = "2"});  // still the old file
  ASSERT_TRUE(log->reopen());
  log->on_flow({.client = client, .source = "tcp://h:1", .reason = "3"});
  ASSERT_TRUE(log->reopen());  // of a file with contents
  log->on_flow({.client = client, .source = "tcp://h:1", .reason = "4"});
  EXPECT_EQ(lines(path + ".1").size(), 2U);
  EXPECT_EQ(lines(path).size(), 2U);
}

TEST_F(AuditLogTest, keeps_the_old_file_when_a_new_one_cannot_be_opened) {
  std::filesystem::rename(path, path + ".1");
  std::filesystem::create_directory(path);
  const Status reopened = log->reopen();
  ASSERT_FALSE(reopened);
  EXPECT_NE(reopened.error().text().find(path), std::string::npos);
  log->on_flow({.client = client, .source = "tcp://h:1", .reason = "1"});
  EXPECT_EQ(lines(path + ".1").size(), 1U);
}

}  // namespace
}  // namespace culvert::app
