// News of a role for whoever watches it (the control interface): rare, never per packet.
#pragma once

#include "base/words.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace culvert::peer {

enum class RoleEventKind : std::uint8_t {
  session_opened,   // authenticated; server: `session`, `peer`, `address`
  session_refused,  // authentication said no; `detail`: why
  session_lost,     // its connection; `detail`: why. It may be resumed
  session_resumed,  // goes on over another connection
  session_closed,   // `detail`: why
  flow_refused,     // `detail`: why
  path_changed,     // `address`: the new remote address
  path_opened,      // client: another path joined the session; `address` as above
  path_lost,        // client: it is gone; `detail`: why
  tunnel_changed,   // client: `peer` is the tunnel's label, `detail` its state and reason
};

struct RoleEvent {
  RoleEventKind kind = RoleEventKind::session_opened;
  std::uint64_t session = 0;  // SessionSnapshot::id; 0 at a client and before authentication
  std::string peer{};
  std::string address{};
  std::string detail{};
  std::string server{};  // of a client with several: which
};
class RoleEventSink {
 public:
  // Asked first, so that nobody builds an event that nobody wants. Both from every worker's
  // thread.
  [[nodiscard]] virtual bool wants_events() const = 0;
  virtual void on_role_event(RoleEvent event) = 0;

 protected:
  ~RoleEventSink() = default;
};

// `make` is called only when somebody listens.
template <typename Make>
void tell(RoleEventSink* sink, Make make) {
  if (sink != nullptr && sink->wants_events()) sink->on_role_event(make());
}

}  // namespace culvert::peer

template <>
inline constexpr std::array<std::string_view, 10> culvert::kWords<culvert::peer::RoleEventKind>{
    "session_opened", "session_refused", "session_lost", "session_resumed", "session_closed",
    "flow_refused",   "path_changed",    "path_opened",  "path_lost",       "tunnel_changed"};
