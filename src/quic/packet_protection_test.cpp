#include "quic/packet_protection.h"

#include "base/encoding.h"
#include "base/rng.h"

#include <gnutls/crypto.h>
#include <gtest/gtest.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace culvert::quic {
namespace {

Bytes hex(std::string_view text) {
  const auto bytes = hex_decode(text);
  EXPECT_TRUE(bytes.has_value()) << text;
  return bytes.value_or(Bytes{});
}

struct KeyVector {
  std::string_view name;
  std::string_view secret;
  std::string_view key;
  std::string_view iv;
  std::string_view header_key;
};

constexpr KeyVector kKeyVectors[] = {
    {"RFC 9001 A.1 client", "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
     "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c",
     "9f50449e04a0e810283a1e9933adedd2"},
    {"RFC 9001 A.1 server", "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b",
     "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e",
     "c206b8d9b9f0f37644430b490eeaa314"},
    {"RFC 9001 A.5", "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b",
     "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8", "e0459b3474bdd0e44a41c144",
     "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4"},
};

TEST(PacketKeys, follow_rfc9001_a1_and_a5) {
  for (const KeyVector& vector : kKeyVectors) {
    PacketKeys keys;
    ASSERT_TRUE(
        derive_packet_keys(GNUTLS_MAC_SHA256, hex(vector.secret), vector.key.size() / 2, keys));
    EXPECT_EQ(hex_encode(keys.key()), vector.key) << vector.name;
    EXPECT_EQ(hex_encode(keys.iv), vector.iv) << vector.name;
    EXPECT_EQ(hex_encode(keys.header_key()), vector.header_key) << vector.name;
  }
}

TEST(PacketKeys, initial_secrets_follow_rfc9001_a1) {
  const Bytes initial = hex("7db5df06e7a69e432496adedb00851923595221596ae2ae9fb8115c1e9ed0a44");
  Bytes out(32);
  ASSERT_TRUE(expand_label(GNUTLS_MAC_SHA256, initial, "client in", out));
  EXPECT_EQ(hex_encode(out), kKeyVectors[0].secret);
  ASSERT_TRUE(expand_label(GNUTLS_MAC_SHA256, initial, "server in", out));
  EXPECT_EQ(hex_encode(out), kKeyVectors[1].secret);
}

TEST(PacketKeys, next_secret_follows_rfc9001_a5) {
  Bytes next(32);
  ASSERT_TRUE(derive_next_secret(GNUTLS_MAC_SHA256, hex(kKeyVectors[2].secret), next.data()));
  EXPECT_EQ(hex_encode(next), "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
}

class EachBackend : public testing::TestWithParam<ProtectionBackend> {
 protected:
  void SetUp() override {
    if (!is_available(GetParam())) GTEST_SKIP() << "not in this build or not on this CPU";
    install_protection(callbacks_, GetParam());
  }
  ngtcp2_callbacks callbacks_{};
};

// RFC 9001 A.5: ChaCha20-Poly1305 keys are GnuTLS's, whatever the backend.
TEST_P(EachBackend, protects_the_chacha20_packet_of_rfc9001_a5) {
  const Bytes raw_key = hex(kKeyVectors[2].key);
  const Bytes raw_header_key = hex(kKeyVectors[2].header_key);
  const Bytes nonce = hex("e0459b3474bdd0e46d417eb0");
  Bytes packet = hex("4200bff4");
  const Bytes payload = hex("01");

  // ngtcp2's GnuTLS glue keeps GnuTLS's number of the algorithm in the handle.
  const ngtcp2_crypto_aead aead{
      .native_handle = reinterpret_cast<void*>(GNUTLS_CIPHER_CHACHA20_POLY1305),
      .max_overhead = 16};
  ngtcp2_crypto_aead_ctx context{};
  ASSERT_EQ(ngtcp2_crypto_aead_ctx_encrypt_init(&context, &aead, raw_key.data(), nonce.size()), 0);
  Bytes sealed(payload.size() + aead.max_overhead);
  ASSERT_EQ(callbacks_.encrypt(sealed.data(), &aead, &context, payload.data(), payload.size(),
                               nonce.data(), nonce.size(), packet.data(), packet.size()),
            0);
  EXPECT_EQ(hex_encode(sealed), "655e5cd55c41f69080575d7999c25a5bfb");
  Bytes opened(1);
  EXPECT_EQ(callbacks_.decrypt(opened.data(), &aead, &context, sealed.data(), sealed.size(),
                               nonce.data(), nonce.size(), packet.data(), packet.size()),
            0);
  EXPECT_EQ(opened, payload);
  packet[0] ^= 1;
  EXPECT_EQ(callbacks_.decrypt(opened.data(), &aead, &context, sealed.data(), sealed.size(),
                               nonce.data(), nonce.size(), packet.data(), packet.size()),
            NGTCP2_ERR_DECRYPT);
  callbacks_.delete_crypto_aead_ctx(nullptr, &context, nullptr);

  const ngtcp2_crypto_cipher cipher{.native_handle =
                                        reinterpret_cast<void*>(GNUTLS_CIPHER_CHACHA20_32)};
  const gnutls_datum_t datum{const_cast<unsigned char*>(raw_header_key.data()), 32};
  gnutls_cipher_hd_t handle = nullptr;
  ASSERT_EQ(gnutls_cipher_init(&handle, GNUTLS_CIPHER_CHACHA20_32, &datum, nullptr), 0);
  ngtcp2_crypto_cipher_ctx header_key{.native_handle = handle};
  // The packet number has three bytes, so the sample starts one byte into the ciphertext.
  std::array<std::uint8_t, NGTCP2_HP_SAMPLELEN> mask{};
  ASSERT_EQ(callbacks_.hp_mask(mask.data(), &cipher, &header_key, sealed.data() + 1), 0);
  EXPECT_EQ(hex_encode(ByteView(mask).first(NGTCP2_HP_MASKLEN)), "aefefe7d03");
  callbacks_.delete_crypto_cipher_ctx(nullptr, &header_key, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Backends, EachBackend,
                         testing::Values(ProtectionBackend::gnutls, ProtectionBackend::ipsec_mb),
                         [](const auto& info) {
                           return info.param == ProtectionBackend::gnutls ? "gnutls" : "ipsec_mb";
                         });

TEST(Protection, gnutls_is_always_available_and_best_is_available) {
  EXPECT_TRUE(is_available(ProtectionBackend::gnutls));
  EXPECT_TRUE(is_available(best_protection()));
  EXPECT_EQ(best_protection() == ProtectionBackend::ipsec_mb,
            is_available(ProtectionBackend::ipsec_mb));
}

// --- Whole connections: two ngtcp2 ends in this process, the server has a raw public key. ---

// Counts the packets one end encrypts with a key of ours (bit 0 of the handle) and with one
// of GnuTLS's, then lets the installed callback do it. Static because encrypt has no user
// data; ends are told apart by the parameter.
template <bool is_server>
struct Counted {
  static inline ngtcp2_encrypt next = nullptr;
  static inline std::size_t ours = 0;
  static inline std::size_t gnutls = 0;

  static int encrypt(std::uint8_t* dest, const ngtcp2_crypto_aead* aead,
                     const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* plaintext,
                     std::size_t plaintext_size, const std::uint8_t* nonce, std::size_t nonce_size,
                     const std::uint8_t* aad, std::size_t aad_size) {
    const bool is_ours = (reinterpret_cast<std::uintptr_t>(context->native_handle) & 1) != 0;
    ++(is_ours ? ours : gnutls);
    return next(dest, aead, context, plaintext, plaintext_size, nonce, nonce_size, aad, aad_size);
  }
  static void attach(ngtcp2_callbacks& callbacks) {
    next = callbacks.encrypt;
    ours = gnutls = 0;
    callbacks.encrypt = encrypt;
  }
};

struct Side {
  bool is_server = false;
  ProtectionBackend backend = ProtectionBackend::gnutls;
  ngtcp2_crypto_conn_ref reference{};
  ngtcp2_conn* connection = nullptr;
  gnutls_session_t session = nullptr;
  gnutls_certificate_credentials_t credentials = nullptr;
  SeededRng rng{1};
  sockaddr_in local{};
  sockaddr_in remote{};
  Bytes received;

  ~Side() {
    if (connection != nullptr) ngtcp2_conn_del(connection);
    if (session != nullptr) gnutls_deinit(session);
    if (credentials != nullptr) gnutls_certificate_free_credentials(credentials);
  }
  ngtcp2_path path() {
    return {.local = {reinterpret_cast<sockaddr*>(&local), sizeof local},
            .remote = {reinterpret_cast<sockaddr*>(&remote), sizeof remote},
            .user_data = nullptr};
  }
};

ngtcp2_callbacks callbacks_for(const Side& side) {
  ngtcp2_callbacks callbacks{};
  callbacks.client_initial = ngtcp2_crypto_client_initial_cb;
  callbacks.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  callbacks.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
  callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb;
  callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
  callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
  callbacks.rand = [](std::uint8_t* dest, std::size_t size, const ngtcp2_rand_ctx* context) {
    static_cast<Side*>(context->native_handle)->rng.fill({dest, size});
  };
  callbacks.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token,
                                       std::size_t size, void* user_data) {
    auto* self = static_cast<Side*>(user_data);
    id->datalen = size;
    self->rng.fill({id->data, size});
    self->rng.fill({token, NGTCP2_STATELESS_RESET_TOKENLEN});
    return 0;
  };
  callbacks.recv_stream_data = [](ngtcp2_conn* connection, std::uint32_t, std::int64_t stream,
                                  std::uint64_t, const std::uint8_t* data, std::size_t size,
                                  void* user_data, void*) {
    auto* self = static_cast<Side*>(user_data);
    self->received.insert(self->received.end(), data, data + size);
    ngtcp2_conn_extend_max_stream_offset(connection, stream, size);
    ngtcp2_conn_extend_max_offset(connection, size);
    return 0;
  };
  install_protection(callbacks, side.backend);
  if (side.is_server) {
    Counted<true>::attach(callbacks);
  } else {
    Counted<false>::attach(callbacks);
  }
  return callbacks;
}

// RFC 8032 7.1 test 1, as PKCS #8 and as SubjectPublicKeyInfo (RFC 8410).
constexpr std::string_view kServerSecret =
    "302e020100300506032b657004220420"
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
constexpr std::string_view kServerPublic =
    "302a300506032b6570032100"
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

void open_session(Side& side, std::string_view cipher) {
  const unsigned flags = side.is_server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET
                                        : static_cast<unsigned>(GNUTLS_CLIENT);
  ASSERT_EQ(gnutls_init(&side.session, flags | GNUTLS_ENABLE_RAWPK | GNUTLS_NO_END_OF_EARLY_DATA),
            0);
  const std::string priority =
      "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+" + std::string(cipher) +
      ":-GROUP-ALL:+GROUP-X25519:-CTYPE-ALL:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK:"
      "%DISABLE_TLS13_COMPAT_MODE";
  ASSERT_EQ(gnutls_priority_set_direct(side.session, priority.c_str(), nullptr), 0);
  ASSERT_EQ(gnutls_certificate_allocate_credentials(&side.credentials), 0);
  if (side.is_server) {
    Bytes secret = hex(kServerSecret);
    Bytes spki = hex(kServerPublic);
    const gnutls_datum_t secret_datum{secret.data(), static_cast<unsigned>(secret.size())};
    const gnutls_datum_t spki_datum{spki.data(), static_cast<unsigned>(spki.size())};
    ASSERT_EQ(gnutls_certificate_set_rawpk_key_mem(side.credentials, &spki_datum, &secret_datum,
                                                   GNUTLS_X509_FMT_DER, nullptr, 0, nullptr, 0, 0),
              0);
  }
  ASSERT_EQ(gnutls_credentials_set(side.session, GNUTLS_CRD_CERTIFICATE, side.credentials), 0);
  ASSERT_EQ(side.is_server ? ngtcp2_crypto_gnutls_configure_server_session(side.session)
                           : ngtcp2_crypto_gnutls_configure_client_session(side.session),
            0);
  side.reference.user_data = &side;
  side.reference.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
    return static_cast<Side*>(reference->user_data)->connection;
  };
  gnutls_session_set_ptr(side.session, &side.reference);
  install_secret_hook(side.session, side.backend);
  const gnutls_datum_t alpn{reinterpret_cast<unsigned char*>(const_cast<char*>("t")), 1};
  gnutls_alpn_set_protocols(side.session, &alpn, 1, GNUTLS_ALPN_MANDATORY);
}

void open_connection(Side& side, const ngtcp2_cid& destination, const ngtcp2_cid& source,
                     const ngtcp2_cid* original, ngtcp2_tstamp now) {
  const ngtcp2_callbacks callbacks = callbacks_for(side);
  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  settings.initial_ts = now;
  settings.rand_ctx.native_handle = &side;
  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_data = 1 << 20;
  params.initial_max_stream_data_bidi_local = 1 << 20;
  params.initial_max_stream_data_bidi_remote = 1 << 20;
  params.initial_max_streams_bidi = 4;
  const ngtcp2_path path = side.path();
  int rv = 0;
  if (side.is_server) {
    params.original_dcid = *original;
    params.original_dcid_present = 1;
    rv = ngtcp2_conn_server_new(&side.connection, &destination, &source, &path, NGTCP2_PROTO_VER_V1,
                                &callbacks, &settings, &params, nullptr, &side);
  } else {
    rv = ngtcp2_conn_client_new(&side.connection, &destination, &source, &path, NGTCP2_PROTO_VER_V1,
                                &callbacks, &settings, &params, nullptr, &side);
  }
  ASSERT_EQ(rv, 0) << ngtcp2_strerror(rv);
  ngtcp2_conn_set_tls_native_handle(side.connection, side.session);
}

struct Pairing {
  std::string_view name;
  std::string_view cipher;
  ProtectionBackend client;
  ProtectionBackend server;
};

constexpr auto kGnutls = ProtectionBackend::gnutls;
constexpr auto kIpsecMb = ProtectionBackend::ipsec_mb;
constexpr Pairing kPairings[] = {
    {"aes128_both", "AES-128-GCM", kIpsecMb, kIpsecMb},
    {"aes128_client", "AES-128-GCM", kIpsecMb, kGnutls},
    {"aes128_server", "AES-128-GCM", kGnutls, kIpsecMb},
    {"aes256_both", "AES-256-GCM", kIpsecMb, kIpsecMb},
    {"aes256_client", "AES-256-GCM", kIpsecMb, kGnutls},
    {"chacha20_both", "CHACHA20-POLY1305", kIpsecMb, kIpsecMb},
    {"aes128_neither", "AES-128-GCM", kGnutls, kGnutls},
};

class EachPairing : public testing::TestWithParam<Pairing> {
 protected:
  void SetUp() override {
    if (!is_available(GetParam().client) || !is_available(GetParam().server)) {
      GTEST_SKIP() << "not in this build or not on this CPU";
    }
    client_.backend = GetParam().client;
    server_.backend = GetParam().server;
    server_.is_server = true;
    client_.rng = SeededRng(1);
    server_.rng = SeededRng(2);
    for (sockaddr_in* address : {&client_.local, &server_.remote}) *address = address_with_port(1);
    for (sockaddr_in* address : {&client_.remote, &server_.local}) *address = address_with_port(2);
    open_session(client_, GetParam().cipher);
    open_session(server_, GetParam().cipher);
    open_connection(client_, id(3), id(4), nullptr, now_);
  }

