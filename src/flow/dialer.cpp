#include "flow/dialer.h"

#include "drive/worker.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::flow {

using session::RefusalCode;

bool allows(const tunnel::SourcePolicy& policy, const StreamAddress& address,
            tunnel::Protocol protocol) {
  if (const auto* path = std::get_if<UnixPath>(&address)) {
    return policy.unix_sockets.allows(path->path);
  }
  return policy.list_for(protocol).allows(std::get<SocketAddress>(address));
}

SourceLookup::SourceLookup(Host& host, SharedSourcePolicy policy, tunnel::Source source,
                           const peer::LookupShare& lookups, AddressHandler& handler)
    : policy_(std::move(policy)),
      source_(std::move(source)),
      handler_(handler),
      use_(lookups),
      lookup_(host.resolve(source_.host_port.host, Purpose::flow, *this)) {}

void SourceLookup::on_resolved(Instant now, Result<std::vector<IpAddress>> addresses) {
  use_.release();
  if (!addresses) {
    const bool is_limit = addresses.error().kind == ErrorKind::limit;
    handler_.on_no_address(
        now, is_limit ? RefusalCode::limit : RefusalCode::not_resolved,
        fmt::format("Source '{}': {}", source_.text(), addresses.error().text()));
    return;
  }
  auto allowed = tunnel::allowed_addresses(*policy_, source_, *addresses);
  if (!allowed) {
    handler_.on_no_address(now, RefusalCode::not_allowed, allowed.error().what);
    return;
  }
  handler_.on_addresses(now, std::move(*allowed));
}

Dialer::Dialer(drive::Worker& worker, SharedSourcePolicy policy, const tunnel::Source& source,
               peer::DescriptorShare& descriptors, const peer::LookupShare& lookups,
               DialHandler& handler)
    : worker_(worker),
      policy_(std::move(policy)),
      source_(source),
      descriptors_(descriptors),
      lookups_(lookups),
      handler_(handler),
      timer_(worker.timers(), *this) {}

Dialer::~Dialer() = default;

void Dialer::start(Instant now) {
  if (source_.protocol != tunnel::Protocol::unix_stream) {
    lookup_ = std::make_unique<SourceLookup>(worker_.host(), policy_, source_, lookups_, *this);
    return;
  }
  if (!policy_->unix_sockets.allows(source_.path)) {
    handler_.on_dial_failed(now, RefusalCode::not_allowed,
                            fmt::format("Source '{}' not in allowed sockets {}", source_.text(),
                                        policy_->unix_sockets.text()));
    return;
  }
  attempts_.push_back(std::make_unique<Attempt>());
  attempts_[0]->dialer = this;
  const UnixPath address{source_.path,
                         std::string(policy_->unix_sockets.directory_for(source_.path))};
  auto port = connect(address, *attempts_[0]);
  if (!port) {
    on_failed(now, 0, port.error());
    return;
  }
  attempts_[0]->port = std::move(*port);
}

void Dialer::on_addresses(Instant now, std::vector<SocketAddress> addresses) {
  attempts_.resize(addresses.size());
  eyeballs_ = std::make_unique<tunnel::HappyEyeballs>(std::move(addresses), now);
  advance(now);
}

void Dialer::on_no_address(Instant now, RefusalCode code, const std::string& reason) {
  handler_.on_dial_failed(now, code, reason);
}

Result<std::unique_ptr<StreamPort>> Dialer::connect(const StreamAddress& address,
                                                    Attempt& attempt) {
  if (descriptors_.is_full()) {
    has_met_limit_ = true;
    return fail(ErrorKind::limit, descriptors_.refusal());
  }
  auto port = worker_.host().connect_stream(address, Purpose::flow, attempt);
  if (port) {
    attempt.descriptor = peer::DescriptorUse(descriptors_);
  } else if (port.error().kind == ErrorKind::limit) {
    has_met_limit_ = true;
  }
  return port;
}

void Dialer::advance(Instant now) {
  while (const auto index = eyeballs_->poll_attempt(now)) {
    auto attempt = std::make_unique<Attempt>();
    attempt->dialer = this;
    attempt->index = *index;
    auto port = connect(eyeballs_->address(*index), *attempt);
    if (!port) {
      eyeballs_->handle_failure(*index, port.error());
      continue;
    }
    attempt->port = std::move(*port);
    attempts_[*index] = std::move(attempt);
  }
  if (eyeballs_->is_exhausted(now)) {
    const RefusalCode code = has_met_limit_                     ? RefusalCode::limit
                             : eyeballs_->is_refused()          ? RefusalCode::dial_refused
                             : now >= eyeballs_->next_timeout() ? RefusalCode::dial_timeout
                                                                : RefusalCode::unreachable;
    handler_.on_dial_failed(
        now, code, fmt::format("Source '{}': {}", source_.text(), eyeballs_->error(now).text()));
    return;
  }
  timer_.set(eyeballs_->next_timeout());
}

void Dialer::on_connected(Instant now, std::size_t index) {
  timer_.cancel();
  StreamAddress address = UnixPath{source_.path};
  if (eyeballs_) address = eyeballs_->address(index);
  // The handler takes the port over and may destroy us and the attempt with it.
  std::unique_ptr<StreamPort> port = std::move(attempts_[index]->port);
  handler_.on_dialled(now, std::move(port), address);
}

void Dialer::on_failed(Instant now, std::size_t index, const Error& error) {
  if (!eyeballs_) {
    RefusalCode code =
        error.kind == ErrorKind::refused ? RefusalCode::not_allowed : RefusalCode::dial_refused;
    if (has_met_limit_) code = RefusalCode::limit;
    handler_.on_dial_failed(now, code, fmt::format("Source '{}': {}", source_.text(), error.what));
    return;
  }
  eyeballs_->handle_failure(index, error);
  advance(now);
}

}  // namespace culvert::flow
