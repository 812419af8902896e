// A client whose TLS is not ours against a real server: GnuTLS set up as the input says (other
// versions, groups, ciphers, signatures and kinds of certificate, none or other application
// protocols, no key or one of another type), and its handshake messages bent on their way into
// CRYPTO frames: extensions left out, doubled, exchanged, renamed, cut; bytes flipped.
// Nothing may crash, and whoever completes the handshake has proven a key and named a protocol
// of ours.
#include "base/assert.h"
#include "quic/loopback_pair.h"
#include "quic/sockaddr.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace {

using namespace culvert;
using namespace culvert::quic;
using Packet = LoopbackPair::Packet;

constexpr std::size_t kIdBytes = 8;
constexpr int kMaxRounds = 12;

class Script {
 public:
  explicit Script(ByteView input) : reader_(input) {}
  std::uint8_t byte() { return reader_.u8().value_or(0); }
  std::uint16_t word() { return reader_.u16().value_or(0); }
  ByteView some(std::size_t count) { return *reader_.take(std::min(count, reader_.rest().size())); }

 private:
  ByteReader reader_;
};

// --- ClientHellos ------------------------------------------------------------------------------

struct Extension {
  std::uint16_t type = 0;
  Bytes body;
};

struct Hello {
  Bytes head;  // version to compression methods
  std::vector<Extension> extensions;
};

std::optional<Hello> parse_hello(ByteView message) {
  constexpr std::size_t kHeader = 4;  // type and length
  constexpr std::size_t kFixed = 2 + 32;
  ByteReader reader(message.subspan(std::min(message.size(), kHeader)));
  if (!reader.take(kFixed)) return std::nullopt;
  const auto session = reader.u8();
  if (!session || !reader.take(*session)) return std::nullopt;
  const auto suites = reader.u16();
  if (!suites || !reader.take(*suites)) return std::nullopt;
  const auto compression = reader.u8();
  if (!compression || !reader.take(*compression)) return std::nullopt;
  Hello hello;
  const ByteView head = message.subspan(kHeader, message.size() - kHeader - reader.rest().size());
  hello.head.assign(head.begin(), head.end());
  if (!reader.u16()) return std::nullopt;
  while (!reader.is_empty()) {
    const auto type = reader.u16();
    const auto size = reader.u16();
    const auto body = size ? reader.take(*size) : std::unexpected(DecodeError::truncated);
    if (!type || !body) return std::nullopt;
    hello.extensions.push_back({*type, Bytes(body->begin(), body->end())});
  }
  return hello;
}

Bytes build_hello(const Hello& hello) {
  Bytes extensions;
  ByteWriter writer(extensions);
  for (const Extension& extension : hello.extensions) {
    writer.u16(extension.type);
    writer.u16(static_cast<std::uint16_t>(extension.body.size()));
    writer.raw(extension.body);
  }
  Bytes message;
  ByteWriter whole(message);
  const std::size_t size = hello.head.size() + 2 + extensions.size();
  whole.u32((1U << 24) | static_cast<std::uint32_t>(size & 0xFFFFFF));
  whole.raw(hello.head);
  whole.u16(static_cast<std::uint16_t>(extensions.size()));
  whole.raw(extensions);
  return message;
}

void bend(Hello& hello, Script& script) {
  auto& extensions = hello.extensions;
  for (int changes = script.byte() % 8; changes > 0; --changes) {
    const std::uint8_t how = script.byte() % 9;
    if (how == 0) {
      const ByteView body = script.some(script.byte());
      extensions.push_back({script.word(), Bytes(body.begin(), body.end())});
    } else if (how == 1) {
      hello.head[script.byte() % hello.head.size()] = script.byte();
    }
    if (how < 2 || extensions.empty()) continue;
    const auto at = extensions.begin() + script.byte() % static_cast<int>(extensions.size());
    switch (how) {
      case 2:
        extensions.erase(at);
        break;
      case 3: {
        Extension twin = *at;
        extensions.insert(extensions.begin() + script.byte() % static_cast<int>(extensions.size()),
                          std::move(twin));
        break;
      }
      case 4:
        std::swap(*at, extensions[script.byte() % extensions.size()]);
        break;
      case 5:
        at->type = script.word();
        break;
      case 6:
        at->body.resize(script.byte());
        break;
      case 7:
        if (!at->body.empty()) at->body[script.word() % at->body.size()] = script.byte();
        break;
      default: {
        const ByteView body = script.some(script.byte());
        at->body.assign(body.begin(), body.end());
      }
    }
  }
}

