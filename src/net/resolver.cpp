#include "net/resolver.h"

#include "base/alive.h"
#include "base/limits.h"
#include "net/socket_address.h"

#include <algorithm>
#include <chrono>
#include <list>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <ares.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace culvert::net {
namespace {

constexpr int kTries = 2;  // of each server

using Addresses = Result<std::vector<IpAddress>>;

bool has_ipv6_loopback() {
  const Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return false;
  RawAddress raw;
  to_raw({IpAddress::loopback(Family::v6), 0}, true, raw);
  return ::bind(fd.get(), raw.get(), raw.size) == 0;
}

// What needs no lookup; RFC 6761 6.3 keeps "localhost" away from DNS.
std::optional<std::vector<IpAddress>> known_addresses(const std::string& host) {
  if (auto literal = IpAddress::parse(host)) return std::vector{*literal};
  if (host != "localhost" && host != "localhost.") return std::nullopt;
  std::vector<IpAddress> loopbacks{IpAddress::loopback(Family::v4)};
  if (has_ipv6_loopback()) loopbacks.push_back(IpAddress::loopback(Family::v6));
  return loopbacks;
}

Addresses addresses_of(const std::string& host, int status, const ares_addrinfo* list) {
  if (status != ARES_SUCCESS) {
    return fail(ErrorKind::unreachable, std::string("cannot resolve: ") + ares_strerror(status),
                host);
  }
  std::vector<IpAddress> found;
  const ares_addrinfo_node* node = list != nullptr ? list->nodes : nullptr;
  for (; node != nullptr; node = node->ai_next) {
    const auto address = from_raw(node->ai_addr);
    if (!address || found.size() >= limits::kMaxResolvedAddresses) continue;
    if (std::ranges::find(found, address->ip) == found.end()) found.push_back(address->ip);
  }
  if (found.empty()) return fail(ErrorKind::unreachable, "the name has no address", host);
  return found;
}

// An answer that is known already, for the next turn.
class KnownAnswer final : public ResolvePort, private Runnable {
 public:
  KnownAnswer(Loop& loop, ResolveHandler& handler, Addresses answer)
      : handler_(handler), answer_(std::move(answer)) {
    loop.make_ready(*this);
  }

 private:
  void run(Instant now) override { handler_.on_resolved(now, std::move(answer_)); }

