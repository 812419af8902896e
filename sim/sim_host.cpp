#include "sim/sim_host.h"

#include "sim/sim_stream.h"
#include "sim/sim_udp.h"
#include "sim/tcp_end.h"

#include <algorithm>
#include <utility>

namespace culvert::sim {
namespace {

constexpr Duration kConnectGivesUp = std::chrono::seconds(127);  // Linux: tcp_syn_retries

class SimTimer final : public TimerPort {
 public:
  explicit SimTimer(std::function<void(Instant)> its_task) : task(std::move(its_task)) {}
  std::function<void(Instant)> task;
  Alive alive;
};

class SimLookup final : public ResolvePort {
 public:
  Alive alive;
};

PipeConfig pipe_config(const HostKnobs& knobs, std::shared_ptr<const Instant> awake_at) {
  return {.buffer_bytes = knobs.stream_buffer_bytes,
          .delay = knobs.stream_delay,
          .max_io_bytes = knobs.max_io_bytes,
          .awake_at = std::move(awake_at)};
}

void run_awake(World& world, Instant when, std::shared_ptr<const Instant> awake_at, Action action) {
  world.at(when, [&world, awake_at = std::move(awake_at),
                  action = std::move(action)](Instant now) mutable {
    if (now >= *awake_at) {
      action(now);
    } else {
      const Instant later = *awake_at;
      run_awake(world, later, std::move(awake_at), std::move(action));
    }
  });
}

}  // namespace

// A connect under way: nobody can write before on_stream_connected.
class SimHost::Connecting final : public StreamPort {
 public:
  IoResult try_read(std::span<const ByteSpan> into) override {
    return pipe ? pipe->try_read(into) : refusal();
  }
  IoResult try_write(std::span<const ByteView> from) override {
    return pipe ? pipe->try_write(from) : refusal();
  }
  void want_readable() override {
    if (pipe) pipe->want_readable();
  }
  void want_writable() override {
    if (pipe) pipe->want_writable();
  }
  void shutdown_write() override {
    if (pipe) pipe->shutdown_write();
  }
  void reset() override {
    if (pipe) pipe->reset();
  }
  void set_handler(StreamHandler& new_handler) override {
    handler = &new_handler;
    if (pipe) pipe->set_handler(new_handler);
  }
  std::string remote_text() const override { return remote; }
  std::optional<StreamEnds> ends() const override { return pipe ? pipe->ends() : std::nullopt; }

  std::unique_ptr<StreamPort> pipe;
  StreamHandler* handler = nullptr;
  std::string remote;
  Alive alive;