// --- the client ----------------------------------------------------------------------------------

// What it offers. The first of each is what ours does.
constexpr std::array<const char*, 4> kVersions{"-VERS-ALL:+VERS-TLS1.3",
                                               "-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
                                               "-VERS-ALL:+VERS-TLS1.2", "+VERS-TLS1.3"};
constexpr std::array<const char*, 4> kGroups{"-GROUP-ALL:+GROUP-X25519", "+GROUP-ALL",
                                             "-GROUP-ALL:+GROUP-FFDHE2048",
                                             "-GROUP-ALL:+GROUP-SECP256R1:+GROUP-X25519"};
constexpr std::array<const char*, 3> kSignatures{"-SIGN-ALL:+SIGN-EDDSA-ED25519", "+SIGN-ALL",
                                                 "-SIGN-ALL:+SIGN-RSA-PSS-SHA256"};
constexpr std::array<const char*, 4> kCertificates{
    "-CTYPE-ALL:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK", "-CTYPE-ALL:+CTYPE-X509",
    "+CTYPE-CLI-X509:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK:+CTYPE-SRV-X509",
    "-CTYPE-ALL:+CTYPE-CLI-X509:+CTYPE-SRV-RAWPK"};
constexpr std::array<const char*, 3> kCiphers{"+CIPHER-ALL", "-CIPHER-ALL:+AES-128-GCM",
                                              "-CIPHER-ALL:+CHACHA20-POLY1305:+AES-128-CCM"};

template <typename Table>
const char* choose(const Table& table, Script& script) {
  return table[script.byte() % table.size()];
}

