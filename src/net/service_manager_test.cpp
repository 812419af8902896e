#include "net/service_manager.h"

#include "net/socket_address.h"

#include <gtest/gtest.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <unistd.h>

namespace culvert::net {
namespace {

// systemd's end of the socket.
class ServiceManagerTest : public ::testing::Test {
 protected:
  ServiceManagerTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "culvert-notify-XXXXXX");
    directory_ = ::mkdtemp(pattern.data());
    const std::string path = directory_ + "/notify";
    RawAddress raw;
    EXPECT_TRUE(to_raw_unix(path, raw));
    fd_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(fd_.get(), raw.get(), raw.size), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~ServiceManagerTest() override {
    ::unsetenv("NOTIFY_SOCKET");
    std::filesystem::remove_all(directory_);
  }
  // The next message; empty: there is none.
  [[nodiscard]] std::string heard() const {
    std::array<char, 256> text{};
    const ssize_t size = ::recv(fd_.get(), text.data(), text.size(), 0);
    return size < 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(size));
  }

  ServiceState state_;

 private:
  std::string directory_;
  Fd fd_;
};

TEST_F(ServiceManagerTest, hears_once_that_a_service_is_ready) {
  state_.ready();
  state_.ready();
  EXPECT_EQ(heard(), "READY=1");
  EXPECT_EQ(heard(), "");
  state_.stopping();
  state_.stopping();
  state_.ready();
  EXPECT_EQ(heard(), "STOPPING=1");
  EXPECT_EQ(heard(), "");
}

TEST_F(ServiceManagerTest, hears_when_a_reload_begins_and_is_done) {
  state_.ready();
  EXPECT_EQ(heard(), "READY=1");
  const auto now_us = [] {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  const std::int64_t before = now_us();
  state_.reloading();
  const std::string text = heard();
  constexpr std::string_view kBegin = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_EQ(text.substr(0, kBegin.size()), kBegin);
  std::int64_t told = 0;
  const char* end = text.data() + text.size();
  ASSERT_EQ(std::from_chars(text.data() + kBegin.size(), end, told).ptr, end);
  EXPECT_GE(told, before);
  EXPECT_LE(told, now_us());
  state_.reloaded();
  state_.reloaded();
  EXPECT_EQ(heard(), "READY=1");
  EXPECT_EQ(heard(), "");
}

TEST_F(ServiceManagerTest, takes_no_reload_for_the_end_of_a_start_or_a_stop) {
  state_.reloading();
  state_.reloaded();
  EXPECT_EQ(heard(), "");
  state_.ready();
  EXPECT_EQ(heard(), "READY=1");
  state_.reloading();
  EXPECT_NE(heard(), "");
  state_.stopping();
  state_.reloaded();
  EXPECT_EQ(heard(), "STOPPING=1");
  EXPECT_EQ(heard(), "");
}

TEST(ServiceManager, watchdog_interval_is_half_of_what_systemd_asks) {
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(watchdog_interval(), std::chrono::milliseconds(1500));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(watchdog_interval(), std::nullopt);
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "soon", 1);
  EXPECT_EQ(watchdog_interval(), std::nullopt);
  ::unsetenv("WATCHDOG_USEC");
  EXPECT_EQ(watchdog_interval(), std::nullopt);
}

}  // namespace
}  // namespace culvert::net
