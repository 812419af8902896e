// What peers and users name: sources, targets, allow lists; and what local programs send to
// the proxy port. Accepted texts print and read back as the same value.
#include "base/assert.h"
#include "base/limits.h"
#include "tunnel/allow_list.h"
#include "tunnel/proxy_server.h"
#include "tunnel/socks5.h"
#include "tunnel/source.h"

namespace {

using namespace culvert;
using namespace culvert::tunnel;

void fuzz_proxy(ByteView input) {
  ProxyServer proxy;
  std::size_t given = 0;
  std::size_t taken = 0;
  bool is_decided = false;
  while (given < input.size() && !is_decided) {
    const std::size_t size = std::min<std::size_t>(input.size() - given, 1 + input[given] % 13);
    const std::size_t used = proxy.handle_data(input.subspan(given, size));
    CULVERT_ASSERT(used <= size);
    given += size;
    taken += used;
    const auto event = proxy.poll_event();
    is_decided = event.has_value();
    if (const auto* connect = event ? std::get_if<SocksConnect>(&*event) : nullptr) {
      // What it names is a source that reads back.
      const auto source = Source::parse("tcp://" + connect->destination.text());
      CULVERT_ASSERT(!source || Source::parse(source->text()) == *source);
    }
  }
  CULVERT_ASSERT(taken <= given && taken <= limits::kProxyHeadBytes);
  CULVERT_ASSERT(proxy.take_output().size() <= 128);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  const std::string_view text = as_text(input);
  if (const auto source = Source::parse_range(text)) {
    CULVERT_ASSERT(Source::parse_range(source->text()) == *source);
  }
  if (const auto target = Target::parse(text); target && !target->protocol) {
    CULVERT_ASSERT(Target::parse(target->text()) == *target);
  }
  AllowList list;
  if (list.add(text)) (void)list.allows({IpAddress::v4(0x7f000001), 80});
  UnixAllowList unix_list;
  if (unix_list.add(text)) (void)unix_list.allows(text);
  fuzz_proxy(input);
  if (const auto datagram = decode_socks_datagram(input)) {
    Bytes header;
    encode_socks_datagram_header(datagram->destination, header);
    const auto again = decode_socks_datagram(header);
    CULVERT_ASSERT(again && again->destination == datagram->destination);
  }
  return 0;
}
