#include "app/ticket.h"
#include "base/limits.h"
#include "base/trimmed.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/role_options.h"

#include <fmt/format.h>

namespace culvert::cli {
namespace {

using settings::Id;

Status show(const app::Ticket& ticket, bool is_json) {
  std::vector<std::string> addresses;
  for (const SocketAddress& address : ticket.addresses) addresses.push_back(address.text());
  if (is_json) {
    print_json({{"endpoint_id", ticket.id.text()}, {"addresses", addresses}});
    return {};
  }
  print_line(fmt::format("EndpointId: {}", ticket.id.text()));
  for (const std::string& address : addresses) print_line(fmt::format("Address: {}", address));
  return {};
}

}  // namespace

Status cmd_ticket(const settings::Settings& settings, const settings::Arguments& arguments) {
  const bool is_json = settings.flag(Id::json);
  if (arguments.operands.size() > 1) {
    return fail(ErrorKind::configuration, "one ticket at a time", arguments.operands[1]);
  }
  if (!arguments.operands.empty()) {
    CULVERT_TRY(const app::Ticket ticket, app::Ticket::parse(trimmed(arguments.operands[0])));
    return show(ticket, is_json);
  }
  if (!settings.has(Id::server_node_id)) {
    return fail(ErrorKind::configuration,
                "give a ticket to look at, or -n ID with --address for a new one");
  }
  app::Ticket ticket;
  CULVERT_TRY(ticket.id, parse_value(settings.value(Id::server_node_id), parse_endpoint_id));
  for (const settings::Value& value : settings.values(Id::addresses)) {
    CULVERT_TRY(const HostPort place, parse_value(value, HostPort::parse));
    const auto address = place.literal();
    if (!address) {
      return fail(ErrorKind::configuration,
                  "a ticket holds IP addresses, no names; whoever has the EndpointId can give the "
                  "client this name with --address",
                  place.text());
    }
    ticket.addresses.push_back(*address);
  }
  if (ticket.addresses.empty() || ticket.addresses.size() > limits::kMaxTicketAddresses) {
    return fail(ErrorKind::configuration,
                fmt::format("a ticket holds 1 to {} addresses, not {}", limits::kMaxTicketAddresses,
                            ticket.addresses.size()),
                "--address");
  }
  if (is_json) {
    print_json({{"ticket", ticket.text()}});
  } else {
    print_line(ticket.text());
  }
  return {};
}

}  // namespace culvert::cli