 private:
  static IoResult refusal() { return {0, IoStatus::would_block}; }
};

// On its way to another machine.
struct SimHost::Dial {
  Connecting* connecting;
  Alive::Token wanted;
  Alive::Token host;
  TcpPlace from;
  TcpPlace to;
  Duration waited{};
  Duration retry = std::chrono::seconds(1);  // doubled each time, as Linux does
};

SimHost::SimHost(Machine& machine, HostKnobs knobs, SimProcess* process)
    : machine_(machine),
      knobs_(knobs),
      process_(process),
      rng_(machine.network().world().rng_for(
          "host " + machine.name() + " " +
          std::to_string(process == nullptr ? 0 : process->workers.size()))) {
  if (process_ != nullptr) process_->workers.push_back(this);
  machine_.watch_addresses([this, alive = alive_.token()](Instant) {
    if (!alive) return;
    run_after(Duration::zero(), [this, alive](Instant now) {
      if (alive && handler_ != nullptr) handler_->on_network_changed(now);
    });
  });
}

SimHost::~SimHost() {
  alive_.end();
  if (process_ != nullptr) std::ranges::replace(process_->workers, this, nullptr);
}

void SimHost::run_after(Duration delay, Action action) {
  run_awake(world(), world().now() + delay, awake_at_, std::move(action));
}

std::unique_ptr<TimerPort> SimHost::after(Duration delay, std::function<void(Instant now)> task) {
  auto timer = std::make_unique<SimTimer>(std::move(task));
  run_after(delay, [self = timer.get(), host_alive = alive_.token(),
                    wanted = timer->alive.token()](Instant now) {
    if (!wanted || !host_alive) return;
    const auto due = std::move(self->task);  // the timer may end in it
    due(now);
  });
  return timer;
}

void SimHost::set_deadline(Instant deadline) {
  if (deadline == deadline_) return;
  deadline_ = deadline;
  const std::uint64_t generation = ++deadline_generation_;
  if (deadline == kNever) return;
  run_awake(world(), deadline, awake_at_, [this, alive = alive_.token(), generation](Instant now) {
    if (!alive || generation != deadline_generation_) return;
    deadline_ = kNever;
    handler_->on_deadline(now);
  });
}

void SimHost::request_turn_end() {
  if (is_turn_end_requested_) return;
  is_turn_end_requested_ = true;
  run_after(Duration::zero(), [this, alive = alive_.token()](Instant now) {
    if (!alive) return;
    is_turn_end_requested_ = false;
    handler_->on_turn_end(now);
  });
}

bool SimHost::hand_over(std::uint8_t worker_index, const RxDatagram& datagram) {
  if (process_ == nullptr || worker_index >= process_->workers.size()) return false;
  SimHost* other = process_->workers[worker_index];
  if (other == nullptr) return false;
  other->run_after(Duration::zero(),
                   [other, alive = other->alive_.token(), datagram,
                    copy = Bytes(datagram.bytes.begin(), datagram.bytes.end())](Instant now) {
                     if (!alive || other->handler_ == nullptr) return;
                     RxDatagram handed = datagram;
                     handed.bytes = copy;
                     other->handler_->on_handover(now, handed);
                   });
  return true;
}

Result<std::unique_ptr<UdpPort>> SimHost::open_udp(const UdpOptions& options, UdpHandler& handler) {
  return SimUdpPort::open(*this, options, handler);
}

Result<std::unique_ptr<StreamPort>> SimHost::connect_stream(const StreamAddress& address, Purpose,
                                                            StreamHandler& handler) {
  if (const auto& on_dial = machine_.network().on_dial) {
    on_dial(machine_, address, Network::DialKind::stream);
  }
  auto connecting = std::make_unique<Connecting>();
  connecting->handler = &handler;
  connecting->remote = to_text(address);
  if (const auto* remote = std::get_if<SocketAddress>(&address)) {
    Machine* machine = machine_.network().machine_at(remote->ip);
    const auto own = machine_.address_of(remote->ip.family());
    if (machine != nullptr && !machine_.has_address(remote->ip) && own) {
      const SocketAddress from{*own, machine_.ephemeral_port()};
      dial({.connecting = connecting.get(),
            .wanted = connecting->alive.token(),
            .host = alive_.token(),
            .from = {&machine_, from, from},
            .to = {machine, *remote, *remote}});
      return connecting;
    }
  }
  run_after(knobs_.stream_delay, [this, host_alive = alive_.token(), self = connecting.get(),
                                  alive = connecting->alive.token(), address](Instant now) {
    if (!alive || !host_alive) return;
    SimListener* listener = find_listener(machine_, address);
    if (listener == nullptr) {
      self->handler->on_stream_failed(
          now, Error{ErrorKind::unreachable, "connection refused", to_text(address)});
      return;
    }
    auto [ours, theirs] = PipeEnd::make_pair(world(), pipe_config(knobs_, awake_at_),
                                             "sim " + machine_.name(), self->remote);
    ours->set_handler(*self->handler);
    self->pipe = std::move(ours);
    listener->offer(std::move(theirs));
    self->handler->on_stream_connected(now);
  });
  return connecting;
}

void SimHost::dial(Dial dial) {
  run_after(tcp_delay(dial.from, dial.to), [this, dial](Instant) mutable {
    if (!dial.wanted || !dial.host) return;
    const auto path = machine_.network().stream_path(machine_, dial.from.address, dial.to.seen,
                                                     StreamStage::opening);
    if (path) {
      dial.from.seen = path->source;
      dial.to.machine = path->machine;
      dial.to.address = path->target;
    }
    const auto fail_later = [&](Duration delay, const char* why) {
      run_after(delay, [dial, why](Instant now) {
        if (!dial.wanted || !dial.host) return;
        dial.connecting->handler->on_stream_failed(
            now, Error{ErrorKind::unreachable, why, dial.connecting->remote});
      });
    };
    if (!path || !is_reachable(dial.from, dial.to) || !is_reachable(dial.to, dial.from)) {
      if (dial.waited >= kConnectGivesUp)
        return fail_later(Duration::zero(), "connection timed out");
      const Duration retry = dial.retry;
      dial.waited += retry;
      dial.retry = 2 * retry;
      run_after(retry, [this, dial](Instant) {
        if (dial.wanted && dial.host) this->dial(dial);
      });
      return;
    }
    const Duration back = tcp_delay(dial.to, dial.from);
    SimListener* listener = find_listener_at(*dial.to.machine, dial.to.address);
    if (listener == nullptr) return fail_later(back, "connection refused");
    auto [ours, theirs] = TcpEnd::make_pair(world(),
                                            {.buffer_bytes = knobs_.stream_buffer_bytes,
                                             .max_io_bytes = knobs_.max_io_bytes,
                                             .awake_at = awake_at_},
                                            dial.from, dial.to);
    listener->offer(std::move(theirs));
    run_after(back, [dial, ours = std::move(ours)](Instant now) mutable {
      if (!dial.wanted || !dial.host) return;
      ours->set_handler(*dial.connecting->handler);
      dial.connecting->pipe = std::move(ours);
      dial.connecting->handler->on_stream_connected(now);
    });
  });
}

Result<std::unique_ptr<ListenerPort>> SimHost::listen_stream(const StreamAddress& address, Purpose,
                                                             ListenerHandler& handler) {
  StreamAddress actual = address;
  if (auto* socket_address = std::get_if<SocketAddress>(&actual)) {
    if (socket_address->port == 0) socket_address->port = machine_.ephemeral_port();
  }
  if (machine_.listeners().contains(actual)) {
    return fail(ErrorKind::io, "address already in use", to_text(actual));
  }
  return std::make_unique<SimListener>(machine_, actual, handler);
}

Result<std::unique_ptr<StreamPort>> SimHost::open_stdio(StreamHandler& handler) {
  auto [ours, theirs] =
      PipeEnd::make_pair(world(), pipe_config(knobs_, awake_at_), "terminal", "program");
  ours->set_handler(handler);
  stdio_peer_ = std::move(theirs);
  return std::move(ours);
}

std::unique_ptr<StreamPort> SimHost::take_stdio_peer() {
  return std::move(stdio_peer_);
}

std::unique_ptr<ResolvePort> SimHost::resolve(const std::string& host, Purpose,
                                              ResolveHandler& handler) {
  auto lookup = std::make_unique<SimLookup>();
  Result<std::vector<IpAddress>> answer = fail(ErrorKind::unreachable, "name not found", host);
  if (auto literal = IpAddress::parse(host)) {
    answer = std::vector<IpAddress>{*literal};
  } else if (host == "localhost") {
    answer =
        std::vector<IpAddress>{IpAddress::loopback(Family::v6), IpAddress::loopback(Family::v4)};
  } else if (const auto known = machine_.network().names.find(host);
             known != machine_.network().names.end()) {
    answer = known->second;
  } else if (const auto failure = machine_.network().name_failures.find(host);
             failure != machine_.network().name_failures.end()) {
    answer = std::unexpected(failure->second);
  }
  run_after(knobs_.resolve_delay, [&handler, wanted = lookup->alive.token(),
                                   answer = std::move(answer)](Instant now) mutable {
    if (wanted) handler.on_resolved(now, std::move(answer));
  });
  return lookup;
}

Result<IpAddress> SimHost::local_address_towards(const IpAddress& remote) {
  if (remote.is_loopback()) return remote;
  const auto address = machine_.address_of(remote.family());
  if (!address) return fail(ErrorKind::unreachable, "no address of this family", remote.text());
  return *address;
}

std::vector<LocalAddress> SimHost::local_addresses() {
  std::vector<LocalAddress> all;
  for (const IpAddress& ip : machine_.addresses())
    all.push_back({.ip = ip, .use = machine_.use_of(ip)});
  return all;
}

}  // namespace culvert::sim
