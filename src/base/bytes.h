// Views of bytes, and bounds-checked readers and writers of network byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;  // borrowed until the call returns
using ByteSpan = std::span<std::uint8_t>;

// Why a decoder refused its input. Decoders on the packet path return this:
// no allocation, no text.
enum class DecodeError : std::uint8_t {
  truncated,    // input ends before the value does; a stream reader may wait for more
  oversize,     // a length exceeds its documented limit
  malformed,    // bytes that no encoder produces
  unsupported,  // well formed, but a version or type we do not speak
};
[[nodiscard]] std::string_view to_string(DecodeError error);

template <typename T>
using Decoded = std::expected<T, DecodeError>;

// Reads big-endian integers and QUIC varints (RFC 9000 16) from a view.
// After a failure the reader's position is unspecified; stop using it.
class ByteReader {
 public:
  explicit ByteReader(ByteView input) : rest_(input) {}

  [[nodiscard]] Decoded<std::uint8_t> u8();
  [[nodiscard]] Decoded<std::uint16_t> u16();
  [[nodiscard]] Decoded<std::uint32_t> u32();
  [[nodiscard]] Decoded<std::uint64_t> u64();
  [[nodiscard]] Decoded<std::uint64_t> varint();
  [[nodiscard]] Decoded<ByteView> take(std::size_t count);
  // A varint length, checked against `limit`, then that many bytes.
  [[nodiscard]] Decoded<ByteView> prefixed(std::size_t limit);

  [[nodiscard]] ByteView rest() const { return rest_; }
  [[nodiscard]] bool is_empty() const { return rest_.empty(); }

 private:
  ByteView rest_;
};

// Appends to a caller-owned vector.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void varint(std::uint64_t value);  // value < 2^62, asserted
  void raw(ByteView bytes);
  void prefixed(ByteView bytes);  // varint length, then the bytes

 private:
  Bytes& out_;
};

// Encoded size of a QUIC varint: 1, 2, 4 or 8.
[[nodiscard]] std::size_t varint_size(std::uint64_t value);
// Writes it at the beginning of `out`, which has room; returns its size. value < 2^62, asserted.
std::size_t encode_varint(std::uint64_t value, ByteSpan out);

[[nodiscard]] inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace culvert
