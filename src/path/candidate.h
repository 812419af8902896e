// Where a peer may be reached, and how that came to be known. Whoever finds out (a ticket, a name,
// a directory, the peer itself) tells a CandidateSink as it finds them; what becomes of them is
// decided by PathSet.
#pragma once

#include "base/address.h"
#include "base/mapped_address.h"
#include "base/time.h"
#include "base/words.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace culvert::path {

// How a candidate is known. Where there are too many, the later ones of this list give way.
enum class Origin : std::uint8_t {
  given,       // by the user: an option, a ticket
  name,        // what a name stands for at present
  peer,        // said by the peer itself, which has proven who it is
  discovered,  // found in a directory or on the local network
};

struct Candidate {
  SocketAddress remote;  // of a peer behind a relay or a TURN server: its stand-in
  Origin origin = Origin::given;
  std::uint32_t priority = 0;  // of two that are as good otherwise the higher is tried first

  [[nodiscard]] PathKind kind() const { return path_kind_of(remote.ip); }

  friend bool operator==(const Candidate&, const Candidate&) = default;
};

// Whoever wants to know. Called from the loop of the worker that has it.
class CandidateSink {
 public:
  // It may be known already; then this is what is known of it now.
  virtual void on_candidate(Instant now, const Candidate& candidate) = 0;
  // Nobody says any more that the peer is there. A connection that is there stays.
  virtual void on_candidate_gone(Instant now, const SocketAddress& remote) = 0;

 protected:
  ~CandidateSink() = default;
};

}  // namespace culvert::path

namespace culvert {

template <>
inline constexpr std::array<std::string_view, 4> kWords<path::Origin>{"given", "name", "peer",
                                                                      "discovered"};

}  // namespace culvert
