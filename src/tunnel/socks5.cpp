#include "tunnel/socks5.h"

#include <algorithm>
#include <utility>

namespace culvert::tunnel {
namespace {

constexpr std::uint8_t kVersion = 5;
constexpr std::uint8_t kNoAuthentication = 0x00;
constexpr std::uint8_t kNoAcceptableMethod = 0xff;
constexpr std::uint8_t kCommandConnect = 0x01;
constexpr std::uint8_t kCommandUdpAssociate = 0x03;
enum AddressType : std::uint8_t { kIpv4 = 0x01, kDomain = 0x03, kIpv6 = 0x04 };

Decoded<std::string> read_domain(ByteReader& reader) {
  const auto length = reader.u8();
  if (!length) return std::unexpected(length.error());
  const auto name = reader.take(*length);
  if (!name) return std::unexpected(name.error());
  if (!is_plain_name(as_text(*name))) return std::unexpected(DecodeError::malformed);
  return std::string(as_text(*name));
}

template <std::size_t N>
Decoded<std::array<std::uint8_t, N>> read_array(ByteReader& reader) {
  const auto bytes = reader.take(N);
  if (!bytes) return std::unexpected(bytes.error());
  std::array<std::uint8_t, N> out{};
  std::ranges::copy(*bytes, out.begin());
  return out;
}

Decoded<std::string> read_host(ByteReader& reader) {
  const auto type = reader.u8();
  if (!type) return std::unexpected(type.error());
  switch (*type) {
    case kIpv4: {
      const auto bytes = read_array<4>(reader);
      if (!bytes) return std::unexpected(bytes.error());
      return IpAddress::v4(*bytes).text();
    }
    case kIpv6: {
      const auto bytes = read_array<16>(reader);
      if (!bytes) return std::unexpected(bytes.error());
      return IpAddress::v6(*bytes).text();
    }
    case kDomain:
      return read_domain(reader);
    default:
      return std::unexpected(DecodeError::unsupported);
  }
}

Decoded<HostPort> read_host_port(ByteReader& reader) {
  auto host = read_host(reader);
  if (!host) return std::unexpected(host.error());
  const auto port = reader.u16();
  if (!port) return std::unexpected(port.error());
  return HostPort{std::move(*host), *port};
}

void write_host_port(const HostPort& host_port, Bytes& out) {
  ByteWriter writer(out);
  if (const auto literal = host_port.literal()) {
    writer.u8(literal->ip.is_v4() ? kIpv4 : kIpv6);
    writer.raw(literal->ip.bytes());
  } else {
    const std::string_view name = std::string_view(host_port.host).substr(0, 255);
    writer.u8(kDomain);
    writer.u8(static_cast<std::uint8_t>(name.size()));
    writer.raw(as_bytes(name));
  }
  writer.u16(host_port.port);
}

}  // namespace

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return c > 0x20 && c < 0x7f && c != '[' && c != ']' && c != ':' && c != '/';
  });
}

std::size_t Socks5Server::handle_data(ByteView bytes) {
  const std::size_t before = input_.size();
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  std::size_t used = 0;
  while (state_ != State::done) {
    const ByteView rest = ByteView(input_).subspan(used);
    const auto took = state_ == State::greeting ? read_greeting(rest) : read_request(rest);
    if (took) {
      used += *took;
      continue;
    }
    if (took.error() == DecodeError::truncated) break;
    if (took.error() == DecodeError::unsupported) {
      refuse(SocksReply::address_type_not_supported, "an unknown type of address");
    } else {
      refuse(SocksReply::general_failure, "not a SOCKS5 request");
    }
  }
  if (state_ != State::done) {
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
    return bytes.size();
  }
  input_.clear();
  // `before` bytes came with earlier calls and were taken then.
  return used > before ? used - before : 0;
}

Decoded<std::size_t> Socks5Server::read_greeting(ByteView input) {
  ByteReader reader(input);
  const auto version = reader.u8();
  if (!version) return std::unexpected(version.error());
  if (*version != kVersion) {
    state_ = State::done;
    event_ = SocksRefused{"it does not speak SOCKS5"};  // no answer would be understood
    return input.size();
  }
  const auto count = reader.u8();
  if (!count) return std::unexpected(count.error());
  const auto methods = reader.take(*count);
  if (!methods) return std::unexpected(methods.error());
  const bool is_acceptable = std::ranges::find(*methods, kNoAuthentication) != methods->end();
  output_.push_back(kVersion);
  output_.push_back(is_acceptable ? kNoAuthentication : kNoAcceptableMethod);
  state_ = State::request;
  if (!is_acceptable) {
    state_ = State::done;
    event_ = SocksRefused{"it wants a user name or other authentication; set it to none"};
  }
  return input.size() - reader.rest().size();
}

Decoded<std::size_t> Socks5Server::read_request(ByteView input) {
  ByteReader reader(input);
  const auto version = reader.u8();
  const auto command = reader.u8();
  const auto reserved = reader.u8();
  if (!version || !command || !reserved) return std::unexpected(DecodeError::truncated);
  if (*version != kVersion) return std::unexpected(DecodeError::malformed);
  auto destination = read_host_port(reader);
  if (!destination) return std::unexpected(destination.error());
  const std::size_t size = input.size() - reader.rest().size();
  if (*command == kCommandConnect) {
    state_ = State::done;
    event_ = SocksConnect{std::move(*destination)};
  } else if (*command == kCommandUdpAssociate) {
    state_ = State::done;
    event_ = SocksUdpAssociate{std::move(*destination)};
  } else {
    refuse(SocksReply::command_not_supported, "only CONNECT and UDP ASSOCIATE are there");
  }
  return size;
}

void Socks5Server::refuse(SocksReply code, std::string_view why) {
  const Bytes answer = reply(code, {});
  output_.insert(output_.end(), answer.begin(), answer.end());
  state_ = State::done;
  event_ = SocksRefused{why};
}

std::optional<SocksEvent> Socks5Server::poll_event() {
  return std::exchange(event_, std::nullopt);
}

Bytes Socks5Server::take_output() {
  return std::exchange(output_, {});
}

Bytes Socks5Server::reply(SocksReply code, const SocketAddress& bound) {
  Bytes out{kVersion, static_cast<std::uint8_t>(code), 0};
  write_host_port({bound.ip.text(), bound.port}, out);
  return out;
}

SocksUdpOwner::SocksUdpOwner(const IpAddress& client, const HostPort& announced) : client_(client) {
  const auto literal = announced.literal();
  if (!literal || literal->port == 0) return;
  if (literal->ip.is_unspecified() || literal->ip == client) {
    address_ = SocketAddress{client, literal->port};
  }
}

bool SocksUdpOwner::admits(const SocketAddress& sender) {
  if (!address_ && sender.ip == client_) address_ = sender;
  return address_ == sender;
}

Decoded<SocksDatagram> decode_socks_datagram(ByteView datagram) {
  ByteReader reader(datagram);
  const auto reserved = reader.u16();
  const auto fragment = reader.u8();
  if (!reserved || !fragment) return std::unexpected(DecodeError::truncated);
  if (*reserved != 0) return std::unexpected(DecodeError::malformed);
  if (*fragment != 0) return std::unexpected(DecodeError::unsupported);
  auto destination = read_host_port(reader);
  if (!destination) return std::unexpected(destination.error());
  return SocksDatagram{std::move(*destination), reader.rest()};
}

void encode_socks_datagram_header(const HostPort& source, Bytes& out) {
  ByteWriter writer(out);
  writer.u16(0);
  writer.u8(0);
  write_host_port(source, out);
}

}  // namespace culvert::tunnel
