// The vectors of docs/protocol/culvert-1.md and mf-4.md, read from the documents themselves.
#include "base/encoding.h"
#include "session/chunk_frames.h"
#include "session/control_pair.h"
#include "session/culvert1_handshake.h"
#include "session/flow_open.h"
#include "session/lane_talk.h"
#include "session/message.h"
#include "session/mf4_json.h"
#include "session/resume_talk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>  // purity: this test reads the document it checks
#include <map>
#include <utility>

namespace culvert::session {
namespace {

// "    name = value" lines of a document.
std::map<std::string, std::string> vectors_of(const std::string& document) {
  std::ifstream file(std::string(CULVERT_PROTOCOL_DOCS) + "/" + document);
  EXPECT_TRUE(file.is_open()) << document;
  std::map<std::string, std::string> vectors;
  for (std::string line; std::getline(file, line);) {
    const std::size_t equals = line.find(" = ");
    if (line.starts_with("    ") && equals != std::string::npos) {
      vectors[line.substr(4, equals - 4)] = line.substr(equals + 3);
    }
  }
  return vectors;
}

template <std::size_t N>
std::array<std::uint8_t, N> filled(std::uint8_t value) {
  std::array<std::uint8_t, N> bytes{};
  bytes.fill(value);
  return bytes;
}

constexpr std::string_view kToken = "iq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6v7NA";

class Rng2 final : public Rng {
 public:
  explicit Rng2(std::vector<std::uint8_t> values) : values_(std::move(values)) {}
  // Each fill with the next value.
  void fill(ByteSpan out) override {
    std::ranges::fill(out, values_.at(next_));
    ++next_;
  }

 private:
  std::vector<std::uint8_t> values_;
  std::size_t next_ = 0;
};

// Collects what differs, so that a run with an empty document prints the whole table.
class Comparison {
 public:
  explicit Comparison(const std::string& document) : want_(vectors_of(document)) {}
  void expect(const std::string& name, ByteView bytes) { expect(name, hex_encode(bytes)); }
  void expect(const std::string& name, const std::string& value) {
    EXPECT_EQ(want_[name], value) << "    " << name << " = " << value;
  }

