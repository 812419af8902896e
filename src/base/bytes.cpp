#include "base/bytes.h"

#include "base/assert.h"

#include <array>

namespace culvert {

std::string_view to_string(DecodeError error) {
  switch (error) {
    case DecodeError::truncated:
      return "truncated";
    case DecodeError::oversize:
      return "oversize";
    case DecodeError::malformed:
      return "malformed";
    case DecodeError::unsupported:
      return "unsupported";
  }
  return "unknown";
}

namespace {

template <typename Integer>
Decoded<Integer> big_endian(ByteView& rest) {
  if (rest.size() < sizeof(Integer)) return std::unexpected(DecodeError::truncated);
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<Integer>((static_cast<std::uint64_t>(value) << 8) | rest[i]);
  }
  rest = rest.subspan(sizeof(Integer));
  return value;
}

template <typename Integer>
void put_big_endian(Bytes& out, Integer value) {
  for (std::size_t i = sizeof(Integer); i-- > 0;) {
    out.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

}  // namespace

Decoded<std::uint8_t> ByteReader::u8() {
  return big_endian<std::uint8_t>(rest_);
}
Decoded<std::uint16_t> ByteReader::u16() {
  return big_endian<std::uint16_t>(rest_);
}
Decoded<std::uint32_t> ByteReader::u32() {
  return big_endian<std::uint32_t>(rest_);
}
Decoded<std::uint64_t> ByteReader::u64() {
  return big_endian<std::uint64_t>(rest_);
}

Decoded<std::uint64_t> ByteReader::varint() {
  if (rest_.empty()) return std::unexpected(DecodeError::truncated);
  const std::size_t size = std::size_t{1} << (rest_[0] >> 6);
  if (rest_.size() < size) return std::unexpected(DecodeError::truncated);
  std::uint64_t value = rest_[0] & 0x3f;
  for (std::size_t i = 1; i < size; ++i) value = (value << 8) | rest_[i];
  rest_ = rest_.subspan(size);
  return value;
}

Decoded<ByteView> ByteReader::take(std::size_t count) {
  if (rest_.size() < count) return std::unexpected(DecodeError::truncated);
  const ByteView taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

Decoded<ByteView> ByteReader::prefixed(std::size_t limit) {
  const auto size = varint();
  if (!size) return std::unexpected(size.error());
  if (*size > limit) return std::unexpected(DecodeError::oversize);
  return take(static_cast<std::size_t>(*size));
}

void ByteWriter::u8(std::uint8_t value) {
  out_.push_back(value);
}
void ByteWriter::u16(std::uint16_t value) {
  put_big_endian(out_, value);
}
void ByteWriter::u32(std::uint32_t value) {
  put_big_endian(out_, value);
}
void ByteWriter::u64(std::uint64_t value) {
  put_big_endian(out_, value);
}

void ByteWriter::varint(std::uint64_t value) {
  std::array<std::uint8_t, 8> encoded;
  raw(ByteView(encoded).first(encode_varint(value, encoded)));
}

void ByteWriter::raw(ByteView bytes) {
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

void ByteWriter::prefixed(ByteView bytes) {
  varint(bytes.size());
  raw(bytes);
}

std::size_t encode_varint(std::uint64_t value, ByteSpan out) {
  const std::size_t size = varint_size(value);
  const std::uint64_t prefix = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
  const std::uint64_t tagged = value | (prefix << (8 * size - 2));
  for (std::size_t i = 0; i < size; ++i) {
    out[i] = static_cast<std::uint8_t>(tagged >> (8 * (size - 1 - i)));
  }
  return size;
}

std::size_t varint_size(std::uint64_t value) {
  CULVERT_ASSERT(value < (std::uint64_t{1} << 62));
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  return value < 0x40000000 ? 4 : 8;
}

}  // namespace culvert