class ForeignClient {
 public:
  ForeignClient(Script& script, Instant now) : script_(script) {
    const std::string priority = std::string("NORMAL:") + choose(kVersions, script) + ":" +
                                 choose(kGroups, script) + ":" + choose(kSignatures, script) + ":" +
                                 choose(kCertificates, script) + ":" + choose(kCiphers, script) +
                                 ":%DISABLE_TLS13_COMPAT_MODE";
    const unsigned flags = GNUTLS_CLIENT | GNUTLS_ENABLE_RAWPK | GNUTLS_NO_END_OF_EARLY_DATA;
    CULVERT_ASSERT(gnutls_init(&session_, flags) == 0);
    is_usable_ = gnutls_priority_set_direct(session_, priority.c_str(), nullptr) == 0;
    CULVERT_ASSERT(ngtcp2_crypto_gnutls_configure_client_session(session_) == 0);
    gnutls_handshake_set_read_function(session_, &ForeignClient::on_message);
    reference_.user_data = this;
    reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
      return static_cast<ForeignClient*>(reference->user_data)->connection_;
    };
    gnutls_session_set_ptr(session_, &reference_);
    set_protocols();
    set_credentials();
    bends_hello_ = script.byte() % 2 == 1;
    bent_later_ = script.byte() % 8;
    connect(now);
  }
  ~ForeignClient() {
    if (connection_ != nullptr) ngtcp2_conn_del(connection_);
    gnutls_deinit(session_);
    gnutls_certificate_free_credentials(credentials_);
  }
  ForeignClient(const ForeignClient&) = delete;
  ForeignClient& operator=(const ForeignClient&) = delete;

  [[nodiscard]] bool may_prove_its_key() const { return has_ed25519_key_; }
  [[nodiscard]] bool names_protocol_of_ours() const { return names_ours_ || bends_hello_; }

  std::vector<Bytes> write(Instant now) {
    std::vector<Bytes> packets;
    while (is_usable_ && packets.size() < 8) {
      Bytes packet(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
      ngtcp2_path_storage path;
      ngtcp2_path_storage_zero(&path);
      ngtcp2_pkt_info info{};
      const ngtcp2_ssize size = ngtcp2_conn_write_pkt(connection_, &path.path, &info, packet.data(),
                                                      packet.size(), to_timestamp(now));
      if (size <= 0) {
        is_usable_ = size == 0;
        break;
      }
      packet.resize(static_cast<std::size_t>(size));
      packets.push_back(std::move(packet));
    }
    return packets;
  }
  void read(Instant now, ByteView packet) {
    if (!is_usable_) return;
    const PathStorage path(LoopbackPair::client_path());
    const ngtcp2_pkt_info info{};
    is_usable_ = ngtcp2_conn_read_pkt(connection_, path.path(), &info, packet.data(), packet.size(),
                                      to_timestamp(now)) == 0;
  }

 private:
  // Each message that GnuTLS wants to send.
  static int on_message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                        gnutls_handshake_description_t type, const void* data, std::size_t size) {
    if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC) return 0;
    auto* reference = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
    auto& self = *static_cast<ForeignClient*>(reference->user_data);
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    const Bytes message = self.bent(type, Bytes(bytes, bytes + size));
    return ngtcp2_conn_submit_crypto_data(
               self.connection_, ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level),
               message.data(), message.size()) == 0
               ? 0
               : -1;
  }

  Bytes bent(gnutls_handshake_description_t type, Bytes message) {
    if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO) {
      auto hello = bends_hello_ ? parse_hello(message) : std::nullopt;
      if (!hello) return message;
      bend(*hello, script_);
      return build_hello(*hello);
    }
    if (bent_later_ == 0 || --bent_later_ != 0) return message;
    if (const std::uint8_t cut = script_.byte(); cut % 4 == 1) message.resize(cut % message.size());
    if (!message.empty()) message[script_.word() % message.size()] ^= script_.byte();
    return message;
  }

  void set_protocols() {
    constexpr std::array<std::string_view, 4> kNames{"culvert/1", "h3", "", "culvert/2"};
    std::vector<gnutls_datum_t> names;
    for (int count = (script_.byte() + 1) % 4; count > 0; --count) {
      const std::string_view name = kNames[script_.byte() % kNames.size()];
      names_ours_ = names_ours_ || name == "culvert/1";
      if (name.empty()) continue;
      names.push_back({.data = reinterpret_cast<unsigned char*>(const_cast<char*>(name.data())),
                       .size = static_cast<unsigned>(name.size())});
    }
    if (names.empty()) return;
    gnutls_alpn_set_protocols(session_, names.data(), static_cast<unsigned>(names.size()), 0);
  }

  void set_credentials() {
    CULVERT_ASSERT(gnutls_certificate_allocate_credentials(&credentials_) == 0);
    const std::uint8_t kind = script_.byte() % 3;  // 2: none
    has_ed25519_key_ = kind == 0;
    if (kind < 2) {
      gnutls_privkey_t key = nullptr;
      gnutls_pubkey_t public_key = nullptr;
      gnutls_pcert_st certificate;
      CULVERT_ASSERT(gnutls_privkey_init(&key) == 0 && gnutls_pubkey_init(&public_key) == 0);
      const auto type = kind == 0 ? GNUTLS_PK_EDDSA_ED25519 : GNUTLS_PK_ECDSA;
      const unsigned bits = kind == 0 ? 256 : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
      CULVERT_ASSERT(gnutls_privkey_generate(key, type, bits, 0) == 0);
      CULVERT_ASSERT(gnutls_pubkey_import_privkey(public_key, key, 0, 0) == 0);
      CULVERT_ASSERT(gnutls_pcert_import_rawpk(&certificate, public_key, 0) == 0);
      CULVERT_ASSERT(gnutls_certificate_set_key(credentials_, nullptr, 0, &certificate, 1, key) >=
                     0);
    }
    CULVERT_ASSERT(gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_) == 0);
  }

  void connect(Instant now) {
    ngtcp2_callbacks callbacks{};
    callbacks.client_initial = ngtcp2_crypto_client_initial_cb;
    callbacks.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    callbacks.encrypt = ngtcp2_crypto_encrypt_cb;
    callbacks.decrypt = ngtcp2_crypto_decrypt_cb;
    callbacks.hp_mask = ngtcp2_crypto_hp_mask_cb;
    callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb;
    callbacks.update_key = ngtcp2_crypto_update_key_cb;
    callbacks.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    callbacks.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    callbacks.rand = [](std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx*) {
      std::fill_n(out, size, std::uint8_t{0x5A});
    };
    callbacks.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token,
                                         std::size_t size, void* self) {
      const std::uint8_t number = ++static_cast<ForeignClient*>(self)->ids_;
      id->datalen = size;
      std::fill_n(id->data, size, number);
      std::fill_n(token, NGTCP2_STATELESS_RESET_TOKENLEN, number);
      return 0;
    };
    ngtcp2_settings settings;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = to_timestamp(now);
    ngtcp2_transport_params params;
    ngtcp2_transport_params_default(&params);
    params.initial_max_data = script_.word();
    params.initial_max_streams_bidi = script_.byte();
    params.max_datagram_frame_size = script_.word();
    params.max_udp_payload_size = std::max<std::uint64_t>(script_.word(), 1'200);
    params.ack_delay_exponent = script_.byte() % 21;
    ngtcp2_cid source;
    ngtcp2_cid destination;
    const std::array<std::uint8_t, kIdBytes> id{1, 2, 3, 4, 5, 6, 7, 8};
    ngtcp2_cid_init(&source, id.data(), id.size());
    ngtcp2_cid_init(&destination, id.data(), id.size());
    const PathStorage path(LoopbackPair::client_path());
    CULVERT_ASSERT(ngtcp2_conn_client_new(&connection_, &destination, &source, path.path(),
                                          NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params,
                                          nullptr, this) == 0);
    ngtcp2_conn_set_tls_native_handle(connection_, session_);
  }

  Script& script_;
  gnutls_session_t session_ = nullptr;
  gnutls_certificate_credentials_t credentials_ = nullptr;
  ngtcp2_conn* connection_ = nullptr;
  ngtcp2_crypto_conn_ref reference_{};
  bool is_usable_ = true;
  bool has_ed25519_key_ = false;
  bool names_ours_ = false;
  bool bends_hello_ = false;
  int bent_later_ = 0;  // which message after the ClientHello
  std::uint8_t ids_ = 8;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script script({data, size});
  LoopbackPair pair;
  std::vector<Bytes> to_client;
  pair.filter = [&](Packet& packet) {
    if (!packet.to_server) to_client.push_back(packet.bytes);
    return false;
  };
  ForeignClient client(script, pair.now);
  for (int round = 0; round < kMaxRounds; ++round) {
    for (Bytes& packet : client.write(pair.now)) {
      pair.deliver({.path = {.local = LoopbackPair::server_address(),
                             .remote = LoopbackPair::client_address()},
                    .bytes = std::move(packet),
                    .to_server = true});
    }
    pair.run_for(std::chrono::milliseconds(10));
    for (const Bytes& packet : std::exchange(to_client, {})) client.read(pair.now, packet);
  }
  for (const HandshakeCompleted& completed : pair.server.completed) {
    CULVERT_ASSERT(completed.alpn == "culvert/1");
    CULVERT_ASSERT(completed.peer != crypto::EndpointId());
    CULVERT_ASSERT(client.may_prove_its_key() && client.names_protocol_of_ours());
  }
  pair.run_for(std::chrono::seconds(120));
  CULVERT_ASSERT(pair.server.endpoint->connection_count() == 0);
  return 0;
}
