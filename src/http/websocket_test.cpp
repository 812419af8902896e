#include "http/websocket.h"

#include "base/encoding.h"
#include "ports/ports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culvert::http {
namespace {

using ::testing::HasSubstr;
using enum WebSocketKind;

constexpr std::size_t kMaxBytes = 1 << 20;

Bytes from_hex(std::string_view text) {
  const auto bytes = hex_decode(text);
  EXPECT_TRUE(bytes) << text;
  return *bytes;
}
std::string text_of(const WebSocketMessage& message) {
  return std::string(as_text(message.payload));
}

// All that a reader says about these bytes, given in pieces of this size.
struct Heard {
  std::vector<WebSocketMessage> messages;
  std::optional<WebSocketReader::Failure> error;
};
Heard hear(WebSocketEnd end, ByteView bytes, std::size_t piece, std::size_t max = kMaxBytes) {
  WebSocketReader reader(end, max);
  Heard heard;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.add(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    while (auto message = reader.next()) heard.messages.push_back(std::move(*message));
  }
  heard.error = reader.error();
  return heard;
}
Heard hear(WebSocketEnd end, std::string_view hex) {
  const Bytes bytes = from_hex(hex);
  return hear(end, bytes, bytes.size());
}

// RFC 6455 5.7.
struct Vector {
  std::string_view hex;
  WebSocketEnd reader;
  WebSocketKind kind;
  std::string_view payload;
};
constexpr Vector kVectors[] = {
    {"810548656c6c6f", WebSocketEnd::client, text, "Hello"},
    {"818537fa213d7f9f4d5158", WebSocketEnd::server, text, "Hello"},
    {"010348656c80026c6f", WebSocketEnd::client, text, "Hello"},
    {"890548656c6c6f", WebSocketEnd::client, ping, "Hello"},
    {"8a8537fa213d7f9f4d5158", WebSocketEnd::server, pong, "Hello"},
};

TEST(WebSocketReader, reads_the_vectors_of_the_rfc_in_any_pieces) {
  for (const Vector& vector : kVectors) {
    const Bytes bytes = from_hex(vector.hex);
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
      const Heard heard = hear(vector.reader, bytes, piece);
      ASSERT_EQ(heard.messages.size(), 1U) << vector.hex << ' ' << piece;
      EXPECT_EQ(heard.messages[0].kind, vector.kind);
      EXPECT_EQ(text_of(heard.messages[0]), vector.payload);
      EXPECT_FALSE(heard.error);
    }
    // Of every part but the whole: nothing, and no error.
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const Heard heard = hear(vector.reader, ByteView(bytes).first(size), 1);
      EXPECT_TRUE(heard.messages.empty());
      EXPECT_FALSE(heard.error);
    }
  }
}