  static sockaddr_in address_with_port(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = port;
    return address;
  }
  static ngtcp2_cid id(std::uint8_t fill) {
    ngtcp2_cid out{};
    out.datalen = 8;
    std::fill_n(out.data, out.datalen, fill);
    return out;
  }

  void read(Side& side, ByteView packet) {
    if (side.connection == nullptr) {
      ngtcp2_pkt_hd header{};
      ASSERT_EQ(ngtcp2_accept(&header, packet.data(), packet.size()), 0);
      open_connection(side, header.scid, id(5), &header.dcid, now_);
    }
    const ngtcp2_path path = side.path();
    const ngtcp2_pkt_info info{};
    const int rv =
        ngtcp2_conn_read_pkt(side.connection, &path, &info, packet.data(), packet.size(), now_);
    ASSERT_EQ(rv, 0) << ngtcp2_strerror(rv);
  }

  // Sends what `from` has, and of `data` as much as flow and congestion control allow.
  void send(Side& from, Side& to, std::int64_t stream, ByteView& data) {
    if (from.connection == nullptr) return;
    if (ngtcp2_conn_get_expiry(from.connection) <= now_) {
      ASSERT_EQ(ngtcp2_conn_handle_expiry(from.connection, now_), 0);
    }
    for (int i = 0; i < 1000; ++i) {
      std::array<std::uint8_t, 1500> packet;
      ngtcp2_path_storage path;
      ngtcp2_path_storage_zero(&path);
      ngtcp2_pkt_info info{};
      ngtcp2_ssize taken = -1;
      const ngtcp2_vec vector{const_cast<std::uint8_t*>(data.data()), data.size()};
      const bool has_data = !data.empty();
      const ngtcp2_ssize size = ngtcp2_conn_writev_stream(
          from.connection, &path.path, &info, packet.data(), packet.size(), &taken, 0,
          has_data ? stream : -1, has_data ? &vector : nullptr, has_data ? 1 : 0, now_);
      ASSERT_GE(size, 0) << ngtcp2_strerror(static_cast<int>(size));
      if (taken > 0) data = data.subspan(static_cast<std::size_t>(taken));
      if (size == 0) return;
      ASSERT_NO_FATAL_FAILURE(read(to, ByteView(packet).first(static_cast<std::size_t>(size))));
    }
    FAIL() << "an end does not stop sending";
  }