  ResolveHandler& handler_;
  Addresses answer_;
};

// Counts in `count` while it lives.
class Counted {
 public:
  explicit Counted(std::shared_ptr<Resolver::Count> count) : count_(std::move(count)) {
    before_ = count_->fetch_add(1, std::memory_order_relaxed);
  }
  Counted(Counted&& other) noexcept = default;
  Counted& operator=(Counted&&) = delete;
  ~Counted() {
    if (count_) count_->fetch_sub(1, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t before() const { return before_; }  // that there were others

 private:
  std::shared_ptr<Resolver::Count> count_;  // shared with the resolver, which it may outlive
  std::uint32_t before_;
};

// One lookup with a c-ares channel of its own: it reads the configuration as it is now, asks from
// a port that nobody knows, and is cancelled alone. c-ares calls back from inside its functions:
// what it says is noted, and acted upon in run().
class Lookup final : public ResolvePort, private Runnable {
 public:
  Lookup(Loop& loop, ResolveHandler& handler, std::string host, Counted place,
         std::shared_ptr<Resolver::Count> module_lookups, const DescriptorBudget* descriptors,
         const ResolverOptions& how)
      : loop_(loop),
        handler_(handler),
        host_(std::move(host)),
        place_(std::move(place)),
        module_lookups_(std::move(module_lookups)),
        descriptors_(descriptors),
        how_(how) {}
  ~Lookup() override {
    is_closing_ = true;
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  void start() {
    overall_ = loop_.after(limits::kResolveTimeout, [this](Instant) {
      note_answer(fail(ErrorKind::unreachable, "cannot resolve: no answer in time", host_));
    });
    // Multicast DNS is asked first, where it is: name servers know nothing of these names.
    if (is_multicast_name(host_) && how_.name_services().may_know(host_)) {
      ask_modules();
    } else {
      ask_servers();
    }
  }

 private:
  void ask_servers() {
    ares_options options{};
    options.timeout = static_cast<int>(
        std::chrono::duration_cast<std::chrono::milliseconds>(how_.server_timeout).count());
    options.tries = kTries;
    options.sock_state_cb = on_socket_state;
    options.sock_state_cb_data = this;
    int status = ares_init_options(&channel_, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) channel_ = nullptr;
    if (status == ARES_SUCCESS && !how_.servers.empty()) {
      status = ares_set_servers_ports_csv(channel_, how_.servers.c_str());
    }
    if (status != ARES_SUCCESS) {
      note_answer(addresses_of(host_, status, nullptr));
      return;
    }
    ares_set_socket_configure_callback(channel_, on_socket, this);
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;  // each address once
    ares_getaddrinfo(channel_, host_.c_str(), nullptr, &hints, on_answer, this);
    arm();
  }

  // By all modules of nsswitch.conf, as other programs do. That blocks, and cannot be cancelled:
  // the thread goes on to its end alone.
  void ask_modules() {
    Counted place(module_lookups_);
    if (place.before() >= limits::kMaxModuleLookups) {
      note_answer(fail(ErrorKind::limit, "too many name lookups at once", host_));
      return;
    }
    try {
      std::thread([this, host = host_, ask = how_.ask_modules, place = std::move(place),
                   alive = alive_.token(), mailbox = loop_.mailbox()] {
        sigset_t all;  // they are for threads that have loops
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        auto tell = [this, alive, answer = ask(host)]() mutable {
          if (alive) note_answer(std::move(answer));
        };
        mailbox->post(std::move(tell));
      }).detach();
    } catch (const std::system_error& error) {
      note_answer(fail(ErrorKind::limit, std::string("cannot resolve: ") + error.what(), host_));
    }
  }

  // What servers said stands, unless somebody else may know better.
  void on_servers_answer(Addresses answer) {
    if (!answer && is_out_of_descriptors_) {
      answer = std::unexpected(no_descriptor(host_));
    } else if (!answer) {
      if (how_.name_services().may_know(host_)) {
        ask_modules();
        return;
      }
      if (is_multicast_name(host_)) {
        answer.error().what +=
            "; names in .local need libnss-mdns and \"mdns4_minimal\" in the line \"hosts\" of "
            "/etc/nsswitch.conf on this machine; or give an address";
      }
    }
    note_answer(std::move(answer));
  }

  // A socket of c-ares.
  struct Socket final : FdWatcher {
    Socket(Lookup& its_lookup, ares_socket_t its_fd) : lookup(its_lookup), fd(its_fd) {}
    void on_fd_events(std::uint32_t events) override {
      is_readable = is_readable || (events & ~std::uint32_t{EPOLLOUT}) != 0;
      is_writable = is_writable || (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
      lookup.loop_.make_ready(lookup);
    }
    Lookup& lookup;
    ares_socket_t fd;
    std::uint32_t wanted = 0;
    WatchId watch;
    bool is_readable = false;
    bool is_writable = false;
  };

  static void on_socket_state(void* data, ares_socket_t fd, int reads, int writes) {
    static_cast<Lookup*>(data)->set_socket(fd, reads != 0, writes != 0);
  }
  static void on_answer(void* data, int status, int, ares_addrinfo* list) {
    auto& self = *static_cast<Lookup*>(data);
    if (!self.is_closing_) self.on_servers_answer(addresses_of(self.host_, status, list));
    ares_freeaddrinfo(list);
  }
  // One that c-ares has opened; others than zero close it, and count as a server that is away.
  static int on_socket(ares_socket_t fd, int, void* data) {
    auto& self = *static_cast<Lookup*>(data);
    if (self.descriptors_ == nullptr || self.descriptors_->is_for_flows(fd)) return 0;
    self.is_out_of_descriptors_ = true;
    return -1;
  }

  void set_socket(ares_socket_t fd, bool reads, bool writes) {
    const auto found = std::ranges::find(sockets_, fd, &Socket::fd);
    if (!reads && !writes) {  // about to be closed
      if (found == sockets_.end()) return;
      loop_.unwatch(found->watch, fd);
      sockets_.erase(found);
      return;
    }
    const std::uint32_t wanted =
        (reads ? std::uint32_t{EPOLLIN} : 0U) | (writes ? std::uint32_t{EPOLLOUT} : 0U);
    if (found != sockets_.end()) {
      found->wanted = wanted;
      loop_.change(found->watch, fd, wanted);
      return;
    }
    Socket& socket = sockets_.emplace_back(*this, fd);
    socket.wanted = wanted;
    // Without a watch its server counts as one that does not answer.
    if (auto watch = loop_.watch(fd, wanted, socket)) socket.watch = *watch;
  }

  void note_answer(Addresses answer) {
    if (answer_) return;
    answer_ = std::move(answer);
    loop_.make_ready(*this);
  }

  void run(Instant now) override {
    // They come and go while c-ares works on one.
    std::vector<std::pair<ares_socket_t, std::pair<bool, bool>>> ready;
    for (Socket& socket : sockets_) {
      const bool reads = std::exchange(socket.is_readable, false);
      const bool writes = std::exchange(socket.is_writable, false);
      if (reads || writes) ready.push_back({socket.fd, {reads, writes}});
    }
    for (const auto& [fd, is_ready] : ready) {
      if (answer_) break;
      ares_process_fd(channel_, is_ready.first ? fd : ARES_SOCKET_BAD,
                      is_ready.second ? fd : ARES_SOCKET_BAD);
      // c-ares need not have read all there is: ask for another edge.
      const auto found = std::ranges::find(sockets_, fd, &Socket::fd);
      if (found != sockets_.end()) loop_.change(found->watch, fd, found->wanted);
    }
    if (!answer_) {
      arm();
      return;
    }
    timer_.reset();
    overall_.reset();
    Addresses answer = std::move(*answer_);
    if (std::exchange(is_answered_, true)) return;
    handler_.on_resolved(now, std::move(answer));  // may destroy us
  }

  void arm() {
    if (answer_) return;
    timeval wait{};
    if (ares_timeout(channel_, nullptr, &wait) == nullptr) return;
    const Duration delay =
        std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec);
    timer_ = loop_.after(delay, [this](Instant) {
      if (answer_) return;
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      loop_.make_ready(*this);
    });
  }

  Loop& loop_;
  ResolveHandler& handler_;
  std::string host_;
  Counted place_;
  std::shared_ptr<Resolver::Count> module_lookups_;  // shared with the resolver and threads
  const DescriptorBudget* descriptors_;
  ResolverOptions how_;
  ares_channel channel_ = nullptr;
  std::list<Socket> sockets_;
  std::unique_ptr<TimerPort> timer_;    // c-ares wants to act
  std::unique_ptr<TimerPort> overall_;  // it has had its time
  std::optional<Addresses> answer_;
  bool is_out_of_descriptors_ = false;
  bool is_answered_ = false;
  bool is_closing_ = false;
  Alive alive_;  // a thread carries its token, and only the loop asks it
};

}  // namespace

Resolver::Resolver(ResolverOptions options) : options_(std::move(options)) {
  ares_library_init(ARES_LIB_INIT_ALL);  // no-op but on Windows, says the manual
}

Resolver::~Resolver() {
  ares_library_cleanup();
}

std::unique_ptr<ResolvePort> Resolver::resolve(Loop& loop, const std::string& host,
                                               const DescriptorBudget* descriptors,
                                               ResolveHandler& handler) {
  if (auto known = known_addresses(host)) {
    return std::make_unique<KnownAnswer>(loop, handler, std::move(*known));
  }
  Counted place(lookups_);
  if (place.before() >= limits::kMaxLookups) {
    return std::make_unique<KnownAnswer>(
        loop, handler, fail(ErrorKind::limit, "too many name lookups at once", host));
  }
  // c-ares takes its configuration for absent when it cannot open it.
  if (descriptors != nullptr && descriptors->room() == 0) {
    return std::make_unique<KnownAnswer>(loop, handler, std::unexpected(no_descriptor(host)));
  }
  auto lookup = std::make_unique<Lookup>(loop, handler, host, std::move(place), module_lookups_,
                                         descriptors, options_);
  lookup->start();
  return lookup;
}

}  // namespace culvert::net
