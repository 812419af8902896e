#include "http/websocket.h"

#include "base/assert.h"
#include "base/encoding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <algorithm>
#include <utility>

namespace culvert::http {
namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kOpcode = 0x0f;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kContinuation = 0;
constexpr std::size_t kMaxControlBytes = 125;  // RFC 6455 5.5
constexpr std::size_t kCodeBytes = 2;

bool is_control(std::uint8_t opcode) {
  return (opcode & 0x8) != 0;
}

bool is_known(std::uint8_t opcode) {
  return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(ByteView text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::uint8_t lead = text[i++];
    if (lead < 0x80) continue;
    const std::size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - i < more) return false;
    // The second byte alone tells of overlong forms, surrogates and what is too high.
    const std::uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const std::uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (text[i] < least || text[i] > most) return false;
    for (std::size_t k = 1; k < more; ++k) {
      if ((text[i + k] & 0xc0) != 0x80) return false;
    }
    i += more;
  }
  return true;
}

// RFC 6455 7.4, and the registry: what may stand in a close frame.
bool is_code(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

void append_frame(Bytes& out, WebSocketEnd end, Rng& rng, WebSocketKind kind, ByteView head,
                  ByteView rest) {
  constexpr std::uint8_t kTwoByteLength = 126;
  constexpr std::uint8_t kEightByteLength = 127;
  const std::size_t size = head.size() + rest.size();
  const std::uint8_t masked = end == WebSocketEnd::client ? kMasked : 0;
  ByteWriter writer(out);
  writer.u8(kFinal | static_cast<std::uint8_t>(kind));
  if (size <= kMaxControlBytes) {
    writer.u8(static_cast<std::uint8_t>(masked | size));
  } else if (size <= 0xffff) {
    writer.u8(masked | kTwoByteLength);
    writer.u16(static_cast<std::uint16_t>(size));
  } else {
    writer.u8(masked | kEightByteLength);
    writer.u64(size);
  }
  std::array<std::uint8_t, 4> mask{};
  if (masked != 0) {
    rng.fill(mask);
    out.insert(out.end(), mask.begin(), mask.end());
  }
  const std::size_t begin = out.size();
  out.insert(out.end(), head.begin(), head.end());
  out.insert(out.end(), rest.begin(), rest.end());
  if (masked == 0) return;
  for (std::size_t i = 0; i < size; ++i) out[begin + i] ^= mask[i % mask.size()];
}

bool is_word(std::string_view text, std::string_view word) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::ranges::equal(text, word, {}, lower, lower);
}

// The words of a list that are separated by commas.
std::vector<std::string_view> words_of(std::string_view list) {
  std::vector<std::string_view> words;
  for (;;) {
    const std::size_t comma = list.find(',');
    std::string_view word = list.substr(0, comma);
    while (word.starts_with(' ') || word.starts_with('\t')) word.remove_prefix(1);
    while (word.ends_with(' ') || word.ends_with('\t')) word.remove_suffix(1);
    if (!word.empty()) words.push_back(word);
    if (comma == std::string_view::npos) return words;
    list.remove_prefix(comma + 1);
  }
}

// Whether a field is such a list with this word, in any case.
bool has_word(std::span<const Header> headers, std::string_view name, std::string_view word) {
  const auto value = find(headers, name);
  return value && std::ranges::any_of(words_of(*value), [word](std::string_view other) {
           return is_word(other, word);
         });
}

bool is_key(std::string_view text) {
  const auto nonce = base64_decode(text);
  return nonce && nonce->size() == 16;
}

}  // namespace

void WebSocketReader::add(ByteView bytes) {
  if (error_ || is_closed_) return;
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(position_));
  position_ = 0;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
}

std::optional<WebSocketMessage> WebSocketReader::next() {
  while (!error_ && !is_closed_) {
    if (!is_in_frame_ && !read_head()) return std::nullopt;
    const std::size_t count = std::min<std::uint64_t>(left_, input_.size() - position_);
    Bytes& into = is_control(opcode_) ? control_ : message_;
    for (std::size_t i = 0; i < count; ++i) {
      into.push_back(input_[position_ + i] ^ mask_[mask_position_++ % mask_.size()]);
    }
    position_ += count;
    left_ -= count;
    if (left_ > 0) return std::nullopt;
    is_in_frame_ = false;
    if (auto message = finish_frame()) return message;
  }
  return std::nullopt;
}

