#include "peer/finder_hub.h"

#include "base/limits.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace culvert::peer {
namespace {

using Candidates = std::vector<path::Candidate>;

Candidates::iterator find_in(Candidates& candidates, const SocketAddress& remote) {
  return std::ranges::find(candidates, remote, &path::Candidate::remote);
}

// Of two that say the same, whose word counts.
bool is_better(const path::Candidate& a, const path::Candidate& b) {
  return a.origin != b.origin ? a.origin < b.origin : a.priority > b.priority;
}

}  // namespace

class FinderHub::Subscription final : public PeerSubscription {
 public:
  Subscription(Logger& log, const crypto::EndpointId& peer, FinderSink& sink)
      : log_(log), peer_(peer), sink_(sink) {}

  void ask(Instant now, PeerFinder& finder, const PeerQuery& query) {
    Source& source = *sources_.emplace_back(std::make_unique<Source>(*this));
    source.subscription = finder.subscribe(now, query, source);
  }

  void search(Instant now) override {
    for (const auto& source : sources_) source->subscription->search(now);
  }
  [[nodiscard]] bool is_searching() const override {
    return std::ranges::any_of(
        sources_, [](const auto& source) { return source->subscription->is_searching(); });
  }
  [[nodiscard]] std::vector<Error> failures() const override {
    std::vector<Error> all;
    for (const auto& source : sources_) {
      for (Error& failure : source->subscription->failures()) all.push_back(std::move(failure));
    }
    return all;
  }

 private:
  // What one finder says.
  struct Source final : FinderSink {
    explicit Source(Subscription& its_owner) : owner(its_owner) {}
    void on_candidate(Instant now, const path::Candidate& candidate) override {
      owner.on_said(now, *this, candidate);
    }
    void on_candidate_gone(Instant now, const SocketAddress& remote) override {
      const auto found = find_in(said, remote);
      if (found == said.end()) return;
      said.erase(found);
      owner.tell(now, remote);
    }
    void on_searched(Instant now) override { owner.sink_.on_searched(now); }

    Subscription& owner;
    Candidates said;
    bool has_said_too_much = false;
    std::unique_ptr<PeerSubscription> subscription;  // ends before what it tells of
  };

  void on_said(Instant now, Source& source, const path::Candidate& candidate) {
    const auto known = find_in(source.said, candidate.remote);
    if (known != source.said.end()) {
      *known = candidate;
    } else if (source.said.size() < limits::kMaxFinderCandidates) {
      source.said.push_back(candidate);
    } else {
      if (!std::exchange(source.has_said_too_much, true)) {
        log_.warn("session", "more than {} addresses of {} from one source: {} is left out",
                  limits::kMaxFinderCandidates, peer_.short_text(), candidate.remote.text());
      }
      return;
    }
    tell(now, candidate.remote);
  }

  // What is known of it now, if that is not what was told last.
  void tell(Instant now, const SocketAddress& remote) {
    std::optional<path::Candidate> best;
    for (const auto& source : sources_) {
      const auto found = find_in(source->said, remote);
      if (found != source->said.end() && (!best || is_better(*found, *best))) best = *found;
    }
    const auto told = find_in(told_, remote);
    if (!best) {
      told_.erase(told);
      sink_.on_candidate_gone(now, remote);
    } else if (told == told_.end() || *told != *best) {
      if (told == told_.end()) {
        told_.push_back(*best);
      } else {
        *told = *best;
      }
      sink_.on_candidate(now, *best);
    }
  }

  Logger& log_;
  const crypto::EndpointId peer_;
  FinderSink& sink_;
  Candidates told_;
  std::vector<std::unique_ptr<Source>> sources_;
};

std::unique_ptr<PeerSubscription> FinderHub::subscribe(Instant now, const PeerQuery& query,
                                                       FinderSink& sink) {
  auto subscription = std::make_unique<Subscription>(log_, query.peer, sink);
  for (PeerFinder* finder : finders_) subscription->ask(now, *finder, query);
  return subscription;
}

}  // namespace culvert::peer
