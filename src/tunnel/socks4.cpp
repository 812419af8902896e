#include "tunnel/socks4.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace culvert::tunnel {
namespace {

constexpr std::uint8_t kSocks4Version = 4;
constexpr std::uint8_t kSocks4Connect = 1;
constexpr std::uint8_t kGranted = 0x5a;
constexpr std::uint8_t kRejected = 0x5b;
constexpr std::size_t kMaxText = 255;  // a user name or host name; no host name is longer

// Up to a zero byte, which is taken with it.
Decoded<std::string> read_text(ByteReader& reader) {
  const ByteView rest = reader.rest();
  const auto end = std::ranges::find(rest, std::uint8_t{0});
  const auto size = static_cast<std::size_t>(end - rest.begin());
  if (size > kMaxText) return std::unexpected(DecodeError::oversize);
  if (end == rest.end()) return std::unexpected(DecodeError::truncated);
  std::string text(as_text(rest.first(size)));
  static_cast<void>(reader.take(size + 1));
  return text;
}

}  // namespace

std::size_t Socks4Server::handle_data(ByteView bytes) {
  if (is_done_) return 0;
  const std::size_t before = input_.size();
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  const auto took = read_request(input_);
  if (took) {
    is_done_ = true;
    return *took - before;  // an earlier call would have seen its end
  }
  if (took.error() == DecodeError::truncated) return bytes.size();
  is_done_ = true;
  output_ = reply(SocksReply::general_failure);
  event_ = SocksRefused{took.error() == DecodeError::unsupported
                            ? "it asks for more than CONNECT, which is all that SOCKS4 has here"
                            : "not a SOCKS4 request"};
  return bytes.size();
}

Decoded<std::size_t> Socks4Server::read_request(ByteView input) {
  ByteReader reader(input);
  const auto version = reader.u8();
  const auto command = reader.u8();
  const auto port = reader.u16();
  const auto address = reader.take(4);
  if (version && *version != kSocks4Version) return std::unexpected(DecodeError::malformed);
  if (command && *command != kSocks4Connect) return std::unexpected(DecodeError::unsupported);
  if (!port || !address) return std::unexpected(DecodeError::truncated);
  const auto user = read_text(reader);
  if (!user) return std::unexpected(user.error());
  std::array<std::uint8_t, 4> octets{};
  std::ranges::copy(*address, octets.begin());
  std::string host = IpAddress::v4(octets).text();
  // 4A: 0.0.0.x stands for a name behind the user id.
  if (octets[0] == 0 && octets[1] == 0 && octets[2] == 0 && octets[3] != 0) {
    auto name = read_text(reader);
    if (!name) return std::unexpected(name.error());
    if (!is_plain_name(*name)) return std::unexpected(DecodeError::malformed);
    host = std::move(*name);
  }
  event_ = SocksConnect{HostPort{std::move(host), *port}};
  return input.size() - reader.rest().size();
}

std::optional<SocksEvent> Socks4Server::poll_event() {
  return std::exchange(event_, std::nullopt);
}

Bytes Socks4Server::take_output() {
  return std::exchange(output_, {});
}

Bytes Socks4Server::reply(SocksReply code) {
  return {0, code == SocksReply::succeeded ? kGranted : kRejected, 0, 0, 0, 0, 0, 0};
}

}  // namespace culvert::tunnel