// RFC 6455 5.2. Everything that can be refused by its head alone is, before its payload has come.
bool WebSocketReader::read_head() {
  ByteReader reader(ByteView(input_).subspan(position_));
  const auto first = reader.u8();
  const auto second = reader.u8();
  if (!first || !second) return false;
  const bool is_masked = (*second & kMasked) != 0;
  opcode_ = *first & kOpcode;
  is_final_ = (*first & kFinal) != 0;
  const auto refused = [this](std::string_view what) {
    refuse(WebSocketCode::protocol_error, what);
    return false;
  };
  if ((*first & kReserved) != 0) return refused("a reserved bit, and no extension");
  if (!is_known(opcode_)) return refused("an unknown kind of frame");
  if (is_masked != (end_ == WebSocketEnd::server)) {
    return refused(is_masked ? "a server's frame with a mask" : "a client's frame without a mask");
  }
  std::uint64_t length = *second & ~kMasked;
  if (is_control(opcode_)) {
    if (!is_final_) return refused("a control frame in fragments");
    if (length > kMaxControlBytes) return refused("a control frame of more than 125 bytes");
  } else if ((opcode_ == kContinuation) != fragmented_.has_value()) {
    return refused(fragmented_ ? "a message within the fragments of another"
                               : "a fragment of no message");
  }
  if (length == 126) {
    const auto longer = reader.u16();
    if (!longer) return false;
    length = *longer;
    if (length < 126) return refused("a length in more bytes than it needs");
  } else if (length == 127) {
    const auto longer = reader.u64();
    if (!longer) return false;
    length = *longer;
    if (length <= 0xffff) return refused("a length in more bytes than it needs");
  }
  if (!is_control(opcode_) && length > max_message_bytes_ - message_.size()) {
    refuse(WebSocketCode::too_large, "a message beyond the limit");
    return false;
  }
  mask_ = {};
  if (is_masked) {
    const auto mask = reader.take(mask_.size());
    if (!mask) return false;
    std::ranges::copy(*mask, mask_.begin());
  }
  mask_position_ = 0;
  left_ = length;
  is_in_frame_ = true;
  position_ = input_.size() - reader.rest().size();
  return true;
}

std::optional<WebSocketMessage> WebSocketReader::finish_frame() {
  if (is_control(opcode_)) {
    const auto kind = static_cast<WebSocketKind>(opcode_);
    if (kind == WebSocketKind::close) return finish_close();
    return WebSocketMessage{.kind = kind, .payload = std::exchange(control_, {})};
  }
  if (opcode_ != kContinuation) fragmented_ = static_cast<WebSocketKind>(opcode_);
  if (!is_final_) return std::nullopt;
  WebSocketMessage message{.kind = *std::exchange(fragmented_, std::nullopt),
                           .payload = std::exchange(message_, {})};
  if (message.kind == WebSocketKind::text && !is_utf8(message.payload)) {
    refuse(WebSocketCode::invalid_text, "a text that is not UTF-8");
    return std::nullopt;
  }
  return message;
}

std::optional<WebSocketMessage> WebSocketReader::finish_close() {
  WebSocketMessage message{.kind = WebSocketKind::close, .payload = std::exchange(control_, {})};
  if (!message.payload.empty()) {
    const auto code = ByteReader(message.payload).u16();
    if (!code || !is_code(*code)) {
      refuse(WebSocketCode::protocol_error, "a close frame without a proper code");
      return std::nullopt;
    }
    message.code = static_cast<WebSocketCode>(*code);
    message.payload.erase(message.payload.begin(), message.payload.begin() + kCodeBytes);
    if (!is_utf8(message.payload)) {
      refuse(WebSocketCode::invalid_text, "a reason that is not UTF-8");
      return std::nullopt;
    }
  }
  is_closed_ = true;
  return message;
}

void append_message(Bytes& out, WebSocketEnd end, Rng& rng, WebSocketKind kind, ByteView payload) {
  CULVERT_ASSERT(kind != WebSocketKind::close);
  CULVERT_ASSERT(!is_control(static_cast<std::uint8_t>(kind)) ||
                 payload.size() <= kMaxControlBytes);
  append_frame(out, end, rng, kind, payload, {});
}

void append_close(Bytes& out, WebSocketEnd end, Rng& rng, WebSocketCode code,
                  std::string_view reason) {
  if (code == WebSocketCode::none) {
    append_frame(out, end, rng, WebSocketKind::close, {}, {});
    return;
  }
  std::size_t size = std::min(reason.size(), kMaxControlBytes - kCodeBytes);
  if (size < reason.size()) {
    while (size > 0 && (static_cast<std::uint8_t>(reason[size]) & 0xc0) == 0x80) --size;
  }
  const auto number = static_cast<std::uint16_t>(code);
  const std::array<std::uint8_t, kCodeBytes> head{static_cast<std::uint8_t>(number >> 8),
                                                  static_cast<std::uint8_t>(number & 0xff)};
  append_frame(out, end, rng, WebSocketKind::close, head, as_bytes(reason.substr(0, size)));
}

