// What comes over a connection on which TLS is spoken, in any pieces and however the stream below
// fails or takes no more: TlsStream ends or waits, and says so once. At either end; the first bytes
// choose which, and where it is cut.
#include "base/assert.h"
#include "http/test_certificate.h"
#include "http/tls_stream.h"
#include "ports/null_host.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace {

using namespace culvert;
using namespace culvert::http;

// Has timers, which are called when the input says so.
class TimedHost final : public NullHost {
 public:
  std::unique_ptr<TimerPort> after(Duration delay, std::function<void(Instant)> task) override {
    auto timer = std::make_unique<Timed>(*this);
    if (delay == Duration::zero()) soon_ = {timer.get(), std::move(task)};
    return timer;
  }
  // What was to be called at once.
  void run_soon() {
    auto [timer, task] = std::exchange(soon_, {});
    if (timer != nullptr) task(Instant{});
  }

 private:
  struct Timed final : TimerPort {
    explicit Timed(TimedHost& its_host) : host(its_host) {}
    ~Timed() override {
      if (host.soon_.first == this) host.soon_ = {};
    }
    TimedHost& host;
  };
  std::pair<TimerPort*, std::function<void(Instant)>> soon_{};
};

// The stream below: gives what it was given, takes what it may.
class BelowTls final : public StreamPort {
 public:
  struct Shared {
    Bytes input{};
    bool has_ended = false;
    bool has_failed = false;
    bool takes_writes = true;
    bool wants_readable = false;
    bool wants_writable = false;
    StreamHandler* handler = nullptr;
  };
  explicit BelowTls(Shared& shared) : shared_(shared) {}

  IoResult try_read(std::span<const ByteSpan> into) override {
    if (shared_.has_failed) return {0, IoStatus::failed};
    if (shared_.input.empty()) {
      return {0, shared_.has_ended ? IoStatus::end : IoStatus::would_block};
    }
    const std::size_t size = std::min(into[0].size(), shared_.input.size());
    std::copy_n(shared_.input.begin(), size, into[0].begin());
    shared_.input.erase(shared_.input.begin(),
                        shared_.input.begin() + static_cast<std::ptrdiff_t>(size));
    return {size, IoStatus::ok};
  }
  IoResult try_write(std::span<const ByteView> from) override {
    if (shared_.has_failed) return {0, IoStatus::failed};
    if (!shared_.takes_writes) return {0, IoStatus::would_block};
    return {from[0].size(), IoStatus::ok};
  }
  void want_readable() override { shared_.wants_readable = true; }
  void want_writable() override { shared_.wants_writable = true; }
  void shutdown_write() override {}
  void reset() override {}
  void set_handler(StreamHandler& handler) override { shared_.handler = &handler; }
  [[nodiscard]] std::string remote_text() const override { return "fuzz"; }

 private:
  Shared& shared_;
};

// Reads all that comes and says a word.
struct Reader final : StreamHandler {
  void on_stream_connected(Instant) override {
    is_connected = true;
    const std::array from{as_bytes("word")};
    static_cast<void>(stream->try_write(from));
    stream->want_readable();
  }
  void on_stream_failed(Instant, const Error&) override {
    CULVERT_ASSERT(!has_failed);
    has_failed = true;
  }
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 64> block{};
    const std::array into{ByteSpan(block)};
    IoResult result{};
    do result = stream->try_read(into);
    while (result.bytes > 0);
    if (result.status == IoStatus::would_block) stream->want_readable();
  }
  void on_stream_writable(Instant) override {}
  std::unique_ptr<TlsStream> stream;
  bool is_connected = false;
  bool has_failed = false;
};

std::shared_ptr<const TlsCredentials> client_credentials() {
  static const std::shared_ptr<const TlsCredentials> credentials =
      TlsCredentials::of_client({.has_system_roots = false, .authorities_pem = {}}).value();
  return credentials;
}

std::shared_ptr<const TlsCredentials> server_credentials() {
  static const Certificate certificate("relay.example", nullptr);
  static const std::string pem = certificate.pem();
  static const std::shared_ptr<const TlsCredentials> credentials =
      TlsCredentials::of_server(pem, certificate.key_pem()).value();
  return credentials;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool is_client = (data[0] & 1U) != 0;
  const bool fails_at_last = (data[0] & 2U) != 0;
  const std::size_t piece = 1 + std::size_t{data[1]} * 8;
  ByteView bytes(data + 2, size - 2);

  TimedHost host;
  BelowTls::Shared below;
  below.takes_writes = (data[0] & 4U) == 0;
  Reader reader;
  auto port = std::make_unique<BelowTls>(below);
  reader.stream = is_client ? TlsStream::connect(host, std::move(port), client_credentials(),
                                                 "relay.example", std::chrono::seconds(1), reader)
                            : TlsStream::accept(host, std::move(port), server_credentials(),
                                                std::chrono::seconds(1), reader);
  if (is_client) below.handler->on_stream_connected(Instant{});
  // As a port does: whoever asked is told, once.
  const auto go_on = [&] {
    for (bool is_told = true; is_told && !reader.has_failed;) {
      is_told = false;
      const bool is_readable = !below.input.empty() || below.has_ended || below.has_failed;
      if (is_readable && std::exchange(below.wants_readable, false)) {
        below.handler->on_stream_readable(Instant{});
        is_told = true;
      }
      const bool is_writable = below.takes_writes || below.has_failed;
      if (!reader.has_failed && is_writable && std::exchange(below.wants_writable, false)) {
        below.handler->on_stream_writable(Instant{});
        is_told = true;
      }
      if (!reader.has_failed) host.run_soon();
    }
  };
  while (!bytes.empty() && !reader.has_failed) {
    const ByteView next = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(next.size());
    below.input.insert(below.input.end(), next.begin(), next.end());
    go_on();
  }
  if (reader.has_failed) return 0;
  (fails_at_last ? below.has_failed : below.has_ended) = true;
  below.takes_writes = true;
  go_on();
  // A handshake that its other end has broken off is over.
  CULVERT_ASSERT(reader.is_connected || reader.has_failed);
  return 0;
}
