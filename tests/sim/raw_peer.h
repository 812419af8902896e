// A program that speaks to a culvert by hand: connections whose streams are plain bytes, with
// nothing above them. It obeys QUIC, because ngtcp2 does, and no rule beyond; what it says is
// put together by its user, from the codec of src/session or from bytes.
#pragma once

#include "drive/worker.h"
#include "session/flow_open.h"
#include "session/message.h"
#include "sim/sim_host.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::sim {

// session::Message with bytes of its own.
struct HeardMessage {
  session::MessageType type{};
  std::map<std::uint64_t, Bytes> fields;

  [[nodiscard]] bool is(session::MessageType wanted) const { return type == wanted; }
  // A field that is not there is no bytes, or 0.
  [[nodiscard]] Bytes bytes(std::uint64_t tag) const;
  [[nodiscard]] std::uint64_t number(std::uint64_t tag) const;
  template <std::size_t N>
  [[nodiscard]] std::array<std::uint8_t, N> array(std::uint64_t tag) const {
    const Bytes value = bytes(tag);
    std::array<std::uint8_t, N> out{};
    std::copy_n(value.begin(), std::min(N, value.size()), out.begin());
    return out;
  }
};

class RawConnection;

// Lives as long as its connection.
struct RawStream {
  RawConnection* connection = nullptr;
  quic::Stream* stream = nullptr;  // null once it is over
  Bytes received;                  // what nobody has taken
  Bytes to_send;                   // that does not fit yet
  bool is_reading = true;          // otherwise the peer gets no credit for what it sends
  bool is_finishing = false;
  bool has_ended = false;  // FIN, and everything before it is in `received`
  std::optional<std::uint64_t> reset_code;
  std::optional<std::uint64_t> stop_code;
  std::uint64_t total_received = 0;

  [[nodiscard]] bool is_over() const { return stream == nullptr; }
  // The next whole message, taken out of `received`.
  [[nodiscard]] std::optional<HeardMessage> take_message();
};

class RawConnection final : public drive::ConnectionHandler {
 public:
  RawConnection(drive::Worker& worker, World& world) : worker_(worker), world_(world) {}
  ~RawConnection() override;

  // Null: the peer grants no more streams.
  RawStream* open_stream();
  void send(RawStream& stream, ByteView bytes);
  void finish(RawStream& stream);
  void reset(RawStream& stream, std::uint64_t code);
  void stop_sending(RawStream& stream, std::uint64_t code);
  void send_datagram(ByteView bytes);
  void allow_streams(std::uint64_t count);
  // Reads so many bytes of a stream that is not read otherwise.
  void take_some(RawStream& stream, std::size_t count);
  void close(std::uint64_t code, std::string_view reason = "");

  [[nodiscard]] bool is_up() const { return is_up_; }
  [[nodiscard]] bool is_closed() const { return is_closed_; }
  // The code that the peer closed with; empty: it has not, or with none of culvert/1.
  [[nodiscard]] std::optional<std::uint64_t> close_code() const { return close_code_; }
  [[nodiscard]] const std::string& close_reason() const { return close_reason_; }
  [[nodiscard]] quic::Connection& quic() { return *connection_; }
  [[nodiscard]] Instant closed_at() const { return closed_at_; }
  [[nodiscard]] const std::deque<std::unique_ptr<RawStream>>& streams() const { return streams_; }
  [[nodiscard]] std::array<std::uint8_t, 32> exported(std::string_view label) const;

  std::vector<Bytes> datagrams;
  // For peers that answer by themselves. Called within the worker's turn.
  std::function<void(RawStream&)> on_opened;    // by the other side
  std::function<void(RawStream&)> on_received;  // bytes, the end, or a reset
  std::function<void(RawStream&)> on_unread;    // bytes for a stream that is not read
  std::function<void()> on_lost;

  void attach(quic::Connection& connection) { connection_ = &connection; }
  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override;
  void on_writable(Instant now, quic::Stream& stream) override;
  void on_datagram(Instant now, ByteView datagram) override;

 private:
  RawStream& adopt(quic::Stream& stream);
  void take(RawStream& stream);
  void flush(RawStream& stream);

  drive::Worker& worker_;
  World& world_;
  quic::Connection* connection_ = nullptr;  // null once it is closed
  std::deque<std::unique_ptr<RawStream>> streams_;
  bool is_up_ = false;
  bool is_closed_ = false;
  std::optional<std::uint64_t> close_code_;
  std::string close_reason_;
  Instant closed_at_{};
};

// The program: a UDP socket on a machine, and its connections. Owned by the test.
class RawPeer final : public drive::WorkerHandler {
 public:
  RawPeer(Machine& machine, quic::EndpointConfig config, std::uint16_t port = 0);
  ~RawPeer() override;

  struct Dial {
    SocketAddress to;
    crypto::EndpointId peer;
    std::optional<IpAddress> from{};
    std::optional<std::uint8_t> worker{};
  };
  [[nodiscard]] RawConnection& connect(const Dial& dial);
  [[nodiscard]] World& world() { return host_.world(); }
  [[nodiscard]] SimHost& host() { return host_; }
  [[nodiscard]] drive::Worker& worker() { return worker_; }
  [[nodiscard]] const std::deque<std::unique_ptr<RawConnection>>& connections() const {
    return connections_;
  }

  std::function<void(RawConnection&)> on_accepted;

 private:
  drive::ConnectionHandler* on_connection(Instant now, quic::Connection& connection) override;
  void on_network_changed(Instant) override {}
  void on_refused(Instant, const UdpRefusal&) override {}

  SimHost host_;
  drive::Worker worker_;
  std::deque<std::unique_ptr<RawConnection>> connections_;
};

}  // namespace culvert::sim
