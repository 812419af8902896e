#include "role/client_dials.h"

#include "base/limits.h"
#include "base/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::role {

ClientDials::ClientDials(peer::ClientContext& context, const peer::ClientSession& session,
                         peer::PeerAddresses& addresses, ClientDialsOwner& owner)
    : context_(context),
      session_(session),
      addresses_(addresses),
      owner_(owner),
      refusals_(context.worker),
      timeout_(context.worker.timers(), *this) {}

// --- beginning -----------------------------------------------------------------------------------

// Every address at once: the first to complete TLS carries the session. What is found from now on
// joins them at once.
void ClientDials::begin(Instant now, Duration timeout) {
  timeout_.set(now + timeout);
  failures_.clear();
  dialled_.clear();
  is_busy_ = is_nobody_ = false;
  winner_ = nullptr;
  refusals_.set(true);
  addresses_.search(now);
  for (const path::Candidate& candidate : addresses_.candidates()) dial(now, candidate.remote);
  fail_if_hopeless(now);
  context_.worker.host().request_turn_end();
}

// As the routes say, unless they lead into a tunnel that we may carry, or where the user does not
// want it: then from our other addresses.
void ClientDials::dial(Instant now, const SocketAddress& address, bool is_second) {
  dialled_.push_back(address);
  last_begun_ = now;
  const auto ours = context_.worker.host().local_addresses();
  const auto local_ip = context_.worker.host().local_address_towards(address.ip);
  const auto routed = local_ip ? std::ranges::find(ours, *local_ip, &LocalAddress::ip) : ours.end();
  if (routed == ours.end() || session_.choice().may_use(*routed)) {
    begin_dial(now, address, {}, is_second);
    return;
  }
  const bool may_follow_route = routed->use == AddressUse::inner && session_.choice().is_cut_off();
  const std::size_t before = dials_.size();
  if (may_follow_route) begin_dial(now, address, {}, is_second);
  context_.worker.pin_local_addresses();
  for (const LocalAddress& local : ours) {
    const bool fits = local.ip.family() == address.ip.family() &&
                      local.ip.is_loopback() == address.ip.is_loopback();
    // Who has all routes lead into a VPN wants no packets beside it, but where they worked.
    const bool is_wanted = may_follow_route ? local.ip == session_.choice().proven_local() : true;
    if (fits && is_wanted && session_.choice().may_use(local)) {
      begin_dial(now, address, local.ip, is_second);
    }
  }
  if (dials_.size() > before) return;
  CULVERT_PROBE("role.a server is only behind an interface that is left out");
  failures_.push_back({ErrorKind::unreachable,
                       "is reached only by an interface that is left out (--exclude-interface)",
                       address.text()});
}

void ClientDials::begin_dial(Instant now, const SocketAddress& address,
                             std::optional<IpAddress> local, bool is_second) {
  auto dial =
      std::make_unique<peer::ClientDial>(context_.worker, context_.config,
                                         peer::DialOptions{.server = address,
                                                           .local = local,
                                                           .ticket = session_.ticket(),
                                                           .worker = session_.server_worker(),
                                                           .is_second = is_second},
                                         *this);
  if (auto started = dial->start(now); !started) {
    failures_.push_back({started.error().kind, started.error().text(), address.text()});
    return;
  }
  dials_.push_back(std::move(dial));
}

void ClientDials::on_addresses(Instant now) {
  const bool is_trying = timeout_.is_set() && winner_ == nullptr;
  if (!is_trying) return;  // the next try has use for it
  for (const path::Candidate& candidate : addresses_.candidates()) {
    const SocketAddress& remote = candidate.remote;
    if (std::ranges::find(dialled_, remote) == dialled_.end()) dial(now, remote);
  }
  fail_if_hopeless(now);
  context_.worker.host().request_turn_end();
}

// Not from inside a call of the owner's.
void ClientDials::fail_if_hopeless(Instant now) {
  if (dials_.empty() && !addresses_.is_searching()) timeout_.set(now);
}

