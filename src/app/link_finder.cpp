#include "app/link_finder.h"

#include <thread>
#include <utility>

namespace culvert::app {

// Sees to it that a wish is followed, and tells what comes of it.
class LinkFinder::Errand final : private peer::FinderSink {
 public:
  Errand(LinkFinder& link, std::uint64_t id) : link_(link), id_(id) {}
  void begin(Instant now, peer::PeerFinder& finder, const peer::PeerQuery& query) {
    subscription_ = finder.subscribe(now, query, *this);
  }
  void search(Instant now) {
    subscription_->search(now);
    if (!subscription_->is_searching()) on_searched(now);
  }

 private:
  void on_candidate(Instant, const path::Candidate& candidate) override;
  void on_candidate_gone(Instant, const SocketAddress& remote) override;
  void on_searched(Instant now) override;
  template <typename What>
  void tell(const What& what);

  LinkFinder& link_;
  const std::uint64_t id_;
  std::unique_ptr<peer::PeerSubscription> subscription_;
};

struct LinkFinder::Desk {
  peer::PeerFinder& finder;
  std::map<std::uint64_t, Errand> errands;
};

class LinkFinder::Asker final : public peer::PeerSubscription {
 public:
  Asker(LinkFinder& link, const peer::PeerQuery& query, peer::FinderSink& sink)
      : link_(link), id_(link.next_id_++), query_(query), sink_(sink) {
    link_.asking_.emplace(id_, this);
    begin();
  }
  ~Asker() override {
    link_.asking_.erase(id_);
    // Where it does not arrive, the errand ends with the link.
    static_cast<void>(link_.send([id = id_](Instant, Desk& desk) { desk.errands.erase(id); }));
  }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;

  void search(Instant) override {
    if (is_searching_) return;
    begin();
    is_searching_ = has_begun_ && link_.send([id = id_](Instant now, Desk& desk) {
      const auto errand = desk.errands.find(id);
      if (errand != desk.errands.end()) errand->second.search(now);
    });
    if (!is_searching_) {
      failures_ = {
          {ErrorKind::limit, "nobody could be asked: too much waits for the main loop", {}}};
    }
  }
  [[nodiscard]] bool is_searching() const override { return is_searching_; }
  [[nodiscard]] std::vector<Error> failures() const override { return failures_; }

  [[nodiscard]] peer::FinderSink& sink() { return sink_; }
  void on_searched(Instant now, std::vector<Error> failures) {
    is_searching_ = false;
    failures_ = std::move(failures);
    sink_.on_searched(now);
  }

 private:
  void begin() {
    if (has_begun_) return;
    has_begun_ = link_.send([&link = link_, id = id_, query = query_](Instant now, Desk& desk) {
      const auto [errand, is_new] = desk.errands.try_emplace(id, link, id);
      if (is_new) errand->second.begin(now, desk.finder, query);
    });
  }

  LinkFinder& link_;
  const std::uint64_t id_;
  const peer::PeerQuery query_;
  peer::FinderSink& sink_;
  bool has_begun_ = false;
  bool is_searching_ = false;
  std::vector<Error> failures_;
};

// Nothing that is found may be lost. A full mailbox is that of a loop with very much to do, which
// never waits for this one.
template <typename What>
void LinkFinder::Errand::tell(const What& what) {
  const auto task = [&link = link_, id = id_, what](Instant now) {
    if (Asker* asker = link.find(id)) what(now, *asker);
  };
  while (!link_.own_.post(task)) std::this_thread::yield();
}

void LinkFinder::Errand::on_candidate(Instant, const path::Candidate& candidate) {
  tell([candidate](Instant now, Asker& asker) { asker.sink().on_candidate(now, candidate); });
}

void LinkFinder::Errand::on_candidate_gone(Instant, const SocketAddress& remote) {
  tell([remote](Instant now, Asker& asker) { asker.sink().on_candidate_gone(now, remote); });
}

void LinkFinder::Errand::on_searched(Instant) {
  tell([failures = subscription_->failures()](Instant now, Asker& asker) {
    asker.on_searched(now, failures);
  });
}

LinkFinder::LinkFinder(net::KernelHost& main, peer::PeerFinder& finder, net::KernelHost& own)
    : main_(main),
      own_(own),
      desk_(std::make_shared<Desk>(Desk{.finder = finder, .errands = {}})) {}

LinkFinder::~LinkFinder() = default;

std::unique_ptr<peer::PeerSubscription> LinkFinder::subscribe(Instant, const peer::PeerQuery& query,
                                                              peer::FinderSink& sink) {
  return std::make_unique<Asker>(*this, query, sink);
}

bool LinkFinder::send(Task task) {
  return main_.post([desk = std::weak_ptr(desk_), task = std::move(task)](Instant now) {
    if (const auto there = desk.lock()) task(now, *there);
  });
}

LinkFinder::Asker* LinkFinder::find(std::uint64_t id) const {
  const auto found = asking_.find(id);
  return found == asking_.end() ? nullptr : found->second;
}

}  // namespace culvert::app
