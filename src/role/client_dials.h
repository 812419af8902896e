// One try to reach the server: a dial to every address that is known of it, of which the first to
// complete TLS goes on. Private to drive/.
#pragma once

#include "peer/client_dial.h"
#include "peer/client_session.h"
#include "peer/peer_addresses.h"

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace culvert::role {

class ClientDialsOwner {
 public:
  virtual void on_dialled(Instant now, peer::Dialled dialled) = 0;
  // No address led to the server, or it said no. Dials may still be under way.
  virtual void on_try_failed(Instant now, peer::DialFailure failure) = 0;

 protected:
  ~ClientDialsOwner() = default;
};

// Owned by the role.
class ClientDials final : public peer::ClientDialOwner {
 public:
  ClientDials(peer::ClientContext& context, const peer::ClientSession& session,
              peer::PeerAddresses& addresses, ClientDialsOwner& owner);

  void begin(Instant now, Duration timeout);
  // Others are known, and tried as well, or no more will be.
  void on_addresses(Instant now);
  void begin_once_more(Instant now);
  void abandon(Instant now, session::CloseCode code, std::string_view why);
  void on_refused(Instant now, const UdpRefusal& refusal);

  // Nobody dials any more: who carries traffic does not want them.
  void want_no_refusals() { refusals_.set(false); }

  [[nodiscard]] bool is_empty() const { return dials_.empty(); }
  // The server has completed TLS: it may have resumed the session there.
  [[nodiscard]] bool has_answer() const { return winner_ != nullptr; }
  [[nodiscard]] bool is_unanswered() const { return !is_empty() && !has_answer(); }
  [[nodiscard]] Instant last_begun() const { return last_begun_; }

 private:
  void on_transport_ready(Instant now, peer::ClientDial& dial) override;
  void on_dialled(Instant now, peer::ClientDial& dial, peer::Dialled dialled) override;
  void on_dial_failed(Instant now, peer::ClientDial& dial, peer::DialFailure failure) override;
  void on_timeout(Instant now);
  void dial(Instant now, const SocketAddress& address, bool is_second = false);
  void begin_dial(Instant now, const SocketAddress& address, std::optional<IpAddress> local,
                  bool is_second);
  void fail_if_hopeless(Instant now);
  void fail(Instant now, peer::DialFailure failure);
  void forget(const peer::ClientDial& dial);
  void abandon_all_but(Instant now, const peer::ClientDial* winner, session::CloseCode code,
                       std::string_view why);
  [[nodiscard]] Error error() const;

  peer::ClientContext& context_;
  const peer::ClientSession& session_;
  peer::PeerAddresses& addresses_;
  ClientDialsOwner& owner_;
  std::vector<std::unique_ptr<peer::ClientDial>> dials_;  // of each address
  std::vector<SocketAddress> dialled_;                    // in this try
  Instant last_begun_{};
  std::vector<Error> failures_;               // of dials, the address as offender
  bool is_busy_ = false;                      // a server said that it is
  bool is_nobody_ = false;                    // nobody is at an address
  const peer::ClientDial* winner_ = nullptr;  // the first to complete a handshake
  drive::RefusalWish refusals_;
  MemberTimer<ClientDials, &ClientDials::on_timeout> timeout_;
};

}  // namespace culvert::role