  // Client to server on `stream`, acknowledgements back, until both are quiet.
  void run(std::int64_t stream = -1, ByteView data = {}) {
    ByteView nothing;
    for (int round = 0; round < 100; ++round) {
      now_ += NGTCP2_MILLISECONDS;
      ASSERT_NO_FATAL_FAILURE(send(client_, server_, stream, data));
      now_ += NGTCP2_MILLISECONDS;
      ASSERT_NO_FATAL_FAILURE(send(server_, client_, -1, nothing));
    }
    EXPECT_TRUE(data.empty());
  }

  Side client_;
  Side server_;
  ngtcp2_tstamp now_ = NGTCP2_SECONDS;
};

TEST_P(EachPairing, talks_across_key_updates_from_both_ends) {
  ASSERT_NO_FATAL_FAILURE(run());
  ASSERT_TRUE(ngtcp2_conn_get_handshake_completed(client_.connection));
  ASSERT_TRUE(ngtcp2_conn_get_handshake_completed(server_.connection));
  std::int64_t stream = -1;
  ASSERT_EQ(ngtcp2_conn_open_bidi_stream(client_.connection, &stream, nullptr), 0);

  Bytes sent;
  for (int update = 0; update < 6; ++update) {
    Bytes data(20'000);
    client_.rng.fill(data);
    sent.insert(sent.end(), data.begin(), data.end());
    ASSERT_NO_FATAL_FAILURE(run(stream, data));
    ASSERT_EQ(server_.received, sent) << "after update " << update;
    // An end may update again only some round trips after the last one.
    now_ += 10 * NGTCP2_SECONDS;
    Side& side = update % 2 == 0 ? client_ : server_;
    const int rv = ngtcp2_conn_initiate_key_update(side.connection, now_);
    ASSERT_EQ(rv, 0) << ngtcp2_strerror(rv);
  }

  // 1-RTT packets went through the wanted library, before and after the updates; those of the
  // handshake always through GnuTLS.
  const bool is_aes = GetParam().cipher.starts_with("AES");
  EXPECT_GT(Counted<false>::gnutls, 0U);
  EXPECT_GT(Counted<true>::gnutls, 0U);
  if (is_aes && GetParam().client == kIpsecMb) {
    EXPECT_GT(Counted<false>::ours, 50U);
    EXPECT_LT(Counted<false>::gnutls, 10U);
  } else {
    EXPECT_EQ(Counted<false>::ours, 0U);
  }
  EXPECT_EQ(Counted<true>::ours > 0, is_aes && GetParam().server == kIpsecMb);
}

// If a changed packet were taken, its number would be used up and the original refused.
TEST_P(EachPairing, discards_changed_packets_and_takes_the_original) {
  ASSERT_NO_FATAL_FAILURE(run());
  std::int64_t stream = -1;
  ASSERT_EQ(ngtcp2_conn_open_bidi_stream(client_.connection, &stream, nullptr), 0);
  Bytes data(300, 0x2a);
  const ngtcp2_vec vector{data.data(), data.size()};
  std::array<std::uint8_t, 1500> buffer;
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&path);
  ngtcp2_pkt_info info{};
  ngtcp2_ssize taken = -1;
  const ngtcp2_ssize size =
      ngtcp2_conn_writev_stream(client_.connection, &path.path, &info, buffer.data(), buffer.size(),
                                &taken, 0, stream, &vector, 1, now_);
  ASSERT_EQ(taken, 300);
  const ByteView packet = ByteView(buffer).first(static_cast<std::size_t>(size));

  // Past the connection id, so that the packet still finds its connection: the protected
  // packet number, the ciphertext and the tag.
  for (std::size_t at = 9; at < packet.size(); ++at) {
    Bytes changed(packet.begin(), packet.end());
    changed[at] ^= 0x10;
    ASSERT_NO_FATAL_FAILURE(read(server_, changed));
    ASSERT_TRUE(server_.received.empty()) << "changed byte " << at;
  }
  ASSERT_NO_FATAL_FAILURE(read(server_, packet));
  EXPECT_EQ(server_.received, data);
}

INSTANTIATE_TEST_SUITE_P(Connections, EachPairing, testing::ValuesIn(kPairings),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace culvert::quic
