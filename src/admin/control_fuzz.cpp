// Bytes as a client of the control socket sends them, in two pieces: whatever comes is
// answered or waits for more, with bounded memory, and paths survive decoding.
#include "admin/api.h"
#include "admin/http_config.h"
#include "admin/instances.h"
#include "base/assert.h"
#include "base/limits.h"
#include "http/parser.h"

namespace {

using namespace culvert;
using namespace culvert::admin;

class Target final : public ControlTarget {
 public:
  void collect(Instant now, OnSnapshot done) override {
    done(now, {.role = "client", .tunnels = {{.label = "a"}}});
  }
  void kick(Instant now, std::uint64_t, std::string reason, OnDone done) override {
    CULVERT_ASSERT(reason.size() <= limits::kReasonBytes);
    done(now, {});
  }
  void change_tunnel(Instant now, TunnelChange change, OnDone done) override {
    CULVERT_ASSERT(change.action != TunnelAction::add || (change.source && change.target));
    done(now, {});
  }
  Logger& log() override { return null_logger(); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Target target;
  Api api(target, [] { return ControlCounters{}; });
  http::RequestParser parser(http_config().request);
  const ByteView bytes(data + 1, size - 1);
  const std::size_t cut = bytes.size() * data[0] / 255;
  for (const ByteView piece : {bytes.first(cut), bytes.subspan(cut)}) {
    parser.add(piece);
    while (const auto request = parser.next()) {
      CULVERT_ASSERT(request->body.size() <= limits::kControlBodyBytes);
      int answers = 0;
      const auto count = [&answers](Instant, const http::Response& response) {
        CULVERT_ASSERT(response.status >= 200 && response.status < 600);
        CULVERT_ASSERT(!http::to_wire(response, true).empty());
        ++answers;
      };
      api.handle(Instant{}, *request, count);
      api.handle_metrics_only(Instant{}, *request, count);
      CULVERT_ASSERT(answers == 2);
      if (const auto segments = http::path_segments(request->path)) {
        for (const std::string& segment : *segments) {
          const auto again = http::path_segments("/" + http::percent_encoded(segment));
          CULVERT_ASSERT(again && again->size() == 1 && again->front() == segment);
        }
      }
    }
  }
  (void)parse_reply(as_text(bytes));
  return 0;
}
