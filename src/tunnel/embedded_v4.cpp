#include "tunnel/embedded_v4.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>

namespace culvert::tunnel {
namespace {

// Where the four bytes are; all bytes behind `suffix` are zero in an address of this form.
struct Layout {
  std::array<std::size_t, 4> at;
  std::size_t suffix = 16;
  bool is_inverted = false;
};

constexpr std::array<std::size_t, 4> kLast{12, 13, 14, 15};

struct Form {
  std::string_view prefix;
  std::vector<Layout> layouts;
};

const std::vector<Form>& forms() {
  static const std::vector<Form> all{
      {"::/96", {{.at = kLast}}},               // IPv4-compatible, RFC 4291 2.5.5.1
      {"::ffff:0:0:0/96", {{.at = kLast}}},     // IPv4-translated, RFC 2765 2.1
      {"64:ff9b::/96", {{.at = kLast}}},        // NAT64, RFC 6052 2.1
      {"64:ff9b:1::/48",                        // NAT64 of a site, RFC 8215: the prefix
       {{.at = kLast},                          // may be a /96,
        {.at = {9, 10, 11, 12}, .suffix = 13},  // /64,
        {.at = {7, 9, 10, 11}, .suffix = 12},   // /56
        {.at = {6, 7, 9, 10}, .suffix = 11}}},  // or /48 (RFC 6052 2.2)
      {"2002::/16", {{.at = {2, 3, 4, 5}}}},    // 6to4, RFC 3056 2
      {"2001::/32",                             // Teredo, RFC 4380 4: the client and
       {{.at = kLast, .is_inverted = true}}},   // what it is behind are one host
  };
  return all;
}

}  // namespace

std::optional<EmbeddedV4> embedded_v4(const IpAddress& ip) {
  if (ip.is_v4() || ip.is_unspecified() || ip.is_loopback()) return std::nullopt;
  const ByteView bytes = ip.bytes();
  for (const Form& form : forms()) {
    const auto network = Cidr::parse(form.prefix);
    if (!network || !network->contains(ip)) continue;
    EmbeddedV4 found{.form = *network, .addresses = {}};
    for (const Layout& layout : form.layouts) {
      const ByteView behind = bytes.subspan(layout.suffix);
      if (std::ranges::any_of(behind, [](std::uint8_t byte) { return byte != 0; })) continue;
      std::array<std::uint8_t, 4> v4{};
      for (std::size_t i = 0; i < v4.size(); ++i) {
        v4[i] = static_cast<std::uint8_t>(bytes[layout.at[i]] ^ (layout.is_inverted ? 0xff : 0));
      }
      // The last bytes of a longer layout, when a shorter one is meant.
      const bool is_empty = v4 == std::array<std::uint8_t, 4>{};
      if (is_empty && form.layouts.size() > 1) continue;
      found.addresses.push_back(IpAddress::v4(v4));
    }
    return found;
  }
  return std::nullopt;
}

}  // namespace culvert::tunnel
