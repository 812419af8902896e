#include "crypto/mac.h"

#include "base/assert.h"

#include <gnutls/crypto.h>

namespace culvert::crypto {

Digest sha256(ByteView message) {
  Digest digest{};
  CULVERT_ASSERT(
      gnutls_hash_fast(GNUTLS_DIG_SHA256, message.data(), message.size(), digest.data()) == 0);
  return digest;
}

Digest hmac_sha256(ByteView key, ByteView message) {
  Digest digest{};
  CULVERT_ASSERT(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.data(), key.size(), message.data(),
                                  message.size(), digest.data()) == 0);
  return digest;
}

bool constant_time_equal(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  return a.empty() || gnutls_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace culvert::crypto
