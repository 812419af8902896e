#include "net/unix_client.h"

#include "net/socket_address.h"
#include "net/uninterrupted.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace culvert::net {

Result<UnixClient> UnixClient::connect(const std::string& path, Duration patience) {
  RawAddress raw;
  if (Status fits = to_raw_unix(path, raw); !fits) return forward(fits);
  UnixClient client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), path);
  if (client.fd_ < 0) return std::unexpected(system_error(errno, "cannot open a socket", path));
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(patience).count();
  const timeval limit{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
  ::setsockopt(client.fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(client.fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (uninterrupted([&] { return ::connect(client.fd_, raw.get(), raw.size); }) != 0) {
    Error error = system_error(errno, "cannot connect", path);
    if (errno == ECONNREFUSED || errno == ENOENT) error.kind = ErrorKind::unreachable;
    return std::unexpected(std::move(error));
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(client.fd_, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return std::unexpected(system_error(errno, "cannot tell who listens", path));
  }
  client.peer_user_id_ = peer.uid;
  return client;
}

UnixClient::UnixClient(UnixClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      peer_user_id_(other.peer_user_id_) {}

UnixClient::~UnixClient() {
  if (fd_ >= 0) ::close(fd_);
}

Status UnixClient::write(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count =
        uninterrupted([&] { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    if (count <= 0) return std::unexpected(system_error(errno, "cannot send", path_));
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> UnixClient::read_all(std::size_t max_bytes) const {
  std::string all;
  std::array<char, 16'384> block;
  for (;;) {
    const ssize_t count = uninterrupted([&] { return ::recv(fd_, block.data(), block.size(), 0); });
    if (count < 0 && errno == EAGAIN) {
      return fail(ErrorKind::io, "does not answer in time", path_);
    }
    if (count < 0) return std::unexpected(system_error(errno, "cannot read", path_));
    if (count == 0) return all;
    all.append(block.data(), static_cast<std::size_t>(count));
    if (all.size() > max_bytes) return fail(ErrorKind::limit, "answers with too much", path_);
  }
}

std::vector<std::string> files_in(const std::string& directory, std::string_view suffix) {
  std::vector<std::string> names;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(directory, failed), end; !failed && it != end;
       it.increment(failed)) {
    std::string name = it->path().filename().string();
    if (name.ends_with(suffix)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

int process_id() {
  return ::getpid();
}
bool is_running(int process_id) {
  return process_id > 0 && (::kill(process_id, 0) == 0 || errno != ESRCH);
}
unsigned user_id() {
  return ::geteuid();
}
std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}
bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

bool pause_for(Duration duration) {
  const auto ns = duration.count();
  const timespec time{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  return ::nanosleep(&time, nullptr) == 0;
}

}  // namespace culvert::net
