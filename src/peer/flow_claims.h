// Which flows a client that has come back goes on with: it asks for each, or says that it is over
// there, and then how many it has named. What it has not named by then is over. Sans-I/O, private
// to drive/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_set>

namespace culvert::peer {

// Owned by the server's session.
class FlowClaims {
 public:
  // The client is back.
  void begin() {
    *this = {};
    is_open_ = true;
  }
  // Nothing is waited for any more.
  void end() { is_open_ = false; }
  [[nodiscard]] bool is_open() const { return is_open_; }
  // It names a flow. False: it has named more than `most`.
  [[nodiscard]] bool add(std::uint64_t flow_id, std::size_t most) {
    if (named_.size() > most) return false;
    named_.insert(flow_id);
    return true;
  }
  // It says how many it names in all.
  void expect(std::uint64_t count) { expected_ = count; }
  [[nodiscard]] bool is_complete() const { return expected_ && named_.size() >= *expected_; }

 private:
  std::unordered_set<std::uint64_t> named_;
  std::optional<std::uint64_t> expected_;
  bool is_open_ = false;
};

}  // namespace culvert::peer
