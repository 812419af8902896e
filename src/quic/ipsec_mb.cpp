#include "quic/ipsec_mb.h"

#include "base/assert.h"

#ifdef CULVERT_HAVE_IPSEC_MB

#include <gnutls/gnutls.h>
#include <intel-ipsec-mb.h>

#include <array>
#include <cstring>
#include <new>

#include <immintrin.h>

namespace culvert::quic::ipsec_mb {
namespace {

// The functions the library chose for this CPU. They are stateless; the manager they come
// from, with its job queues, is not needed after they are known.
struct Functions {
  bool are_usable = false;
  aes_gcm_pre_t gcm128_prepare = nullptr;
  aes_gcm_pre_t gcm256_prepare = nullptr;
  aes_gcm_enc_dec_t gcm128_encrypt = nullptr;
  aes_gcm_enc_dec_t gcm128_decrypt = nullptr;
  aes_gcm_enc_dec_t gcm256_encrypt = nullptr;
  aes_gcm_enc_dec_t gcm256_decrypt = nullptr;
  keyexp_t aes128_expand = nullptr;
  keyexp_t aes256_expand = nullptr;
};

Functions load() {
  constexpr std::uint64_t kNeeded = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
  if ((imb_get_feature_flags() & kNeeded) != kNeeded) return {};
  IMB_MGR* manager = alloc_mb_mgr(0);
  if (manager == nullptr) return {};
  init_mb_mgr_auto(manager, nullptr);
  const bool has_failed_self_test = (manager->features & IMB_FEATURE_SELF_TEST) != 0 &&
                                    (manager->features & IMB_FEATURE_SELF_TEST_PASS) == 0;
  Functions functions;
  if (imb_get_errno(manager) == 0 && !has_failed_self_test) {
    functions = {
        .are_usable = true,
        .gcm128_prepare = manager->gcm128_pre,
        .gcm256_prepare = manager->gcm256_pre,
        .gcm128_encrypt = manager->gcm128_enc,
        .gcm128_decrypt = manager->gcm128_dec,
        .gcm256_encrypt = manager->gcm256_enc,
        .gcm256_decrypt = manager->gcm256_dec,
        .aes128_expand = manager->keyexp_128,
        .aes256_expand = manager->keyexp_256,
    };
  }
  free_mb_mgr(manager);
  return functions;
}

// Constant after its first use, which the compiler makes safe between threads.
const Functions& functions() {
  static const Functions loaded = load();
  return loaded;
}

constexpr std::size_t kKeySize128 = 16;
constexpr std::size_t kKeySize256 = 32;
constexpr std::size_t kRounds128 = 10;
constexpr std::size_t kRounds256 = 14;
constexpr std::size_t kScheduleSize = kBlockSize * (kRounds256 + 1);

bool can_use(ByteView key) {
  return (key.size() == kKeySize128 || key.size() == kKeySize256) && functions().are_usable;
}

// Time does not depend on where the tags differ.
bool is_same_tag(const std::uint8_t* left, const std::uint8_t* right) {
  std::array<std::uint64_t, 2> l;
  std::array<std::uint64_t, 2> r;
  static_assert(sizeof l == kTagSize);
  std::memcpy(l.data(), left, kTagSize);
  std::memcpy(r.data(), right, kTagSize);
  return ((l[0] ^ r[0]) | (l[1] ^ r[1])) == 0;
}

}  // namespace

// The library's header asks for this alignment only if the includer defines LINUX.
struct alignas(64) GcmKey {
  gcm_key_data data;
  aes_gcm_enc_dec_t encrypt;
  aes_gcm_enc_dec_t decrypt;
};

struct alignas(16) HeaderKey {
  std::array<std::uint8_t, kScheduleSize> round_keys;
  std::size_t rounds;
};

bool is_available() {
  return functions().are_usable;
}

std::string_view version() {
  return imb_get_version_str();
}

void GcmKeyDeleter::operator()(GcmKey* key) const noexcept {
  gnutls_memset(key, 0, sizeof *key);
  delete key;
}

void HeaderKeyDeleter::operator()(HeaderKey* key) const noexcept {
  gnutls_memset(key, 0, sizeof *key);
  delete key;
}

GcmKeyPtr make_gcm_key(ByteView key) {
  if (!can_use(key)) return nullptr;
  GcmKeyPtr made(new (std::nothrow) GcmKey);
  if (!made) return nullptr;
  const Functions& f = functions();
  const bool is_128 = key.size() == kKeySize128;
  (is_128 ? f.gcm128_prepare : f.gcm256_prepare)(key.data(), &made->data);
  made->encrypt = is_128 ? f.gcm128_encrypt : f.gcm256_encrypt;
  made->decrypt = is_128 ? f.gcm128_decrypt : f.gcm256_decrypt;
  return made;
}

void encrypt(const GcmKey& key, std::uint8_t* dest, ByteView plaintext, Nonce nonce, ByteView aad) {
  gcm_context_data context;
  key.encrypt(&key.data, &context, dest, plaintext.data(), plaintext.size(), nonce.data(),
              aad.data(), aad.size(), dest + plaintext.size(), kTagSize);
}

bool decrypt(const GcmKey& key, std::uint8_t* dest, ByteView ciphertext, Nonce nonce,
             ByteView aad) {
  if (ciphertext.size() < kTagSize) return false;
  const std::size_t size = ciphertext.size() - kTagSize;
  gcm_context_data context;
  std::array<std::uint8_t, kTagSize> tag;
  key.decrypt(&key.data, &context, dest, ciphertext.data(), size, nonce.data(), aad.data(),
              aad.size(), tag.data(), tag.size());
  if (is_same_tag(tag.data(), ciphertext.data() + size)) return true;
  if (size != 0) std::memset(dest, 0, size);
  return false;
}

HeaderKeyPtr make_header_key(ByteView key) {
  if (!can_use(key)) return nullptr;
  HeaderKeyPtr made(new (std::nothrow) HeaderKey);
  if (!made) return nullptr;
  const bool is_128 = key.size() == kKeySize128;
  // The library always makes the schedule for decryption too.
  alignas(16) std::array<std::uint8_t, kScheduleSize> unused;
  const Functions& f = functions();
  (is_128 ? f.aes128_expand : f.aes256_expand)(key.data(), made->round_keys.data(), unused.data());
  gnutls_memset(unused.data(), 0, unused.size());
  made->rounds = is_128 ? kRounds128 : kRounds256;
  return made;
}

// libipsec-mb 1.3 offers a single AES block only for 128-bit keys (as CFB), and it is not
// faster than these instructions. The attribute allows AES-NI in this function alone:
// a HeaderKey exists only where the CPU has it.
[[gnu::target("aes,sse2")]] void mask(const HeaderKey& key, std::uint8_t* dest, Sample sample) {
  const auto* round_keys = reinterpret_cast<const __m128i*>(key.round_keys.data());
  __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(sample.data()));
  block = _mm_xor_si128(block, _mm_load_si128(round_keys));
  for (std::size_t round = 1; round < key.rounds; ++round) {
    block = _mm_aesenc_si128(block, _mm_load_si128(round_keys + round));
  }
  block = _mm_aesenclast_si128(block, _mm_load_si128(round_keys + key.rounds));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dest), block);
}

}  // namespace culvert::quic::ipsec_mb

#else

namespace culvert::quic::ipsec_mb {

struct GcmKey {};
struct HeaderKey {};

bool is_available() {
  return false;
}
std::string_view version() {
  return {};
}
void GcmKeyDeleter::operator()(GcmKey* key) const noexcept {
  delete key;
}
void HeaderKeyDeleter::operator()(HeaderKey* key) const noexcept {
  delete key;
}
GcmKeyPtr make_gcm_key(ByteView) {
  return nullptr;
}
HeaderKeyPtr make_header_key(ByteView) {
  return nullptr;
}

// No key exists to call these with.
void encrypt(const GcmKey&, std::uint8_t*, ByteView, Nonce, ByteView) {
  CULVERT_ASSERT(false);
}
bool decrypt(const GcmKey&, std::uint8_t*, ByteView, Nonce, ByteView) {
  CULVERT_ASSERT(false);
  return false;
}
void mask(const HeaderKey&, std::uint8_t*, Sample) {
  CULVERT_ASSERT(false);
}

}  // namespace culvert::quic::ipsec_mb

#endif
