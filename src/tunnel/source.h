// What a tunnel leads to (source, on the server's side) and where the client listens for
// it (target): their grammar.
#pragma once

#include "base/address.h"
#include "base/multipath.h"
#include "base/result.h"
#include "base/time.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::tunnel {

enum class Protocol : std::uint8_t { tcp, udp, unix_stream };

// "tcp://host:port", "udp://host:port" or "unix:///path". The host is a name (resolved by
// the server) or an address literal; IPv6 in brackets; port 1..65535; at most 255 and 107
// bytes for host and path.
struct Source {
  Protocol protocol = Protocol::tcp;
  HostPort host_port;  // tcp, udp
  std::string path;    // unix_stream: absolute
  // A tunnel may be for this many ports in a row, of which host_port has the first.
  std::uint16_t port_count = 1;

  [[nodiscard]] static Result<Source> parse(std::string_view text);
  // Also "tcp://host:8000-8009". At most limits::kMaxTunnelPorts.
  [[nodiscard]] static Result<Source> parse_range(std::string_view text);
  // Of one of its ports.
  [[nodiscard]] Source at(std::uint16_t offset) const;
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Source&, const Source&) = default;
};

// "host:port" where host is an address literal, or "localhost" for every loopback address,
// or "*" or "[::]" for every address, IPv4 as well as IPv6; a port alone means localhost;
// "unix:/path". Port 0 lets the kernel choose; "8000-8009" is as many ports. A leading tcp:// or
// udp:// is accepted (tunnel-rs nostr spelling) and must agree with the source.
struct Target {
  enum class Kind : std::uint8_t { address, all_loopback, unix_path };
  Kind kind = Kind::address;
  SocketAddress address;  // all_loopback: only its port counts
  std::uint16_t port_count = 1;
  std::string path;
  std::optional<Protocol> protocol;  // when spelt out

  [[nodiscard]] static Result<Target> parse(std::string_view text);
  // The same without ranges and paths: where one service of TCP listens.
  [[nodiscard]] static Result<Target> parse_one_port(std::string_view text);
  [[nodiscard]] std::string text() const;
  // Those it means, with its first port; none for a path.
  [[nodiscard]] std::vector<SocketAddress> addresses() const;
  friend bool operator==(const Target&, const Target&) = default;
};

// What may differ from tunnel to tunnel; empty: as the client's settings say.
struct TunnelOptions {
  std::optional<Duration> udp_idle_timeout{};
  std::optional<Multipath> multipath{};
  friend bool operator==(const TunnelOptions&, const TunnelOptions&) = default;
};

struct TunnelSpec {
  std::string name;  // for people; unique within a client, may be empty
  Source source;
  Target target;
  bool is_enabled = true;
  TunnelOptions options{};
  std::string server{};  // which of several, by name; empty: the client's only one
  // Added through the control interface: no configuration file or flag names it.
  bool is_added_live = false;

  // What people call it: its name, or "SOURCE -> TARGET". Unique within a client.
  [[nodiscard]] std::string label() const;

  // Checks that source and target go together.
  [[nodiscard]] static Result<TunnelSpec> make(std::string name, Source source, Target target);
  friend bool operator==(const TunnelSpec&, const TunnelSpec&) = default;
};

}  // namespace culvert::tunnel
