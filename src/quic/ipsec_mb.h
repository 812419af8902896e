// AES-GCM and the header-protection mask by libipsec-mb: hand-scheduled AES-NI, VAES and
// carry-less multiplication, about 2.5 times as fast per packet as GnuTLS on x86-64.
// Optional: compiled in with CULVERT_HAVE_IPSEC_MB and used when the CPU can run it; without
// it is_available() is false and no key can be made. Internal to quic/.
//
// Threads: a key does not change after it is made. encrypt, decrypt and mask read it, keep
// their work on the stack, and may run on one key from many threads at once. (They are the
// library's direct functions; its job queues, which belong to one thread, are not used.) One
// thing is shared: version 1.3 stores 0 in its process-wide error number at each GCM call.
// Nobody reads that number after start-up, and valid arguments never make it anything else.
#pragma once

#include "base/bytes.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace culvert::quic::ipsec_mb {

inline constexpr std::size_t kNonceSize = 12;
inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kBlockSize = 16;

using Nonce = std::span<const std::uint8_t, kNonceSize>;
using Sample = std::span<const std::uint8_t, kBlockSize>;

// True when the library is compiled in, the CPU has AES-NI and PCLMULQDQ, and the library's
// own self-test passed.
[[nodiscard]] bool is_available();

// The library's version, empty when it is not compiled in.
[[nodiscard]] std::string_view version();

// The key schedule and hash powers of AES-128-GCM or AES-256-GCM. Wiped when freed.
struct GcmKey;
struct GcmKeyDeleter {
  void operator()(GcmKey* key) const noexcept;
};
using GcmKeyPtr = std::unique_ptr<GcmKey, GcmKeyDeleter>;

// `key` has 16 or 32 bytes. Null if it has not, if !is_available(), or out of memory.
[[nodiscard]] GcmKeyPtr make_gcm_key(ByteView key);

// Writes plaintext.size() + kTagSize bytes to `dest`, which may be plaintext.data().
void encrypt(const GcmKey& key, std::uint8_t* dest, ByteView plaintext, Nonce nonce, ByteView aad);

// Writes ciphertext.size() - kTagSize bytes to `dest`, which may be ciphertext.data().
// False if the tag does not match; then these bytes are zero, never unauthenticated
// plaintext. The tag is compared in constant time.
[[nodiscard]] bool decrypt(const GcmKey& key, std::uint8_t* dest, ByteView ciphertext, Nonce nonce,
                           ByteView aad);

// The AES key schedule of header protection (RFC 9001 5.4.3). Wiped when freed.
struct HeaderKey;
struct HeaderKeyDeleter {
  void operator()(HeaderKey* key) const noexcept;
};
using HeaderKeyPtr = std::unique_ptr<HeaderKey, HeaderKeyDeleter>;

// As make_gcm_key.
[[nodiscard]] HeaderKeyPtr make_header_key(ByteView key);

// Writes a whole AES block to `dest`; QUIC uses its first five bytes.
void mask(const HeaderKey& key, std::uint8_t* dest, Sample sample);

}  // namespace culvert::quic::ipsec_mb