 private:
  std::map<std::string, std::string> want_;
};

TEST(Vectors, of_the_culvert_1_handshake) {
  Comparison document("culvert-1.md");
  const auto exporter = filled<32>(1);
  const auto seed = filled<32>(0x2a);
  const crypto::SecretKey key = crypto::SecretKey::from_seed(seed);
  ServerAuthPolicy policy;
  (void)policy.tokens.add(Token(std::string(kToken)));
  policy.keys.add(key.public_key(), "");
  for (const bool uses_key : {false, true}) {
    Rng2 rng({2, 3});  // nonce, session id
    ClientCredentials credentials;
    if (uses_key) {
      credentials.key = key;
    } else {
      credentials.token = Token(std::string(kToken));
    }
    const Instant now{};
    const auto client = make_client_handshake(Dialect::culvert_1, {.credentials = &credentials},
                                              exporter, rng, now);
    const auto server = make_server_handshake(
        Dialect::culvert_1,
        {.policy = {std::shared_ptr<void>(), &policy}, .max_flows = 16'384, .admits = {}}, {},
        exporter, rng, now);
    const Bytes hello = client->take_output();
    server->handle_data(now, hello);
    const Bytes challenge = server->take_output();
    client->handle_data(now, challenge);
    const Bytes proof = client->take_output();
    server->handle_data(now, proof);
    const Bytes accepted = server->take_output();
    document.expect("hello", hello);
    document.expect("challenge", challenge);
    document.expect(uses_key ? "proof_by_key" : "proof_by_token", proof);
    document.expect("accepted", accepted);
  }
}

TEST(Vectors, of_the_culvert_1_control_channel) {
  Comparison document("culvert-1.md");
  const Joined joined{.session_id = filled<16>(3),
                      .binding = {.exporter = filled<32>(1), .nonce = filled<32>(2)}};
  const std::vector<std::uint64_t> gone{7, 300};
  TestSink sink;
  ControlChannel channel(Dialect::culvert_1, ControlEnd::client, sink);
  ClientResumeTalk resume(channel);
  ClientLaneTalk lane(channel, resume, joined);
  channel.leave("done");
  document.expect("goodbye", std::exchange(sink.written, {}));
  resume.announce_gone(gone);
  document.expect("flows_gone", std::exchange(sink.written, {}));
  resume.announce_done(5);
  document.expect("resume_done", std::exchange(sink.written, {}));
  lane.promote(ResumeKey(filled<32>(4)));
  document.expect("promote", std::exchange(sink.written, {}));
  ControlChannel of_server(Dialect::culvert_1, ControlEnd::server, sink);
  ServerResumeTalk answer(of_server, false);
  answer.answer_resumed(joined.session_id, {.grace = std::chrono::seconds(60), .worker = 2});
  document.expect("resumed", std::exchange(sink.written, {}));
}

TEST(Vectors, of_culvert_1_resume) {
  Comparison document("culvert-1.md");
  const auto exporter = filled<32>(1);
  const ResumeKey resume_key(filled<32>(4));
  const auto session_id = filled<16>(3);
  const ResumeTerms terms{.grace = std::chrono::seconds(60), .worker = 2};
  ServerAuthPolicy policy;
  (void)policy.tokens.add(Token(std::string(kToken)));
  const ClientCredentials credentials{.token = Token(std::string(kToken)), .key = {}};
  for (const bool knows_session : {true, false}) {
    Rng2 rng({2, 3});  // nonce, id of a new session
    const Instant now{};
    const auto client =
        make_client_handshake(Dialect::culvert_1,
                              {.credentials = &credentials,
                               .offers_resume = true,
                               .ticket = ResumeTicket{.session_id = session_id, .key = resume_key}},
                              exporter, rng, now);
    const auto server = make_server_handshake(
        Dialect::culvert_1,
        {.policy = {std::shared_ptr<void>(), &policy},
         .max_flows = 16'384,
         .admits = {},
         .resume = terms,
         .resume_keys =
             [&](const SessionId&) {
               return knows_session ? std::vector{resume_key} : std::vector<ResumeKey>{};
             }},
        {}, exporter, rng, now);
    const Bytes hello = client->take_output();
    server->handle_data(now, hello);
    const Bytes challenge = server->take_output();
    client->handle_data(now, challenge);
    const Bytes resume = client->take_output();
    server->handle_data(now, resume);
    const Bytes answer = server->take_output();
    client->handle_data(now, answer);
    document.expect("hello_with_resume", hello);
    document.expect("challenge_with_resume", challenge);
    document.expect("resume", resume);
    document.expect(knows_session ? "resumed" : "resume_failed", answer);
    if (!knows_session) {
      server->handle_data(now, client->take_output());  // the ordinary proof
      document.expect("accepted_with_resume", server->take_output());
    }
  }
  Bytes open;
  encode_flow_open(Dialect::culvert_1,
                   {.source = "tcp://127.0.0.1:22",
                    .flow_id = 7,
                    .resume = FlowResume{.received = 1'000, .start = 20}},
                   open);
  document.expect("open_resumed", open);
}

TEST(Vectors, of_culvert_1_multipath) {
  Comparison document("culvert-1.md");
  const auto exporter = filled<32>(1);
  const ResumeKey resume_key(filled<32>(4));
  const auto session_id = filled<16>(3);
  ServerAuthPolicy policy;
  const ClientCredentials credentials;
  Rng2 rng({2});  // nonce
  const Instant now{};
  const auto client =
      make_client_handshake(Dialect::culvert_1,
                            {.credentials = &credentials,
                             .offers_resume = true,
                             .ticket = ResumeTicket{.session_id = session_id, .key = resume_key},
                             .joins = true},
                            exporter, rng, now);
  const auto server = make_server_handshake(
      Dialect::culvert_1,
      {.policy = {std::shared_ptr<void>(), &policy},
       .admits = {},
       .resume = ResumeTerms{.grace = std::chrono::seconds(60), .worker = 2},
       .resume_keys = [&](const SessionId&) { return std::vector{resume_key}; }},
      {}, exporter, rng, now);
  server->handle_data(now, client->take_output());
  client->handle_data(now, server->take_output());
  const Bytes join = client->take_output();
  document.expect("join", join);
  server->handle_data(now, join);
  const Bytes joined = server->take_output();
  document.expect("joined", joined);

  Bytes open;
  encode_flow_open(
      Dialect::culvert_1,
      {.source = "tcp://127.0.0.1:22", .flow_id = 7, .multipath = Multipath::redundant}, open);
  document.expect("open_redundant", open);
  const auto header = encode_chunk_header(ChunkKind::data, 1'000, 2);
  Bytes chunk(header.view().begin(), header.view().end());
  chunk.insert(chunk.end(), {'h', 'i'});
  document.expect("chunk", chunk);
  const auto end = encode_chunk_header(ChunkKind::end, 1'002);
  document.expect("chunk_end", Bytes(end.view().begin(), end.view().end()));
  const auto window = encode_chunk_header(ChunkKind::window, 262'144);
  document.expect("chunk_window", Bytes(window.view().begin(), window.view().end()));
  const DatagramHeader numbered = datagram_header(300, 5);
  Bytes datagram(numbered.view().begin(), numbered.view().end());
  datagram.insert(datagram.end(), {'h', 'i'});
  document.expect("datagram_redundant", datagram);
}

TEST(Vectors, of_culvert_1_flows) {
  Comparison document("culvert-1.md");
  const auto open = [](const FlowOpen& flow) {
    Bytes out;
    encode_flow_open(Dialect::culvert_1, flow, out);
    return out;
  };
  const auto reply = [](const FlowReply& answer) {
    Bytes out;
    encode_flow_reply(Dialect::culvert_1, answer, out);
    return out;
  };
  document.expect("open_tcp", open({.source = "tcp://127.0.0.1:22"}));
  document.expect("open_udp", open({.source = "udp://[::1]:53", .flow_id = 300}));
  document.expect("flow_accepted", reply(FlowAccepted{"127.0.0.1:22"}));
  document.expect("flow_refused", reply(FlowRefused{RefusalCode::dial_refused, "refused"}));
  const DatagramHeader header = datagram_header(300);
  Bytes datagram(header.view().begin(), header.view().end());
  datagram.insert(datagram.end(), {'h', 'i'});
  document.expect("datagram", datagram);
}

std::string json_of(const Bytes& message) {
  EXPECT_EQ(ByteReader(message).u32(), message.size() - 4);
  return std::string(as_text(ByteView(message).subspan(4)));
}

TEST(Vectors, of_mf_4) {
  Comparison document("mf-4.md");
  Bytes out;
  mf4::append_auth_token(kToken, out);
  document.expect("auth_request_token", json_of(out));
  out.clear();
  mf4::append_auth_init(out);
  document.expect("auth_init", json_of(out));
  out.clear();
  mf4::append_auth_response(mf4::kTokenVersion, false, "Invalid authentication token", out);
  document.expect("auth_response_refused", json_of(out));
  out.clear();
  encode_flow_open(Dialect::mf_4, {.source = "tcp://127.0.0.1:22"}, out);
  document.expect("source_request", json_of(out));
  out.clear();
  encode_flow_reply(Dialect::mf_4_token, FlowAccepted{}, out);
  document.expect("source_response_token_era", json_of(out));
  const crypto::SecretKey key = crypto::SecretKey::from_seed(filled<32>(0x2a));
  const Bytes message = mf4::proof_message(filled<32>(7));
  document.expect("proof_message", message);
  document.expect("proof_signature", key.sign(message));
}

}  // namespace
}  // namespace culvert::session
