#include "session/mf4_json.h"

#include "base/limits.h"
#include "session/message.h"

#include <nlohmann/json.hpp>

namespace culvert::session::mf4 {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kProofContext{"tunnel-rs public-key authentication v1\0", 39};

void append(const Json& object, Bytes& out) {
  // Text that is not UTF-8 is replaced: dump() must not throw on a peer's bytes.
  const std::string body = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  ByteWriter writer(out);
  writer.u32(static_cast<std::uint32_t>(body.size()));
  writer.raw(as_bytes(body));
}

// Parses without building anything deeper than an object of scalars and flat arrays:
// a peer's nesting cannot exhaust our stack.
Json parse_flat(std::string_view text) {
  constexpr int kMaxDepth = 4;  // its messages nest two
  const auto limit_depth = [](int depth, Json::parse_event_t, Json&) { return depth < kMaxDepth; };
  return Json::parse(text, limit_depth, false);
}

struct Body {
  Json object;
  unsigned version = 0;
};

Decoded<Head<Body>> decode_body(ByteView stream) {
  ByteReader reader(stream);
  const auto size = reader.u32();
  if (!size) return std::unexpected(size.error());
  if (*size > limits::kControlMessageBytes) return std::unexpected(DecodeError::oversize);
  const auto text = reader.take(*size);
  if (!text) return std::unexpected(text.error());
  Head<Body> head{{.object = parse_flat(as_text(*text))}, sizeof(std::uint32_t) + *size};
  if (!head.value.object.is_object()) return std::unexpected(DecodeError::malformed);
  const auto version = head.value.object.find("version");
  if (version == head.value.object.end() || !version->is_number_unsigned()) {
    return std::unexpected(DecodeError::malformed);
  }
  if (*version != kTokenVersion && *version != kKeyVersion) {
    return std::unexpected(DecodeError::unsupported);
  }
  head.value.version = version->get<unsigned>();
  return head;
}

Decoded<std::optional<std::string>> text_field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) return std::unexpected(DecodeError::malformed);
  return found->get<std::string>();
}

Decoded<std::optional<bool>> bool_field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_boolean()) return std::unexpected(DecodeError::malformed);
  return found->get<bool>();
}

// serde writes Vec<u8> as an array of numbers.
template <std::size_t N>
Decoded<std::optional<std::array<std::uint8_t, N>>> bytes_field(const Json& object,
                                                                const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_array() || found->size() != N) return std::unexpected(DecodeError::malformed);
  std::array<std::uint8_t, N> out{};
  for (std::size_t i = 0; i < N; ++i) {
    const Json& element = (*found)[i];
    if (!element.is_number_unsigned() || element.get<std::uint64_t>() > 255) {
      return std::unexpected(DecodeError::malformed);
    }
    out[i] = element.get<std::uint8_t>();
  }
  return out;
}

Json numbers(ByteView bytes) {
  return Json(std::vector<unsigned>(bytes.begin(), bytes.end()));
}

Json response(unsigned version, bool is_accepted, std::string_view reason) {
  Json object{{"version", version}, {"accepted", is_accepted}};
  if (!is_accepted) object["reason"] = bounded_reason(reason);
  return object;
}

}  // namespace

void append_auth_init(Bytes& out) {
  append({{"version", kKeyVersion}}, out);
}

void append_auth_challenge(const std::array<std::uint8_t, 32>& challenge, Bytes& out) {
  append({{"version", kKeyVersion}, {"challenge", numbers(challenge)}}, out);
}

void append_auth_token(std::string_view token, Bytes& out) {
  append({{"version", kTokenVersion}, {"auth_token", token}}, out);
}

void append_auth_proof(ByteView public_key, ByteView signature, Bytes& out) {
  append({{"version", kKeyVersion},
          {"public_key", numbers(public_key)},
          {"signature", numbers(signature)}},
         out);
}

void append_auth_response(unsigned version, bool is_accepted, std::string_view reason, Bytes& out) {
  append(response(version, is_accepted, reason), out);
}

void append_source_request(unsigned version, std::string_view source, Bytes& out) {
  append({{"version", version}, {"source", source}}, out);
}

void append_source_response(unsigned version, bool is_accepted, std::string_view reason,
                            Bytes& out) {
  append(response(version, is_accepted, reason), out);
}

Decoded<Head<AuthMessage>> decode_auth_message(ByteView stream) {
  const auto body = decode_body(stream);
  if (!body) return std::unexpected(body.error());
  const Json& object = body->value.object;
  const auto token = text_field(object, "auth_token");
  const auto challenge = bytes_field<32>(object, "challenge");
  const auto public_key = bytes_field<32>(object, "public_key");
  const auto signature = bytes_field<64>(object, "signature");
  const auto accepted = bool_field(object, "accepted");
  const auto reason = text_field(object, "reason");
  if (!token || !challenge || !public_key || !signature || !accepted || !reason) {
    return std::unexpected(DecodeError::malformed);
  }
  return Head<AuthMessage>{{.version = body->value.version,
                            .auth_token = *token,
                            .challenge = *challenge,
                            .public_key = *public_key,
                            .signature = *signature,
                            .accepted = *accepted,
                            .reason = printable(reason->value_or(""))},
                           body->size};
}

Decoded<Head<FlowOpen>> decode_source_request(ByteView stream) {
  const auto body = decode_body(stream);
  if (!body) return std::unexpected(body.error());
  const auto source = text_field(body->value.object, "source");
  if (!source || !*source) return std::unexpected(DecodeError::malformed);
  return Head<FlowOpen>{{.source = **source}, body->size};
}

Decoded<Head<FlowReply>> decode_source_response(ByteView stream) {
  const auto body = decode_body(stream);
  if (!body) return std::unexpected(body.error());
  const auto accepted = bool_field(body->value.object, "accepted");
  const auto reason = text_field(body->value.object, "reason");
  if (!accepted || !*accepted || !reason) return std::unexpected(DecodeError::malformed);
  if (**accepted) return Head<FlowReply>{FlowAccepted{}, body->size};
  return Head<FlowReply>{
      FlowRefused{RefusalCode::unspecified, printable(reason->value_or("refused"))}, body->size};
}

Bytes proof_message(const std::array<std::uint8_t, 32>& challenge) {
  Bytes message;
  ByteWriter writer(message);
  writer.raw(as_bytes(kProofContext));
  writer.raw(challenge);
  return message;
}

}  // namespace culvert::session::mf4
