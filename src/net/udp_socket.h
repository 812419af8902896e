// A UDP socket as UdpPort: recvmmsg with GRO, sendmmsg with GSO, ECN, and the local
// address of each datagram. Belongs to one loop; owned by whoever opened it. Private to net/.
//
// Small on purpose (many UDP flows have one each): receive buffers belong to the loop.
#pragma once

#include "base/appetite.h"
#include "net/kernel_host.h"
#include "net/loop.h"
#include "net/socket_address.h"
#include "net/udp_message.h"
#include "ports/ports.h"

#include <cstdint>
#include <memory>

namespace culvert::net {

class UdpSocket final : public UdpPort, private FdWatcher, private Runnable {
 public:
  [[nodiscard]] static Result<std::unique_ptr<UdpSocket>> open(HostGroup& group, Loop& loop,
                                                               const UdpOptions& options,
                                                               UdpHandler& handler);
  ~UdpSocket() override;

  std::size_t recv_batch(std::span<RxDatagram> out) override;
  UdpSendResult send_batch(std::span<const TxBatch> batches) override;
  void want_refusals(bool is_wanted) override;
  std::optional<UdpRefusal> poll_refusal() override;
  SocketAddress local_address() const override { return local_; }
  void pin_sources(std::vector<LocalAddress> sources) override { pinned_ = std::move(sources); }

  [[nodiscard]] UdpFeatures features() const { return features_; }  // in effect now

 private:
  struct Cursor;  // position in a span of batches
  enum class Outcome : std::uint8_t { taken, blocked };

  UdpSocket(HostGroup& group, Loop& loop, UdpHandler& handler);
  Status configure(const UdpOptions& options);
  Status take_place(Purpose purpose, const std::string& name);
  Status bind(const UdpOptions& options);
  void size_buffers();

  void on_fd_events(std::uint32_t events) override;
  void run(Instant now) override;

  [[nodiscard]] UdpAddressing addressing() const {
    return {.is_v6 = is_v6_,
            .is_connected = is_connected_,
            .picks_source = picks_source_,
            .pinned = pinned_};
  }
  int send_messages(mmsghdr* messages, std::size_t count);
  [[nodiscard]] std::size_t chunk_bytes(const TxBatch& batch, std::size_t offset) const;
  Outcome send_all(std::span<const TxBatch> batches, Cursor& cursor);
  Outcome send_singly(std::span<const TxBatch> batches, Cursor& cursor, std::size_t size,
                      int error);
  void disable_gso();
  bool flush_tail();
  void wait_for_writable();

  HostGroup& group_;
  Loop& loop_;
  UdpHandler& handler_;
  Fd fd_;
  ListenerPlace place_;
  WatchId watch_;
  UdpFeatures features_;
  // Messages of one call. To prepare more costs a lone datagram more than to read it.
  Appetite<4, Loop::kReceiveSlots> receives_;
  bool is_v6_ = false;  // the socket's family; IPv4 travels mapped
  bool is_connected_ = false;
  bool wants_refusals_ = false;
  std::vector<LocalAddress> pinned_;
  bool picks_source_ = false;     // bound to a wildcard: pktinfo both ways
  bool may_be_readable_ = false;  // since an edge, until the kernel said it has nothing
  bool is_writable_due_ = false;
  bool is_blocked_ = false;  // EPOLLOUT is being watched
  SocketAddress local_;
  // The unsent end of a batch that blocked in its middle; goes out before anything else,
  // so that a batch is taken whole or not at all.
  struct Tail;
  std::unique_ptr<Tail> tail_;
};

}  // namespace culvert::net
