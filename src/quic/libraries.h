// Which libraries carry this build's QUIC: for `culvert --version` and bug reports.
#pragma once

#include <string>

namespace culvert::quic {

struct Libraries {
  std::string ngtcp2;
  std::string gnutls;    // the one that was loaded; it is the only one that is not linked in
  std::string ipsec_mb;  // empty when this build has none
  // Which of them encrypts packets on this machine: a value of --packet-protection.
  std::string encryption;
};
[[nodiscard]] Libraries libraries();

}  // namespace culvert::quic
