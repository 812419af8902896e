// Any text: parsing never crashes, and what parses is written back as it was.
#include "app/ticket.h"
#include "base/encoding.h"
#include "base/limits.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using culvert::app::Ticket;
  const auto check = [](std::string_view text) {
    const auto ticket = Ticket::parse(text);
    if (!ticket) return;
    if (ticket->addresses.size() > culvert::limits::kMaxTicketAddresses) std::abort();
    const auto again = Ticket::parse(ticket->text());
    if (!again || *again != *ticket) std::abort();
  };
  const culvert::ByteView input(data, size);
  check(culvert::as_text(input));
  // The same bytes as a body with its checksum made right, to get past it.
  culvert::Bytes body(input.begin(), input.end());
  culvert::ByteWriter(body).u16(culvert::crc16_ccitt_false(body));
  check("culvert" + culvert::base32_encode(body));
  return 0;
}
