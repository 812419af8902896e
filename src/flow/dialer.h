// The server's way to a source: resolve once, keep only allowed addresses, dial them by
// Happy Eyeballs. One object per flow that is being opened; destroy it to cancel.
#pragma once

#include "peer/descriptor_share.h"
#include "peer/lookup_share.h"
#include "ports/ports.h"
#include "ports/timer_heap.h"
#include "session/flow_open.h"
#include "tunnel/allow_list.h"
#include "tunnel/happy_eyeballs.h"
#include "tunnel/source.h"

#include <memory>
#include <string>
#include <vector>

namespace culvert::drive {
class Worker;
}  // namespace culvert::drive

namespace culvert::flow {

// Shared with the policy it is part of: a lookup finishes by the one it began with.
using SharedSourcePolicy = std::shared_ptr<const tunnel::SourcePolicy>;

// Of an address that was reached: whether `policy` allows it.
[[nodiscard]] bool allows(const tunnel::SourcePolicy& policy, const StreamAddress& address,
                          tunnel::Protocol protocol);

class AddressHandler {
 public:
  // At least one address, all of them allowed, in the order to try them.
  virtual void on_addresses(Instant now, std::vector<SocketAddress> addresses) = 0;
  virtual void on_no_address(Instant now, session::RefusalCode code, const std::string& reason) = 0;

 protected:
  ~AddressHandler() = default;
};

// Resolves a TCP or UDP source and applies the allow list. Answers later, never at once.
class SourceLookup final : public ResolveHandler {
 public:
  SourceLookup(Host& host, SharedSourcePolicy policy, tunnel::Source source,
               const peer::LookupShare& lookups, AddressHandler& handler);

 private:
  void on_resolved(Instant now, Result<std::vector<IpAddress>> addresses) override;

  SharedSourcePolicy policy_;
  tunnel::Source source_;
  AddressHandler& handler_;
  peer::LookupUse use_;
  std::unique_ptr<ResolvePort> lookup_;
};

class DialHandler {
 public:
  virtual void on_dialled(Instant now, std::unique_ptr<StreamPort> port,
                          const StreamAddress& address) = 0;
  virtual void on_dial_failed(Instant now, session::RefusalCode code,
                              const std::string& reason) = 0;

 protected:
  ~DialHandler() = default;
};

// Both callbacks end the dialer's work; the handler may destroy it from inside them.
class Dialer final : public AddressHandler {
 public:
  // `descriptors` and `lookups` outlive it; its attempts are counted there.
  Dialer(drive::Worker& worker, SharedSourcePolicy policy, const tunnel::Source& source,
         peer::DescriptorShare& descriptors, const peer::LookupShare& lookups,
         DialHandler& handler);
  ~Dialer();
  void start(Instant now);

 private:
  struct Attempt final : StreamHandler {
    void on_stream_connected(Instant now) override { dialer->on_connected(now, index); }
    void on_stream_failed(Instant now, const Error& error) override {
      dialer->on_failed(now, index, error);
    }
    void on_stream_readable(Instant) override {}
    void on_stream_writable(Instant) override {}
    Dialer* dialer = nullptr;
    std::size_t index = 0;
    peer::DescriptorUse descriptor;  // of the port
    std::unique_ptr<StreamPort> port;
  };

  void on_addresses(Instant now, std::vector<SocketAddress> addresses) override;
  void on_no_address(Instant now, session::RefusalCode code, const std::string& reason) override;
  void on_connected(Instant now, std::size_t index);
  void on_failed(Instant now, std::size_t index, const Error& error);
  void on_timer(Instant now) { advance(now); }
  void advance(Instant now);
  [[nodiscard]] Result<std::unique_ptr<StreamPort>> connect(const StreamAddress& address,
                                                            Attempt& attempt);

  drive::Worker& worker_;
  SharedSourcePolicy policy_;
  tunnel::Source source_;
  peer::DescriptorShare& descriptors_;
  const peer::LookupShare& lookups_;
  DialHandler& handler_;
  bool has_met_limit_ = false;  // an attempt could not even begin
  std::unique_ptr<SourceLookup> lookup_;
  std::unique_ptr<tunnel::HappyEyeballs> eyeballs_;  // null for a Unix socket
  std::vector<std::unique_ptr<Attempt>> attempts_;
  MemberTimer<Dialer, &Dialer::on_timer> timer_;
};

}  // namespace culvert::flow