// RFC 6455 5.7: 256 bytes and 64 KiB, each in the shortest form of its length.
TEST(WebSocketReader, reads_every_form_of_a_length) {
  SeededRng rng(1);
  for (const WebSocketEnd sender : {WebSocketEnd::client, WebSocketEnd::server}) {
    const WebSocketEnd reader =
        sender == WebSocketEnd::client ? WebSocketEnd::server : WebSocketEnd::client;
    for (const std::size_t size : {0, 1, 125, 126, 127, 256, 65'535, 65'536, 1 << 20}) {
      Bytes payload(size);
      rng.fill(payload);
      Bytes wire;
      append_message(wire, sender, rng, binary, payload);
      const std::size_t length_bytes = size <= 125 ? 0 : size <= 65'535 ? 2 : 8;
      EXPECT_EQ(wire.size(), 2 + length_bytes + (sender == WebSocketEnd::client ? 4 : 0) + size);
      const Heard heard = hear(reader, wire, 4'096);
      ASSERT_EQ(heard.messages.size(), 1U) << size;
      EXPECT_EQ(heard.messages[0].payload, payload);
    }
  }
}

TEST(WebSocketReader, takes_control_frames_between_fragments) {
  // "He", ping "x", "", pong "", "llo"
  const Heard heard = hear(WebSocketEnd::client, "0102486589017800008a0080036c6c6f");
  ASSERT_EQ(heard.messages.size(), 3U);
  EXPECT_EQ(heard.messages[0].kind, ping);
  EXPECT_EQ(text_of(heard.messages[0]), "x");
  EXPECT_EQ(heard.messages[1].kind, pong);
  EXPECT_EQ(heard.messages[2].kind, text);
  EXPECT_EQ(text_of(heard.messages[2]), "Hello");
}

TEST(WebSocketReader, ends_with_a_close) {
  const auto closed = [](std::string_view hex) {
    const Heard heard = hear(WebSocketEnd::client, hex);
    EXPECT_EQ(heard.messages.size(), 1U) << hex;
    EXPECT_FALSE(heard.error) << hex;
    return heard.messages.empty() ? WebSocketMessage{} : heard.messages[0];
  };
  EXPECT_EQ(closed("880203e8").code, WebSocketCode::normal);
  EXPECT_EQ(closed("8800").code, WebSocketCode::none);
  EXPECT_EQ(text_of(closed("880503e8627965")), "bye");
  EXPECT_EQ(closed("88020bb8").code, static_cast<WebSocketCode>(3000));
  // Within the fragments of a message; and nothing of what is behind it.
  EXPECT_EQ(closed("01024865880203e8"
                   "80036c6c6f"
                   "ffff")
                .code,
            WebSocketCode::normal);
}

struct Wrong {
  std::string_view hex;
  WebSocketEnd reader;
  WebSocketCode code;
};
using enum WebSocketCode;
constexpr Wrong kWrong[] = {
    // Masks on the wrong side.
    {"818537fa213d7f9f4d5158", WebSocketEnd::client, protocol_error},
    {"810548656c6c6f", WebSocketEnd::server, protocol_error},
    // Reserved bits, unknown kinds.
    {"c10161", WebSocketEnd::client, protocol_error},
    {"a10161", WebSocketEnd::client, protocol_error},
    {"910161", WebSocketEnd::client, protocol_error},
    {"830161", WebSocketEnd::client, protocol_error},
    {"870161", WebSocketEnd::client, protocol_error},
    {"8b0161", WebSocketEnd::client, protocol_error},
    {"8f0161", WebSocketEnd::client, protocol_error},
    // Control frames in fragments, or too long.
    {"090161", WebSocketEnd::client, protocol_error},
    {"897e007e", WebSocketEnd::client, protocol_error},
    {"887f", WebSocketEnd::client, protocol_error},
    // A continuation of nothing, also after a message that was whole; a message within another.
    {"800161", WebSocketEnd::client, protocol_error},
    {"810161800161", WebSocketEnd::client, protocol_error},
    {"010161810162", WebSocketEnd::client, protocol_error},
    {"010161010162", WebSocketEnd::client, protocol_error},
    // Lengths that could be shorter; one with its highest bit set is beyond every limit.
    {"827e007d", WebSocketEnd::client, protocol_error},
    {"827f000000000000ffff", WebSocketEnd::client, protocol_error},
    {"827fffffffffffffffff", WebSocketEnd::client, too_large},
    {"827f0000000000100001", WebSocketEnd::client, too_large},
    // Close frames: one byte, and codes that must not be there.
    {"880103", WebSocketEnd::client, protocol_error},
    {"88020000", WebSocketEnd::client, protocol_error},
    {"880203e7", WebSocketEnd::client, protocol_error},
    {"880203ec", WebSocketEnd::client, protocol_error},
    {"880203ed", WebSocketEnd::client, protocol_error},
    {"880203ee", WebSocketEnd::client, protocol_error},
    {"880203f7", WebSocketEnd::client, protocol_error},
    {"88020bb7", WebSocketEnd::client, protocol_error},
    {"88021388", WebSocketEnd::client, protocol_error},
    {"8802ffff", WebSocketEnd::client, protocol_error},
    {"880303e8ff", WebSocketEnd::client, invalid_text},
    // Text: a surrogate, overlong forms, too high, cut short, a lone continuation; also when its
    // character is divided between fragments.
    {"8103eda080", WebSocketEnd::client, invalid_text},
    {"8102c080", WebSocketEnd::client, invalid_text},
    {"8103e08080", WebSocketEnd::client, invalid_text},
    {"8104f0808080", WebSocketEnd::client, invalid_text},
    {"8104f4908080", WebSocketEnd::client, invalid_text},
    {"8104f5808080", WebSocketEnd::client, invalid_text},
    {"8102e282", WebSocketEnd::client, invalid_text},
    {"810180", WebSocketEnd::client, invalid_text},
    {"0101e280026162", WebSocketEnd::client, invalid_text},
};

TEST(WebSocketReader, refuses_what_breaks_the_protocol_and_reads_no_more) {
  for (const Wrong& wrong : kWrong) {
    Bytes bytes = from_hex(wrong.hex);
    const std::size_t size = bytes.size();
    const std::string good = "810161";
    const Bytes more = from_hex(good);
    bytes.insert(bytes.end(), more.begin(), more.end());
    for (const std::size_t piece : {std::size_t{1}, size, bytes.size()}) {
      const Heard heard = hear(wrong.reader, bytes, piece);
      ASSERT_TRUE(heard.error) << wrong.hex;
      EXPECT_EQ(heard.error->code, wrong.code) << wrong.hex << ": " << heard.error->what;
      EXPECT_LE(heard.messages.size(), 1U) << wrong.hex;  // one may have come before
    }
  }
}

TEST(WebSocketReader, takes_text_whose_characters_are_divided) {
  // U+20AC, U+1F600 and U+10FFFF byte by byte.
  const Heard heard = hear(WebSocketEnd::client,
                           "0101e2"
                           "000182"
                           "0001ac"
                           "0004f09f9880"
                           "0002f48f"
                           "8002bfbf");
  ASSERT_EQ(heard.messages.size(), 1U);
  EXPECT_EQ(text_of(heard.messages[0]), "\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf");
}

// The sum of the fragments counts; of the largest message not a byte more is held.
TEST(WebSocketReader, refuses_a_message_beyond_its_limit_before_it_comes) {
  SeededRng rng(1);
  const Bytes payload(100);
  Bytes whole;
  append_message(whole, WebSocketEnd::server, rng, binary, payload);
  EXPECT_EQ(hear(WebSocketEnd::client, whole, 7, 100).messages.size(), 1U);
  EXPECT_EQ(hear(WebSocketEnd::client, ByteView(whole).first(2), 7, 99).error->code, too_large);
  // Fragments of 60 and 41.
  const Heard sum =
      hear(WebSocketEnd::client, from_hex("023c" + std::string(120, '0') + "8029"), 9, 100);
  ASSERT_TRUE(sum.error);
  EXPECT_EQ(sum.error->code, too_large);
  // A ping among them counts for itself.
  const Heard fits = hear(
      WebSocketEnd::client,
      from_hex("023c" + std::string(120, '0') + "89013f" + "8028" + std::string(80, '0')), 9, 100);
  EXPECT_EQ(fits.messages.size(), 2U);
}

TEST(AppendClose, cuts_its_reason_between_characters) {
  SeededRng rng(1);
  std::string reason;
  while (reason.size() < 200) reason += "\xe2\x82\xac";  // 41 of three bytes fit
  Bytes wire;
  append_close(wire, WebSocketEnd::client, rng, normal, reason);
  const Heard heard = hear(WebSocketEnd::server, wire, wire.size());
  ASSERT_EQ(heard.messages.size(), 1U);
  EXPECT_EQ(text_of(heard.messages[0]), reason.substr(0, 123));
  wire.clear();
  append_close(wire, WebSocketEnd::client, rng, normal, "x" + reason);
  EXPECT_EQ(hear(WebSocketEnd::server, wire, 1).messages.at(0).payload.size(), 121U);
}

TEST(AppendMessage, draws_a_mask_for_each) {
  SeededRng rng(1);
  Bytes first;
  Bytes second;
  const Bytes payload(8);
  append_message(first, WebSocketEnd::client, rng, binary, payload);
  append_message(second, WebSocketEnd::client, rng, binary, payload);
  EXPECT_NE(first, second);
}

// RFC 6455 1.3.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";

TEST(WebSocketHandshake, has_the_vector_of_the_rfc) {
  EXPECT_EQ(websocket_accept(kKey), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  SeededRng rng(1);
  const std::string key = websocket_key(rng);
  EXPECT_EQ(base64_decode(key)->size(), 16U);
  EXPECT_NE(websocket_key(rng), key);
}

TEST(WebSocketHandshake, asks_in_one_line_for_each_thing) {
  const Call call = websocket_call("/relay", kKey, {"iroh-relay-v2", "iroh-relay-v1"},
                                   {{"Authorization", "Bearer x"}});
  EXPECT_EQ(to_wire(call, "relay.example", true),
            "GET /relay HTTP/1.1\r\nHost: relay.example\r\nAuthorization: Bearer x\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: iroh-relay-v2, iroh-relay-v1\r\n\r\n");
}

TEST(WebSocketHandshake, checks_what_the_server_answers) {
  const std::vector<std::string> protocols{"iroh-relay-v2", "iroh-relay-v1"};
  const Reply good{.status = 101,
                   .headers = {{"upgrade", "WebSocket"},
                               {"connection", "keep-alive, Upgrade"},
                               {"sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
                               {"sec-websocket-protocol", "iroh-relay-v1"}}};
  EXPECT_EQ(websocket_protocol(good, kKey, protocols).value_or("?"), "iroh-relay-v1");
  const auto error_of = [&](auto change) {
    Reply reply = good;
    change(reply);
    const auto chosen = websocket_protocol(reply, kKey, protocols);
    return chosen ? "taken" : chosen.error().what;
  };
  EXPECT_THAT(error_of([](Reply& reply) { reply.status = 200; }), HasSubstr("status 200"));
  EXPECT_THAT(error_of([](Reply& reply) { reply.headers[0].value = "h2c"; }),
              HasSubstr("another protocol"));
  EXPECT_THAT(error_of([](Reply& reply) { reply.headers[1].value = "keep-alive"; }),
              HasSubstr("another protocol"));
  EXPECT_THAT(error_of([](Reply& reply) { reply.headers[2].value += "="; }),
              HasSubstr("another WebSocket request"));
  EXPECT_THAT(error_of([](Reply& reply) { reply.headers[3].value = "iroh-relay-v3"; }),
              HasSubstr("not offered"));
  EXPECT_THAT(error_of([](Reply& reply) { reply.headers.pop_back(); }),
              HasSubstr("none of the WebSocket protocols iroh-relay-v2, iroh-relay-v1"));
  EXPECT_THAT(error_of([](Reply& reply) {
                reply.headers.push_back({"Sec-WebSocket-Extensions", "permessage-deflate"});
              }),
              HasSubstr("extension"));
}

TEST(WebSocketHandshake, takes_what_a_client_asks_for) {
  const Request good{.method = "GET",
                     .path = "/relay",
                     .headers = {{"upgrade", "WebSocket"},
                                 {"connection", "keep-alive, Upgrade"},
                                 {"sec-websocket-key", std::string(kKey)},
                                 {"sec-websocket-version", "13"},
                                 {"sec-websocket-protocol", "iroh-relay-v2 ,iroh-relay-v1"},
                                 {"sec-websocket-protocol", ", other,"}},
                     .host = "relay.example"};
  const auto offer = websocket_offer(good);
  ASSERT_TRUE(offer);
  EXPECT_EQ(offer->protocols,
            (std::vector<std::string>{"iroh-relay-v2", "iroh-relay-v1", "other"}));
  const auto status_of = [&](auto change) {
    Request request = good;
    change(request);
    const auto taken = websocket_offer(request);
    return taken ? 101 : taken.error().status;
  };
  EXPECT_EQ(status_of([](Request&) {}), 101);
  EXPECT_EQ(status_of([](Request& request) { request.method = "POST"; }), 400);
  EXPECT_EQ(status_of([](Request& request) { request.host.reset(); }), 400);
  EXPECT_EQ(status_of([](Request& request) { request.headers[0].value = "h2c"; }), 426);
  EXPECT_EQ(status_of([](Request& request) { request.headers[1].value = "close"; }), 426);
  EXPECT_EQ(status_of([](Request& request) { request.headers[2].value = "c2hvcnQ="; }), 400);
  EXPECT_EQ(status_of([](Request& request) { request.headers[2].value = "?"; }), 400);
  EXPECT_EQ(status_of([](Request& request) { request.headers[3].value = "8"; }), 426);
  EXPECT_EQ(status_of([](Request& request) { request.headers.clear(); }), 426);
}

TEST(WebSocketHandshake, answers_in_a_way_that_its_client_believes) {
  const WebSocketOffer offer{.key = std::string(kKey), .protocols = {"iroh-relay-v2"}};
  const auto take = [](Instant, std::unique_ptr<StreamPort>, const std::string&) {};
  const std::string wire = to_wire(websocket_response(offer, "iroh-relay-v2", take), true);
  EXPECT_EQ(wire,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Protocol: iroh-relay-v2\r\n\r\n");
  EXPECT_THAT(to_wire(websocket_response(offer, "", take), true), Not(HasSubstr("Protocol:")));
}

}  // namespace
}  // namespace culvert::http
