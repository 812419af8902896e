// Reads settings again in a thread of its own: a file on a disk that does not answer must not
// stop the loop that serves flows. Tells the service manager when it begins and is done.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "net/kernel_host.h"
#include "net/service_manager.h"

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <utility>

namespace culvert::app {

// Owned by a role's app, on the loop of `host`, which outlives it. Its end waits for a read
// under way.
template <typename Loaded>
class ReloadThread {
 public:
  using Load = std::function<Result<Loaded>()>;
  using OnLoaded = std::function<void(Instant now, Result<Loaded> loaded)>;

  // `load` is called on the thread; `done` on the loop, once for every begin() or, when more
  // came meanwhile, for the last of them.
  ReloadThread(net::KernelHost& host, net::ServiceState& service, Load load, OnLoaded done)
      : host_(host), service_(service), load_(std::move(load)), done_(std::move(done)) {}

  void begin() {
    service_.reloading();
    if (!load_) {
      service_.reloaded();
      return;
    }
    if (std::exchange(is_running_, true)) {
      is_wanted_again_ = true;
      return;
    }
    thread_ = std::jthread([this](const std::stop_token& stop) {
      const auto loaded = std::make_shared<Result<Loaded>>(load_());  // a post may be refused
      const auto tell = [this, loaded](Instant now) { finish(now, std::move(*loaded)); };
      while (!host_.post(tell) && !stop.stop_requested()) std::this_thread::sleep_for(kRetry);
    });
  }

 private:
  static constexpr auto kRetry = std::chrono::milliseconds(10);

  void finish(Instant now, Result<Loaded> loaded) {
    is_running_ = false;
    done_(now, std::move(loaded));
    if (std::exchange(is_wanted_again_, false)) {
      begin();
    } else {
      service_.reloaded();
    }
  }

  net::KernelHost& host_;
  net::ServiceState& service_;
  Load load_;
  OnLoaded done_;
  bool is_running_ = false;
  bool is_wanted_again_ = false;
  std::jthread thread_;  // dies first
};

}  // namespace culvert::app
