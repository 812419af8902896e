// Text from users and peers into addresses and bytes: what is accepted prints and reads back
// as the same value.
#include "base/address.h"
#include "base/assert.h"
#include "base/encoding.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace culvert;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto reads_back = [&]<typename T>(const Result<T>& parsed) {
    if (parsed) CULVERT_ASSERT(T::parse(parsed->text()) == *parsed);
  };
  reads_back(IpAddress::parse(text));
  reads_back(SocketAddress::parse(text));
  reads_back(HostPort::parse(text));
  reads_back(Cidr::parse(text));
  // Where one text has one meaning, decoding and encoding are inverse.
  if (const auto bytes = base64url_decode(text)) CULVERT_ASSERT(base64url_encode(*bytes) == text);
  if (const auto bytes = base64_decode(text)) CULVERT_ASSERT(bytes->size() <= size);
  if (const auto bytes = base32_decode(text))
    CULVERT_ASSERT(base32_decode(base32_encode(*bytes)) == *bytes);
  if (const auto bytes = hex_decode(text)) CULVERT_ASSERT(bytes->size() * 2 == size);
  return 0;
}
