#include "net/resolver.h"

#include "base/limits.h"
#include "net/socket_address.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kMaxQueued = 256;

using Addresses = Result<std::vector<IpAddress>>;

Addresses look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); error != 0) {
    return fail(ErrorKind::unreachable, std::string("cannot resolve: ") + ::gai_strerror(error),
                host);
  }
  std::vector<IpAddress> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const auto address = from_raw(entry->ai_addr);
    if (!address || found.size() >= limits::kMaxResolvedAddresses) continue;
    if (std::ranges::find(found, address->ip) == found.end()) found.push_back(address->ip);
  }
  ::freeaddrinfo(list);
  if (found.empty()) return fail(ErrorKind::unreachable, "the name has no address", host);
  return found;
}

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

// One lookup, on its loop's thread. Threads and timers reach it only by tasks that check
// `is_alive`.
class Lookup final : public drive::ResolvePort, private Runnable {
 public:
  Lookup(Loop& loop, drive::ResolveHandler& handler) : loop_(loop), handler_(handler) {}
  ~Lookup() override { *is_alive_ = false; }

  void answer_soon(Addresses answer) {
    answer_ = std::move(answer);
    loop_.make_ready(*this);
  }
  void start_timeout(const std::string& host) {
    timeout_ = loop_.after(limits::kResolveTimeout, [this, host](Instant now) {
      finish(now, fail(ErrorKind::unreachable, "cannot resolve: no answer in time", host));
    });
  }
  // Owned by the loop's thread: only tasks that run there may read it.
  [[nodiscard]] const std::shared_ptr<bool>& is_alive() const { return is_alive_; }
  void finish(Instant now, Addresses answer) {
    if (std::exchange(is_finished_, true)) return;
    timeout_.reset();
    handler_.on_resolved(now, std::move(answer));  // may destroy us
  }

 private:
  void run(Instant now) override { finish(now, std::move(answer_)); }

  Loop& loop_;
  drive::ResolveHandler& handler_;
  std::unique_ptr<Timer> timeout_;
  Addresses answer_;
  bool is_finished_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace

struct Resolver::Pool {
  struct Job {
    std::string host;
    std::shared_ptr<Mailbox> mailbox;
    Loop* loop;      // used by tasks in its mailbox only
    Lookup* lookup;  // valid while *is_alive, looked at in such tasks only
    std::shared_ptr<bool> is_alive;
  };

  std::mutex mutex;
  std::condition_variable has_work;
  std::deque<Job> jobs;
  std::size_t threads = 0;
  bool is_closed = false;

  bool add(const std::shared_ptr<Pool>& self, Job job) {
    const std::lock_guard lock(mutex);
    if (jobs.size() >= kMaxQueued) return false;
    jobs.push_back(std::move(job));
    if (threads < kThreads) {
      ++threads;
      std::thread([self] { self->work(); }).detach();
    }
    has_work.notify_one();
    return true;
  }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      has_work.wait(lock, [this] { return is_closed || !jobs.empty(); });
      if (is_closed) return;
      Job job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      Addresses answer = look_up(job.host);
      // `is_alive` belongs to the loop's thread: the task carries it there and drops it there.
      const std::shared_ptr<Mailbox> mailbox = std::move(job.mailbox);
      mailbox->post([loop = job.loop, lookup = job.lookup, is_alive = std::move(job.is_alive),
                     answer = std::move(answer)]() mutable {
        if (*is_alive) lookup->finish(loop->now(), std::move(answer));
      });
      lock.lock();
    }
  }
};

Resolver::Resolver() : pool_(std::make_shared<Pool>()) {}

Resolver::~Resolver() {
  const std::lock_guard lock(pool_->mutex);
  pool_->is_closed = true;
  pool_->has_work.notify_all();
}

std::unique_ptr<drive::ResolvePort> Resolver::resolve(Loop& loop, const std::string& host,
                                                      drive::ResolveHandler& handler) {
  auto lookup = std::make_unique<Lookup>(loop, handler);
  if (auto known = known_addresses(host)) {
    lookup->answer_soon(std::move(*known));
    return lookup;
  }
  const bool is_queued =
      pool_->add(pool_, {host, loop.mailbox(), &loop, lookup.get(), lookup->is_alive()});
  if (is_queued) {
    lookup->start_timeout(host);
  } else {
    lookup->answer_soon(fail(ErrorKind::limit, "too many name lookups at once", host));
  }
  return lookup;
}

}  // namespace culvert::net
