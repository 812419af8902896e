// A TCP or Unix-domain stream as StreamPort. Belongs to one loop; owned by whoever
// connected or accepted it. Private to net/.
//
// Readiness is edge-triggered and remembered in every state (connecting, without a handler):
// a system call is made only when the kernel has reported news since the last one that ran
// dry. A reset reaches a waiting reader or writer as IoStatus::failed after the bytes that
// arrived before it, and a port that waits for nothing as on_stream_failed; one that follows
// the peer's end in order does so when that end has been read.
#pragma once

#include "net/descriptors.h"
#include "net/loop.h"
#include "net/socket_address.h"
#include "ports/ports.h"

#include <cstdint>
#include <memory>
#include <string>

namespace culvert::net {

class StreamSocket final : public StreamPort, private FdWatcher, private Runnable {
 public:
  // `of_flows`: it may have what flows may have; null: whatever there is.
  [[nodiscard]] static Result<std::unique_ptr<StreamSocket>> connect(
      Loop& loop, const DescriptorBudget* of_flows, const StreamAddress& address,
      StreamHandler& handler);
  // Takes an accepted, non-blocking descriptor. `remote` is empty for Unix sockets.
  [[nodiscard]] static Result<std::unique_ptr<StreamSocket>> adopt(
      Loop& loop, Fd fd, std::optional<SocketAddress> remote);
  ~StreamSocket() override;

  IoResult try_read(std::span<const ByteSpan> into) override;
  IoResult try_write(std::span<const ByteView> from) override;
  void want_readable() override;
  void want_writable() override;
  void shutdown_write() override;
  void reset() override;
  void set_handler(StreamHandler& handler) override;
  std::string remote_text() const override;
  std::optional<StreamEnds> ends() const override;

 private:
  enum class State : std::uint8_t { connecting, open, failed };

  StreamSocket(Loop& loop, Fd fd, std::optional<SocketAddress> remote);
  Status start_watching();
  void on_fd_events(std::uint32_t events) override;
  void run(Instant now) override;
  void finish_connect(Instant now);
  void wake_if_due();
  void fail_later(int error);

  Loop& loop_;
  StreamHandler* handler_ = nullptr;
  Fd fd_;
  WatchId watch_;
  State state_ = State::open;
  int error_ = 0;  // errno that the kernel has told and will not tell again
  bool may_be_readable_ = true;
  bool may_be_writable_ = true;
  bool peer_has_ended_ = false;  // FIN or reset seen: reads never run dry any more
  bool has_error_ = false;       // reset seen, and not yet told
  bool is_end_read_ = false;     // try_read has said "end"
  bool wants_readable_ = false;
  bool wants_writable_ = false;
  std::optional<SocketAddress> remote_;
};
static_assert(sizeof(StreamSocket) <= 256, "one per flow: idle flows must stay small");

}  // namespace culvert::net
