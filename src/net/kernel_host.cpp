#include "net/kernel_host.h"

#include "base/assert.h"
#include "base/limits.h"
#include "net/file_watch.h"
#include "net/loop.h"
#include "net/network_watch.h"
#include "net/resolver.h"
#include "net/route.h"
#include "net/signal_watch.h"
#include "net/stdio_stream.h"
#include "net/stream_listener.h"
#include "net/stream_socket.h"
#include "net/udp_socket.h"

#include <csignal>
#include <deque>
#include <mutex>
#include <utility>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace culvert::net {
namespace {

struct HandedOver {
  RxDatagram datagram;  // its bytes point into `bytes`
  Bytes bytes;
};

// Null: not bounded by what flows may have.
const DescriptorBudget* budget(HostGroup& group, Purpose purpose) {
  return purpose == Purpose::flow ? &group.descriptors() : nullptr;
}

}  // namespace

struct KernelHost::State {
  // The handler's callbacks as loop items.
  struct DeadlineItem final : Runnable {
    explicit DeadlineItem(State& state) : state(state) {}
    void run(Instant now) override { state.handler->on_deadline(now); }
    State& state;
  };
  struct TurnEndItem final : Runnable {
    explicit TurnEndItem(State& state) : state(state) {}
    void run(Instant now) override { state.handler->on_turn_end(now); }
    State& state;
  };

  void take_handed_over();

  Loop loop;
  HostHandler* handler = nullptr;
  DeadlineItem deadline{*this};
  TurnEndItem turn_end{*this};
  std::unique_ptr<NetworkWatch> network_watch;
  std::unique_ptr<FileWatch> file_watch;
  std::function<void(Instant)> on_files_changed;
  std::unique_ptr<SignalWatch> signal_watch;

  std::mutex handover_mutex;
  std::deque<HandedOver> handed_over;  // guarded by handover_mutex, and so is:
  std::size_t handed_over_bytes = 0;
};

HostGroup::HostGroup(Logger& log, UdpFeatures features, unsigned worker_count, InterfaceRules rules)
    : log_(log),
      features_(features),
      interface_rules_(std::move(rules)),
      resolver_(std::make_unique<Resolver>()) {
  // A peer that closes while we write is an error value (EPIPE), not a reason to die.
  ::signal(SIGPIPE, SIG_IGN);
  for (unsigned i = 0; i < worker_count; ++i) {
    hosts_.push_back(std::make_unique<KernelHost>(*this));
  }
}

HostGroup::~HostGroup() = default;

void HostGroup::set_resolver(const ResolverOptions& options) {
  resolver_ = std::make_unique<Resolver>(options);
}

KernelHost::KernelHost(HostGroup& group) : group_(group), state_(std::make_unique<State>()) {}

KernelHost::~KernelHost() = default;

void KernelHost::run() {
  state_->loop.run();
}
void KernelHost::stop() {
  state_->loop.stop();
}
Instant KernelHost::now() {
  return state_->loop.refresh_now();
}

bool KernelHost::post(std::move_only_function<void(Instant now)> task) {
  return state_->loop.mailbox()->post(
      [&loop = state_->loop, task = std::move(task)]() mutable { task(loop.now()); });
}

void KernelHost::watch_signals(const std::vector<int>& signals,
                               std::function<void(Instant now, int signal)> task) {
  state_->signal_watch.reset();  // before the next one takes its signals
  state_->signal_watch = std::make_unique<SignalWatch>(state_->loop, signals, std::move(task));
}

Status KernelHost::watch_files(std::vector<std::string> paths,
                               std::function<void(Instant now)> task) {
  state_->on_files_changed = std::move(task);
  if (!state_->file_watch) {
    state_->file_watch =
        std::make_unique<FileWatch>(state_->loop, [state = state_.get()](Instant now) {
          const auto task = state->on_files_changed;  // it may replace itself
          task(now);
        });
  }
  return state_->file_watch->set_paths(std::move(paths));
}

std::unique_ptr<TimerPort> KernelHost::after(Duration delay, std::function<void(Instant)> task) {
  return state_->loop.after(delay, std::move(task));
}

void KernelHost::set_handler(HostHandler& handler) {
  state_->handler = &handler;
  if (state_->network_watch) return;
  state_->network_watch = std::make_unique<NetworkWatch>(
      state_->loop,
      [state = state_.get()](Instant now) { state->handler->on_network_changed(now); });
}

void KernelHost::set_rest(Duration rest) {
  state_->loop.set_rest(rest);
}

void KernelHost::set_deadline(Instant deadline) {
  CULVERT_ASSERT(state_->handler != nullptr);
  state_->loop.set_deadline(deadline, state_->deadline);
}

void KernelHost::request_turn_end() {
  CULVERT_ASSERT(state_->handler != nullptr);
  state_->loop.request_turn_end(state_->turn_end);
}

bool KernelHost::hand_over(std::uint8_t worker_index, const RxDatagram& datagram) {
  if (worker_index >= group_.size()) return false;
  State& target = *group_.host(worker_index).state_;
  HandedOver item{datagram, Bytes(datagram.bytes.begin(), datagram.bytes.end())};
  item.datagram.bytes = item.bytes;  // moving a vector keeps its storage
  const std::lock_guard lock(target.handover_mutex);
  if (target.handed_over.size() >= limits::kMaxHandedOver ||
      target.handed_over_bytes + datagram.bytes.size() > limits::kMaxHandedOverBytes) {
    return false;
  }
  // The first wakes it, for all that come until it has awoken: none may be first without that.
  if (target.handed_over.empty() &&
      !target.loop.mailbox()->post([&target] { target.take_handed_over(); })) {
    return false;
  }
  target.handed_over_bytes += datagram.bytes.size();
  target.handed_over.push_back(std::move(item));
  return true;
}

void KernelHost::State::take_handed_over() {
  std::deque<HandedOver> items;
  {
    const std::lock_guard lock(handover_mutex);
    items.swap(handed_over);
    handed_over_bytes = 0;
  }
  if (handler == nullptr) return;
  for (const HandedOver& item : items) handler->on_handover(loop.now(), item.datagram);
}

Result<std::unique_ptr<UdpPort>> KernelHost::open_udp(const UdpOptions& options,
                                                      UdpHandler& handler) {
  return UdpSocket::open(group_, state_->loop, options, handler);
}

Result<std::unique_ptr<StreamPort>> KernelHost::connect_stream(const StreamAddress& address,
                                                               Purpose purpose,
                                                               StreamHandler& handler) {
  return StreamSocket::connect(state_->loop, budget(group_, purpose), address, handler);
}

Result<std::unique_ptr<ListenerPort>> KernelHost::listen_stream(const StreamAddress& address,
                                                                Purpose purpose,
                                                                ListenerHandler& handler) {
  return StreamListener::listen(group_, state_->loop, address, handler, purpose);
}

Result<std::unique_ptr<StreamPort>> KernelHost::open_stdio(StreamHandler& handler) {
  return StdioStream::open(state_->loop, 0, 1, handler);
}

std::unique_ptr<ResolvePort> KernelHost::resolve(const std::string& host, Purpose purpose,
                                                 ResolveHandler& handler) {
  return group_.resolver().resolve(state_->loop, host, budget(group_, purpose), handler);
}

Result<IpAddress> KernelHost::local_address_towards(const IpAddress& remote) {
  return net::local_address_towards(remote);
}

// Of all threads: some milliseconds where hundreds of MiB go.
void KernelHost::give_back_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

std::vector<LocalAddress> KernelHost::local_addresses() {
  return net::local_addresses(group_.interface_rules());
}

}  // namespace culvert::net
