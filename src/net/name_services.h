// The part of name lookups that c-ares leaves to others: modules of /etc/nsswitch.conf beyond
// `files` and `dns`, such as multicast DNS (Avahi), libvirt, SSSD or LDAP, which only glibc can
// load, and whose functions block. Any thread. Private to net/.
#pragma once

#include "base/address.h"
#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace culvert::net {

struct NameServices {
  bool has_multicast = false;  // mdns, mdns4_minimal ...: they know names in .local
  bool has_others = false;     // that may know any name

  // Whether one of them may know what neither /etc/hosts nor DNS does.
  [[nodiscard]] bool may_know(std::string_view host) const;
};

// RFC 6762 3: DNS is not to be asked for names in ".local" where multicast DNS is.
[[nodiscard]] bool is_multicast_name(std::string_view host);

// Of the text of an nsswitch.conf (nsswitch.conf(5)): its line `hosts`.
[[nodiscard]] NameServices parse_name_services(std::string_view text);
// Of /etc/nsswitch.conf; none where it cannot be read.
[[nodiscard]] NameServices read_name_services();

// getaddrinfo: as all programs of this machine look up names. Blocks.
[[nodiscard]] Result<std::vector<IpAddress>> ask_glibc(const std::string& host);

}  // namespace culvert::net
