// What is read of long headers without ngtcp2, on arbitrary bytes: how much of a datagram belongs
// to the handshake, and whose packet an ICMP error quotes. Neither goes beyond its bytes.
#include "base/assert.h"
#include "base/limits.h"
#include "quic/connection_id.h"
#include "quic/early_packets.h"

#include <algorithm>

namespace {

using namespace culvert;
using namespace culvert::quic;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView datagram(data, size);
  const std::size_t part = handshake_part(datagram);
  CULVERT_ASSERT(part <= size);
  CULVERT_ASSERT(part == size || (datagram[part] & 0x80) == 0);
  CULVERT_ASSERT(handshake_part(datagram.first(part)) == part);

  EarlyPackets packets;
  CULVERT_ASSERT(packets.hold({}, Ecn::not_ect, datagram).size() == part);
  CULVERT_ASSERT(packets.is_empty() || part < size);
  for (const EarlyPackets::Packet& packet : packets.take()) {
    CULVERT_ASSERT(packet.bytes.size() == size - part &&
                   packet.bytes.size() <= limits::kEarlyPacketBytes);
  }

  if (const auto id = source_id_of(datagram)) {
    CULVERT_ASSERT(id->size <= ConnectionId::kMaxSize && id->size < size);
    const auto found = std::ranges::search(datagram, id->view());
    CULVERT_ASSERT(id->size == 0 || !found.empty());
  }
  return 0;
}
