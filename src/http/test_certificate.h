// Test helper: certificates and their keys, made as they are needed: none that expires lies in the
// repository.
#pragma once

#include "base/assert.h"
#include "base/secret.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace culvert::http {

// Of Ed25519, for its name and for 192.0.2.2.
class Certificate {
 public:
  // `issuer` null: its own, and an authority.
  Certificate(const char* name, const Certificate* issuer) {
    constexpr time_t kSince = 1;
    constexpr time_t kUntil = 4'102'444'800;  // 2100
    gnutls_x509_privkey_init(&key_);
    gnutls_x509_privkey_generate(key_, GNUTLS_PK_EDDSA_ED25519, 256, 0);
    gnutls_x509_crt_init(&certificate_);
    gnutls_x509_crt_set_version(certificate_, 3);
    gnutls_x509_crt_set_serial(certificate_, "\1", 1);
    gnutls_x509_crt_set_activation_time(certificate_, kSince);
    gnutls_x509_crt_set_expiration_time(certificate_, kUntil);
    gnutls_x509_crt_set_key(certificate_, key_);
    gnutls_x509_crt_set_dn_by_oid(certificate_, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                  static_cast<unsigned>(std::string_view(name).size()));
    gnutls_x509_crt_set_basic_constraints(certificate_, issuer == nullptr ? 1 : 0, -1);
    if (issuer == nullptr) {
      gnutls_x509_crt_set_key_usage(certificate_, GNUTLS_KEY_KEY_CERT_SIGN);
    } else {
      gnutls_x509_crt_set_subject_alt_name(certificate_, GNUTLS_SAN_DNSNAME, name,
                                           static_cast<unsigned>(std::string_view(name).size()),
                                           GNUTLS_FSAN_SET);
      const std::array<std::uint8_t, 4> ip{192, 0, 2, 2};
      gnutls_x509_crt_set_subject_alt_name(certificate_, GNUTLS_SAN_IPADDRESS, ip.data(), ip.size(),
                                           GNUTLS_FSAN_APPEND);
    }
    const Certificate& signer = issuer == nullptr ? *this : *issuer;
    const int is_signed =
        gnutls_x509_crt_sign2(certificate_, signer.certificate_, signer.key_, GNUTLS_DIG_SHA512, 0);
    CULVERT_ASSERT(is_signed == 0);
  }
  ~Certificate() {
    gnutls_x509_crt_deinit(certificate_);
    gnutls_x509_privkey_deinit(key_);
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  [[nodiscard]] std::string pem() const {
    gnutls_datum_t out{};
    gnutls_x509_crt_export2(certificate_, GNUTLS_X509_FMT_PEM, &out);
    return taken(out);
  }
  [[nodiscard]] Secret<std::string> key_pem() const {
    gnutls_datum_t out{};
    gnutls_x509_privkey_export2_pkcs8(key_, GNUTLS_X509_FMT_PEM, nullptr, GNUTLS_PKCS_PLAIN, &out);
    return Secret(taken(out));
  }

 private:
  static std::string taken(gnutls_datum_t& out) {
    std::string text(reinterpret_cast<char*>(out.data), out.size);
    gnutls_free(out.data);
    return text;
  }
  gnutls_x509_privkey_t key_ = nullptr;
  gnutls_x509_crt_t certificate_ = nullptr;
};

}  // namespace culvert::http
