# Every outside library, in one place. All come from Debian packages (see ./dev).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(GNUTLS REQUIRED IMPORTED_TARGET gnutls>=3.7.9)
pkg_check_modules(NGTCP2 REQUIRED libngtcp2>=1.11 libngtcp2_crypto_gnutls>=1.11)

# Linked statically: its congestion controllers can be ours then (quic/bbr_control.h), in the
# version whose insides that knows; and few machines have it.
add_library(culvert_ngtcp2 INTERFACE)
target_include_directories(culvert_ngtcp2 SYSTEM INTERFACE ${NGTCP2_INCLUDE_DIRS})
find_library(NGTCP2_ARCHIVE libngtcp2.a HINTS ${NGTCP2_LIBRARY_DIRS})
find_library(NGTCP2_CRYPTO_ARCHIVE libngtcp2_crypto_gnutls.a HINTS ${NGTCP2_LIBRARY_DIRS})
if(NGTCP2_ARCHIVE AND NGTCP2_CRYPTO_ARCHIVE)
  target_link_libraries(culvert_ngtcp2 INTERFACE ${NGTCP2_CRYPTO_ARCHIVE} ${NGTCP2_ARCHIVE})
  if(NGTCP2_libngtcp2_VERSION MATCHES "^1[.]11[.]")
    set(CULVERT_OWN_BBR ON)
  endif()
else()
  target_link_libraries(culvert_ngtcp2 INTERFACE ${NGTCP2_LINK_LIBRARIES})
endif()
if(NOT CULVERT_OWN_BBR)
  message(WARNING "Congestion control: ngtcp2 ${NGTCP2_libngtcp2_VERSION} is not a static 1.11, so its own BBR is used")
endif()

if(CULVERT_TESTS)
  find_package(GTest REQUIRED)
endif()

# Optional: faster packet protection on x86-64 (quic/packet_protection.h).
find_library(IPSEC_MB_LIBRARY IPSec_MB)
find_path(IPSEC_MB_INCLUDE intel-ipsec-mb.h)
