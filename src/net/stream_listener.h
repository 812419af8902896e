// A listening TCP or Unix-domain socket as ListenerPort. Belongs to one loop.
// Private to net/.
#pragma once

#include "base/alive.h"
#include "net/kernel_host.h"
#include "net/loop.h"
#include "net/socket_address.h"
#include "ports/ports.h"

#include <memory>
#include <string>

namespace culvert::net {

class StreamListener final : public ListenerPort, private FdWatcher, private Runnable {
 public:
  [[nodiscard]] static Result<std::unique_ptr<StreamListener>> listen(HostGroup& group, Loop& loop,
                                                                      const StreamAddress& address,
                                                                      ListenerHandler& handler,
                                                                      Purpose purpose);
  ~StreamListener() override;  // removes a Unix socket's file

  StreamAddress local_address() const override { return local_; }
  void pause() override { is_paused_ = true; }
  void resume() override;

 private:
  StreamListener(HostGroup& group, Loop& loop, ListenerHandler& handler, Purpose purpose)
      : group_(group), loop_(loop), handler_(handler), purpose_(purpose) {}
  Status open_tcp(const SocketAddress& address);
  Status open_unix(const std::string& path);
  Status take_place(const std::string& name);

  void on_fd_events(std::uint32_t events) override;
  void run(Instant now) override;
  void rest_a_while();

  HostGroup& group_;
  Loop& loop_;
  ListenerHandler& handler_;
  Purpose purpose_;
  Fd fd_;
  ListenerPlace place_;
  WatchId watch_;
  bool is_paused_ = false;
  bool has_waiting_ = false;  // connections may wait to be accepted
  Alive alive_;               // handlers may destroy us
  std::unique_ptr<TimerPort> rest_;
  StreamAddress local_;
  bool owns_path_ = false;
};

}  // namespace culvert::net
