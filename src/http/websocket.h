// WebSocket (RFC 6455) without I/O: messages out of bytes and into bytes, and what the two ends say
// to change to it. Ping, pong and close are messages as well: whoever uses this answers them.
// No extensions: none is offered, and a frame that would need one is an error.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"
#include "http/message.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::http {

// The end that this is.
enum class WebSocketEnd : std::uint8_t { client, server };

enum class WebSocketKind : std::uint8_t {
  text = 1,  // is UTF-8
  binary = 2,
  close = 8,  // the last: nothing may be sent after it, and nothing that comes after it is read
  ping = 9,   // to be answered by a pong with the same payload
  pong = 10,
};

// RFC 6455 7.4.1.
enum class WebSocketCode : std::uint16_t {
  normal = 1000,
  protocol_error = 1002,
  none = 1005,  // of a close without a code; never on the wire
  invalid_text = 1007,
  too_large = 1009,
};

struct WebSocketMessage {
  WebSocketKind kind = WebSocketKind::binary;
  Bytes payload{};  // of a close: its reason, which is UTF-8
  WebSocketCode code = WebSocketCode::none;
};

// Messages out of what the other end sends, in any pieces. After a close or an error it reads no
// more. What it holds is bounded by the largest message and what add() was last given.
class WebSocketReader {
 public:
  WebSocketReader(WebSocketEnd end, std::size_t max_message_bytes)
      : end_(end), max_message_bytes_(max_message_bytes) {}

  // To be called when next() has nothing.
  void add(ByteView bytes);
  [[nodiscard]] std::optional<WebSocketMessage> next();

  // What to close with.
  struct Failure {
    WebSocketCode code;
    std::string_view what;
  };
  [[nodiscard]] const std::optional<Failure>& error() const { return error_; }

 private:
  [[nodiscard]] bool read_head();  // false: more bytes are needed, or error_ is set
  [[nodiscard]] std::optional<WebSocketMessage> finish_frame();
  [[nodiscard]] std::optional<WebSocketMessage> finish_close();
  void refuse(WebSocketCode code, std::string_view what) { error_ = {code, what}; }

  const WebSocketEnd end_;
  const std::size_t max_message_bytes_;
  Bytes input_;  // from `position_` on: not yet read
  std::size_t position_ = 0;
  // The frame that is being read.
  bool is_in_frame_ = false;
  bool is_final_ = false;
  std::uint8_t opcode_ = 0;
  std::uint64_t left_ = 0;
  std::array<std::uint8_t, 4> mask_{};
  std::size_t mask_position_ = 0;
  // Of a message in fragments, between which others of 125 bytes at most may come.
  std::optional<WebSocketKind> fragmented_;
  Bytes message_;
  Bytes control_;
  bool is_closed_ = false;
  std::optional<Failure> error_;
};

// Appends one message as one frame. A client's are masked by what it draws. The payload of a ping
// or pong is 125 bytes at most.
void append_message(Bytes& out, WebSocketEnd end, Rng& rng, WebSocketKind kind, ByteView payload);
// A close frame; the reason is cut at 123 bytes, between characters.
void append_close(Bytes& out, WebSocketEnd end, Rng& rng, WebSocketCode code,
                  std::string_view reason);

// --- the opening handshake ----------------------------------------------------------------

// A client's key: to be drawn anew for each.
[[nodiscard]] std::string websocket_key(Rng& rng);
// What the server says to it.
[[nodiscard]] std::string websocket_accept(std::string_view key);

// The call that asks for WebSocket at `target`, with one of these protocols, in order of liking
// (none: no word of them). `headers`: more of the caller's.
[[nodiscard]] Call websocket_call(std::string target, std::string_view key,
                                  const std::vector<std::string>& protocols,
                                  std::vector<Header> headers = {});
// The protocol that the server has chosen (none: empty), or why there is no WebSocket. It must be
// one of those that were asked for, if any were; an extension must not be there.
[[nodiscard]] Result<std::string> websocket_protocol(const Reply& reply, std::string_view key,
                                                     const std::vector<std::string>& protocols);

// What a client has asked for.
struct WebSocketOffer {
  std::string key;
  std::vector<std::string> protocols;  // in order of liking; perhaps none
};
// Of a request; or what to answer it with instead (RFC 6455 4.2: 400, or 426 for another version).
[[nodiscard]] std::expected<WebSocketOffer, Response> websocket_offer(const Request& request);
// The answer that changes to WebSocket, with one of the offer's protocols or none (empty).
[[nodiscard]] Response websocket_response(const WebSocketOffer& offer, std::string_view protocol,
                                          TakeStream take_stream);

}  // namespace culvert::http