// Beside the first dials, whose answer may be on its slow way.
void ClientDials::begin_once_more(Instant now) {
  CULVERT_PROBE("role.a client dials once more beside a dial");
  for (auto& dial : dials_) {
    if (!dial->is_second()) continue;
    dial->abandon(now, session::CloseCode::moved, "dialled anew");
    context_.worker.bury(std::move(dial));
  }
  std::erase(dials_, nullptr);
  addresses_.search(now);
  for (const path::Candidate& candidate : addresses_.candidates()) {
    dial(now, candidate.remote, true);
  }
  context_.worker.host().request_turn_end();
}

// --- what becomes of them ------------------------------------------------------------------------

void ClientDials::on_transport_ready(Instant now, peer::ClientDial& dial) {
  context_.worker.log().info("session", "Connected to server! {}", dial.server().text());
  winner_ = &dial;
  abandon_all_but(now, &dial, session::CloseCode::moved, "another address answered first");
}

void ClientDials::on_dialled(Instant now, peer::ClientDial& dial, peer::Dialled dialled) {
  forget(dial);
  winner_ = nullptr;
  timeout_.cancel();
  owner_.on_dialled(now, std::move(dialled));
}

void ClientDials::on_dial_failed(Instant now, peer::ClientDial& dial, peer::DialFailure failure) {
  const bool was_winner = winner_ == &dial;
  forget(dial);
  if (was_winner) {
    fail(now, std::move(failure));
    return;
  }
  // Another address may still lead to the server: a stale one may belong to somebody else.
  failure.error.offender = dial.server().text();
  failures_.push_back(std::move(failure.error));
  is_busy_ = is_busy_ || failure.is_busy;
  is_nobody_ = is_nobody_ || failure.is_nobody;
  if (dials_.empty() && !addresses_.is_searching()) {
    fail(now, {.error = error(), .is_busy = is_busy_});
  }
}

void ClientDials::on_refused(Instant now, const UdpRefusal& refusal) {
  // Two dials may be on their way there. Those from addresses of our choice go on: a firewall
  // behind one interface does not speak for the others.
  for (const auto& dial : dials_) {
    if (dial->server() == refusal.remote && !dial->has_local()) dial->on_refused(now, refusal);
  }
}

void ClientDials::on_timeout(Instant now) {
  fail(now, {.error = error()});
}

void ClientDials::fail(Instant now, peer::DialFailure failure) {
  timeout_.cancel();
  owner_.on_try_failed(now, std::move(failure));
}

// Why no address led to the server. Where every one led to somebody else, trying again
// cannot help: that is a failure of authentication.
Error ClientDials::error() const {
  std::string text = "could not connect to the server";
  bool has_wrong_peers_only = dials_.empty();
  for (const Error& failure : failures_) {
    text += "; " + failure.text();
    has_wrong_peers_only = has_wrong_peers_only && failure.kind == ErrorKind::authentication;
  }
  for (const Error& failure : addresses_.failures()) {
    text += "; " + failure.text();
    has_wrong_peers_only = false;
  }
  for (const auto& dial : dials_) {
    if (dial->is_second()) continue;
    text += fmt::format("; {}: no answer over UDP{}", dial->server().text(),
                        dial->is_said_refused() ? " (ICMP says that nobody listens there)" : "");
  }
  if (!dials_.empty()) {
    text += "; is the server running, and do all firewalls on the way let UDP through to its port?";
  } else if (is_nobody_) {
    text += "; is the server running, is this its port, and does a firewall reject UDP?";
  }
  return {has_wrong_peers_only ? ErrorKind::authentication : ErrorKind::unreachable,
          std::move(text),
          {}};
}

void ClientDials::forget(const peer::ClientDial& dial) {
  const auto found = std::ranges::find(dials_, &dial, &std::unique_ptr<peer::ClientDial>::get);
  if (found == dials_.end()) return;
  context_.worker.bury(std::move(*found));
  dials_.erase(found);
}

void ClientDials::abandon(Instant now, session::CloseCode code, std::string_view why) {
  timeout_.cancel();
  abandon_all_but(now, nullptr, code, why);
  winner_ = nullptr;
}

void ClientDials::abandon_all_but(Instant now, const peer::ClientDial* winner,
                                  session::CloseCode code, std::string_view why) {
  for (auto& dial : dials_) {
    if (dial.get() == winner) continue;
    dial->abandon(now, code, why);
    context_.worker.bury(std::move(dial));
  }
  std::erase(dials_, nullptr);
}

}  // namespace culvert::role
