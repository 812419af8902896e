#include "net/name_services.h"

#include "base/limits.h"
#include "net/files.h"
#include "net/socket_address.h"

#include <algorithm>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

constexpr std::string_view kBlank = " \t\r";

// The next word of `line`, which loses it; empty at the end.
std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(" \t\r["));
  line.remove_prefix(word.size());
  return word;
}

void read_hosts(std::string_view line, NameServices& services) {
  for (;;) {
    const std::string_view word = next_word(line);
    if (word.empty() && line.empty()) return;
    if (word.empty()) {  // [STATUS=ACTION ...]
      line.remove_prefix(std::min(line.find(']'), line.size() - 1) + 1);
    } else if (word.starts_with("mdns")) {
      services.has_multicast = true;
    } else if (word != "files" && word != "dns") {
      services.has_others = true;
    }
  }
}

}  // namespace

bool is_multicast_name(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  constexpr std::string_view kDomain = ".local";
  return host.size() > kDomain.size() &&
         std::ranges::equal(host.substr(host.size() - kDomain.size()), kDomain, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b;
         });
}

bool NameServices::may_know(std::string_view host) const {
  return has_others || (has_multicast && is_multicast_name(host));
}

NameServices parse_name_services(std::string_view text) {
  NameServices services;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line = line.substr(0, line.find('#'));
    if (next_word(line) == "hosts:") read_hosts(line, services);
  }
  return services;
}

NameServices read_name_services() {
  const auto text = read_file("/etc/nsswitch.conf", limits::kNameServicesBytes);
  return text ? parse_name_services(*text) : NameServices{};
}

Result<std::vector<IpAddress>> ask_glibc(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;  // each address once
  addrinfo* list = nullptr;
  if (const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); status != 0) {
    return fail(ErrorKind::unreachable, std::string("cannot resolve: ") + ::gai_strerror(status),
                host);
  }
  std::vector<IpAddress> found;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    const auto address = from_raw(one->ai_addr);
    if (!address || found.size() >= limits::kMaxResolvedAddresses) continue;
    if (std::ranges::find(found, address->ip) == found.end()) found.push_back(address->ip);
  }
  ::freeaddrinfo(list);
  if (found.empty()) return fail(ErrorKind::unreachable, "the name has no address", host);
  return found;
}

}  // namespace culvert::net