std::string websocket_key(Rng& rng) {
  std::array<std::uint8_t, 16> nonce{};
  rng.fill(nonce);
  return base64_encode(nonce);
}

std::string websocket_accept(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<std::uint8_t, 20> digest{};  // SHA-1, which hides nothing here (RFC 6455 10.8)
  const int hashed = gnutls_hash_fast(GNUTLS_DIG_SHA1, text.data(), text.size(), digest.data());
  CULVERT_ASSERT(hashed == 0);
  return base64_encode(digest);
}

Call websocket_call(std::string target, std::string_view key,
                    const std::vector<std::string>& protocols, std::vector<Header> headers) {
  headers.push_back({"Upgrade", "websocket"});
  headers.push_back({"Connection", "Upgrade"});
  headers.push_back({"Sec-WebSocket-Key", std::string(key)});
  headers.push_back({"Sec-WebSocket-Version", "13"});
  if (!protocols.empty()) {
    headers.push_back({"Sec-WebSocket-Protocol", fmt::format("{}", fmt::join(protocols, ", "))});
  }
  return {.target = std::move(target), .headers = std::move(headers)};
}

// RFC 6455 4.1, the list that a client must check.
Result<std::string> websocket_protocol(const Reply& reply, std::string_view key,
                                       const std::vector<std::string>& protocols) {
  if (reply.status != 101) {
    return fail(ErrorKind::refused,
                fmt::format("answered with HTTP status {} and no WebSocket", reply.status));
  }
  if (!has_word(reply.headers, "Upgrade", "websocket") ||
      !has_word(reply.headers, "Connection", "upgrade")) {
    return fail(ErrorKind::protocol, "changes to another protocol than WebSocket");
  }
  if (find(reply.headers, "Sec-WebSocket-Accept") != websocket_accept(key)) {
    return fail(ErrorKind::protocol, "answers another WebSocket request than ours");
  }
  if (!find(reply.headers, "Sec-WebSocket-Extensions").value_or("").empty()) {
    return fail(ErrorKind::protocol, "uses a WebSocket extension, and none was offered");
  }
  const auto chosen = find(reply.headers, "Sec-WebSocket-Protocol");
  if (!chosen && protocols.empty()) return std::string();
  if (!chosen || std::ranges::find(protocols, *chosen) == protocols.end()) {
    return fail(ErrorKind::protocol, chosen
                                         ? "chose a WebSocket protocol that was not offered"
                                         : fmt::format("speaks none of the WebSocket protocols {}",
                                                       fmt::join(protocols, ", ")));
  }
  return std::string(*chosen);
}

std::expected<WebSocketOffer, Response> websocket_offer(const Request& request) {
  const auto refuse = [](int status, std::string_view what) {
    return std::unexpected(Response{.status = status,
                                    .body = fmt::format("{}\n", what),
                                    .content_type = "text/plain",
                                    .headers = {{"Sec-WebSocket-Version", "13"}}});
  };
  if (request.method != "GET" || !request.host) return refuse(400, "no request for WebSocket");
  if (!has_word(request.headers, "Upgrade", "websocket") ||
      !has_word(request.headers, "Connection", "upgrade")) {
    return refuse(426, "here is nothing but WebSocket");
  }
  if (find(request.headers, "Sec-WebSocket-Version") != "13") {
    return refuse(426, "here is version 13 of WebSocket only");
  }
  const auto key = find(request.headers, "Sec-WebSocket-Key");
  if (!key || !is_key(*key)) return refuse(400, "Sec-WebSocket-Key is not 16 bytes in base64");
  WebSocketOffer offer{.key = std::string(*key), .protocols = {}};
  for (const Header& header : request.headers) {
    if (!is_word(header.name, "Sec-WebSocket-Protocol")) continue;
    for (const std::string_view word : words_of(header.value)) offer.protocols.emplace_back(word);
  }
  return offer;
}

Response websocket_response(const WebSocketOffer& offer, std::string_view protocol,
                            TakeStream take_stream) {
  Response response{.status = 101,
                    .headers = {{"Upgrade", "websocket"},
                                {"Connection", "Upgrade"},
                                {"Sec-WebSocket-Accept", websocket_accept(offer.key)}},
                    .take_stream = std::move(take_stream)};
  if (!protocol.empty()) {
    response.headers.push_back({"Sec-WebSocket-Protocol", std::string(protocol)});
  }
  return response;
}

}  // namespace culvert::http
