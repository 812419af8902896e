// The server's side of SOCKS5 (RFC 1928) without authentication: the listener is on our
// own machine. Sans-I/O.
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace culvert::tunnel {

enum class SocksReply : std::uint8_t {  // RFC 1928 6
  succeeded = 0x00,
  general_failure = 0x01,
  not_allowed = 0x02,
  network_unreachable = 0x03,
  host_unreachable = 0x04,
  connection_refused = 0x05,
  ttl_expired = 0x06,
  command_not_supported = 0x07,
  address_type_not_supported = 0x08,
};

struct SocksConnect {
  HostPort destination;  // names stay names: the tunnel's server resolves them
};
struct SocksUdpAssociate {
  HostPort sender;  // DST: from where the client will send; zero where it does not know
};
struct SocksRefused {    // take_output() holds the answer; close behind it
  std::string_view why;  // for the log: what the program should do instead
};
using SocksEvent = std::variant<SocksConnect, SocksUdpAssociate, SocksRefused>;

// Whether a name could stand for a host: printable, and nothing of the grammar around it.
[[nodiscard]] bool is_plain_name(std::string_view name);

class Socks5Server {
 public:
  // Returns how many bytes it took. After an event it takes no more: what follows is the
  // application's data.
  std::size_t handle_data(ByteView bytes);
  [[nodiscard]] std::optional<SocksEvent> poll_event();
  [[nodiscard]] Bytes take_output();
  // The answer to SocksConnect or SocksUdpAssociate; `bound` is our end (any for CONNECT).
  [[nodiscard]] static Bytes reply(SocksReply code, const SocketAddress& bound);

 private:
  enum class State : std::uint8_t { greeting, request, done };
  Decoded<std::size_t> read_greeting(ByteView input);
  Decoded<std::size_t> read_request(ByteView input);
  void refuse(SocksReply code, std::string_view why);

  // Longest: 4 + 1 + 255 + 2 bytes of request; a greeting has at most 2 + 255.
  Bytes input_;
  Bytes output_;
  State state_ = State::greeting;
  std::optional<SocksEvent> event_;
};

// Who may use a UDP association (RFC 1928 7): one socket at the address that the TCP
// connection comes from. Where the client said which port it will send from, that one, else
// the first that sends something readable.
class SocksUdpOwner {
 public:
  // `announced` is DST of UDP ASSOCIATE. Another address there than the one we see means
  // that something between us translates: then its port says nothing either.
  SocksUdpOwner(const IpAddress& client, const HostPort& announced);
  // Whether the sender of a readable datagram is, or becomes, the owner.
  [[nodiscard]] bool admits(const SocketAddress& sender);
  [[nodiscard]] const std::optional<SocketAddress>& address() const { return address_; }

 private:
  IpAddress client_;
  std::optional<SocketAddress> address_;
};

// Header of a datagram between a SOCKS5 client and the relay (RFC 1928 7): RSV, FRAG,
// ATYP, address, port. Fragments (FRAG != 0) are unsupported.
struct SocksDatagram {
  HostPort destination;
  ByteView payload;
};
[[nodiscard]] Decoded<SocksDatagram> decode_socks_datagram(ByteView datagram);
void encode_socks_datagram_header(const HostPort& source, Bytes& out);

}  // namespace culvert::tunnel
