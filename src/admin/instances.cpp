#include "admin/instances.h"

#include "base/limits.h"
#include "http/parser.h"
#include "net/files.h"
#include "net/unix_client.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <chrono>
#include <utility>

namespace culvert::admin {
namespace {

constexpr Duration kPatience = std::chrono::seconds(5);
constexpr std::string_view kSuffix = ".sock";
constexpr unsigned kRoot = 0;

Error to_error(const http::Reply& reply, const std::string& socket) {
  const auto json = nlohmann::json::parse(reply.body, nullptr, false);
  const auto member = [&json](const char* name) {
    const auto found = json.is_object() ? json.find(name) : json.end();
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  Error error{ErrorKind::refused, member("error"), member("offender")};
  if (error.what.empty()) {
    error.what = fmt::format("answered with HTTP status {}", reply.status);
    error.offender = socket;
  }
  if (reply.status == 400) error.kind = ErrorKind::configuration;
  return error;
}

}  // namespace

std::string socket_directory(const Environment& environment, unsigned user_id) {
  if (const auto runtime = environment("XDG_RUNTIME_DIR"); runtime && runtime->starts_with('/')) {
    return *runtime + "/culvert";
  }
  return user_id == 0 ? std::string("/run/culvert") : fmt::format("/tmp/culvert-{}", user_id);
}

Result<std::vector<Instance>> find_instances(const std::string& directory) {
  std::vector<Instance> found;
  const std::vector<std::string> names = net::files_in(directory, kSuffix);
  if (names.empty()) return found;
  if (Status trusted = net::check_private_directory(directory); !trusted) return forward(trusted);
  for (const std::string& name : names) {
    Instance instance{.name = name.substr(0, name.size() - kSuffix.size()),
                      .socket = fmt::format("{}/{}", directory, name)};
    const auto client = net::UnixClient::connect(instance.socket, kPatience);
    if (client && client->peer_user_id() == net::user_id()) {
      found.push_back(std::move(instance));
    } else if (!client && client.error().kind == ErrorKind::unreachable) {
      net::remove_stale_socket(instance.socket);
    }
  }
  return found;
}

void remove_stale_instances(const std::string& directory) {
  std::vector<std::string> names = net::files_in(directory, kSuffix);
  if (names.size() > limits::kMaxStaleSockets) names.resize(limits::kMaxStaleSockets);
  for (const std::string& name : names) {
    const char* end = name.data() + name.size() - kSuffix.size();
    int pid = 0;
    const auto [rest, failed] = std::from_chars(name.data() + (name.rfind('-') + 1), end, pid);
    // One that has bound its socket and does not listen yet is alive.
    if (failed != std::errc{} || rest != end || net::is_running(pid)) continue;
    const std::string socket = fmt::format("{}/{}", directory, name);
    const auto client = net::UnixClient::connect(socket, kPatience);
    if (!client && client.error().kind == ErrorKind::unreachable) net::remove_stale_socket(socket);
  }
}

bool is_called(const Instance& instance, std::string_view name_or_pid) {
  const std::string_view name = instance.name;
  if (name == name_or_pid) return true;
  return name.substr(name.rfind('-') + 1) == name_or_pid;
}

Result<http::Reply> parse_reply(std::string_view wire) {
  http::ReplyParser parser(
      {.head_bytes = limits::kControlHeaderBytes, .body_bytes = limits::kMaxControlReplyBytes},
      false);
  parser.add(as_bytes(wire));
  parser.add_end();
  auto reply = parser.next();
  if (!reply) return fail(ErrorKind::protocol, "does not answer in HTTP/1.1");
  return std::move(*reply);
}

Result<std::string> ask(const std::string& socket, std::string_view method, std::string_view path,
                        std::string_view body) {
  CULVERT_TRY(const net::UnixClient client, net::UnixClient::connect(socket, kPatience));
  const unsigned own = net::user_id();
  const unsigned peer = client.peer_user_id();
  if (peer != own && peer != kRoot && own != kRoot) {
    return fail(
        ErrorKind::configuration,
        fmt::format("another user's process (uid {}) listens there: ask as that user", peer),
        socket);
  }
  const std::string request = fmt::format(
      "{} {} HTTP/1.1\r\nHost: culvert\r\nConnection: close\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      method, path, body.size(), body);
  if (Status sent = client.write(request); !sent) return forward(sent);
  CULVERT_TRY(const std::string wire, client.read_all(limits::kMaxControlReplyBytes));
  if (wire.empty()) return fail(ErrorKind::unreachable, "it ended before it answered", socket);
  auto reply = parse_reply(wire);
  if (!reply) return fail(reply.error().kind, reply.error().what, socket);
  if (reply->status >= 400) return std::unexpected(to_error(*reply, socket));
  return std::move(reply->body);
}

}  // namespace culvert::admin
