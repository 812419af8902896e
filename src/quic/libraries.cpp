#include "quic/libraries.h"

#include "quic/ipsec_mb.h"
#include "quic/packet_protection.h"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>

namespace culvert::quic {

Libraries libraries() {
  return {.ngtcp2 = ngtcp2_version(0)->version_str,
          .gnutls = gnutls_check_version(nullptr),
          .ipsec_mb = std::string(ipsec_mb::version()),
          .encryption = best_protection() == ProtectionBackend::ipsec_mb ? "ipsec-mb" : "gnutls"};
}

}  // namespace culvert::quic
