#include "app/ticket.h"

#include "base/bytes.h"
#include "base/encoding.h"
#include "base/limits.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace culvert::app {
namespace {

constexpr std::string_view kPrefix = "culvert";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kChecksumBytes = 2;

std::unexpected<Error> refuse(std::string what) {
  return fail(ErrorKind::configuration, std::move(what), "ticket");
}

Decoded<SocketAddress> read_address(ByteReader& reader) {
  CULVERT_TRY(const std::uint8_t family, reader.u8());
  if (family != 4 && family != 6) return std::unexpected(DecodeError::unsupported);
  SocketAddress address;
  if (family == 4) {
    std::array<std::uint8_t, 4> bytes{};
    CULVERT_TRY(const ByteView raw, reader.take(bytes.size()));
    std::ranges::copy(raw, bytes.begin());
    address.ip = IpAddress::v4(bytes);
  } else {
    std::array<std::uint8_t, 16> bytes{};
    CULVERT_TRY(const ByteView raw, reader.take(bytes.size()));
    std::ranges::copy(raw, bytes.begin());
    address.ip = IpAddress::v6(bytes);
    // The encoder writes mapped addresses as IPv4: one address, one spelling.
    if (address.ip.is_v4()) return std::unexpected(DecodeError::malformed);
  }
  CULVERT_TRY(address.port, reader.u16());
  if (address.port == 0) return std::unexpected(DecodeError::malformed);
  return address;
}

Decoded<Ticket> read_body(ByteView body) {
  ByteReader reader(body);
  CULVERT_TRY(const std::uint8_t version, reader.u8());
  if (version != kVersion) return std::unexpected(DecodeError::unsupported);
  CULVERT_TRY(const ByteView key, reader.take(crypto::EndpointId::kSize));
  const auto id = crypto::EndpointId::from_bytes(key);
  if (!id) return std::unexpected(DecodeError::malformed);
  Ticket ticket{*id, {}};
  CULVERT_TRY(const std::uint8_t count, reader.u8());
  if (count > limits::kMaxTicketAddresses) return std::unexpected(DecodeError::oversize);
  for (unsigned i = 0; i < count; ++i) {
    CULVERT_TRY(const SocketAddress address, read_address(reader));
    ticket.addresses.push_back(address);
  }
  if (!reader.is_empty()) return std::unexpected(DecodeError::malformed);
  return ticket;
}

}  // namespace

bool Ticket::looks_like(std::string_view text) {
  return text.size() > kPrefix.size() &&
         std::ranges::equal(text.substr(0, kPrefix.size()), kPrefix, {}, [](char c) {
           return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
         });
}

Result<Ticket> Ticket::parse(std::string_view text) {
  if (!looks_like(text)) return refuse("a ticket starts with \"culvert\"");
  if (text.size() > limits::kMaxTicketTextBytes) return refuse("is too long for a ticket");
  const auto bytes = base32_decode(text.substr(kPrefix.size()));
  if (!bytes) return refuse("holds a character that no ticket has, or lost its end");
  if (bytes->size() < 1 + kChecksumBytes) return refuse("is cut short");
  // The checksum first: a typing error is likelier than anything else.
  const ByteView body = ByteView(*bytes).first(bytes->size() - kChecksumBytes);
  ByteReader trailer(ByteView(*bytes).last(kChecksumBytes));
  if (*trailer.u16() != crc16_ccitt_false(body)) {
    return refuse("its checksum is wrong: a character was changed or lost");
  }
  auto ticket = read_body(body);
  if (ticket) return std::move(*ticket);
  if (body[0] != kVersion) {
    return refuse("is of version " + std::to_string(body[0]) + "; this program knows version " +
                  std::to_string(kVersion));
  }
  return refuse("is not made by culvert: " + std::string(to_string(ticket.error())));
}

std::string Ticket::text() const {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u8(kVersion);
  writer.raw(id.bytes());
  const std::size_t count = std::min(addresses.size(), limits::kMaxTicketAddresses);
  writer.u8(static_cast<std::uint8_t>(count));
  for (const SocketAddress& address : std::span(addresses).first(count)) {
    writer.u8(address.ip.is_v4() ? 4 : 6);
    writer.raw(address.ip.bytes());
    writer.u16(address.port);
  }
  writer.u16(crc16_ccitt_false(bytes));
  return std::string(kPrefix) + base32_encode(bytes);
}

}  // namespace culvert::app
