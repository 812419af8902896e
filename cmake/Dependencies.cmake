# Every outside library, in one place. All come from Debian packages (see ./dev). Each is linked
# in or consists of headers, but for GnuTLS and glibc: those get security updates on every
# distribution, and culvert runs wherever they are (tests/package).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(GNUTLS REQUIRED IMPORTED_TARGET gnutls>=3.7.9)
pkg_check_modules(CARES REQUIRED libcares>=1.18)
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

# Its archive is a part of libc-ares-dev.
add_library(culvert_cares INTERFACE)
target_include_directories(culvert_cares SYSTEM INTERFACE ${CARES_INCLUDE_DIRS})
find_library(CARES_ARCHIVE libcares.a HINTS ${CARES_LIBRARY_DIRS})
if(CARES_ARCHIVE)
  target_link_libraries(culvert_cares INTERFACE ${CARES_ARCHIVE})
else()
  target_link_libraries(culvert_cares INTERFACE ${CARES_LINK_LIBRARIES})
endif()

if(CULVERT_TESTS)
  find_package(GTest REQUIRED)
endif()

# fmt: its headers everywhere, its definitions in one source. (Header-only in every source would
# cost 1.7 s of compiling for each.)
find_path(FMT_INCLUDE fmt/format-inl.h REQUIRED)
add_library(culvert_fmt STATIC "${CMAKE_CURRENT_LIST_DIR}/fmt_definitions.cpp")
target_include_directories(culvert_fmt SYSTEM PUBLIC "${FMT_INCLUDE}")
target_link_libraries(culvert_fmt PRIVATE culvert_flags)
add_library(fmt::fmt ALIAS culvert_fmt)

# toml++: one source includes it (cli/config_toml.cpp).
find_path(TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
add_library(culvert_tomlplusplus INTERFACE)
target_include_directories(culvert_tomlplusplus SYSTEM INTERFACE "${TOMLPLUSPLUS_INCLUDE}")
target_compile_definitions(culvert_tomlplusplus INTERFACE TOML_HEADER_ONLY=1)
add_library(tomlplusplus::tomlplusplus ALIAS culvert_tomlplusplus)

# Optional: faster packet protection on x86-64 (quic/packet_protection.h). Its archive, with code
# for every CPU, adds 13 MB to what links it: tests take the shared library.
find_library(IPSEC_MB_ARCHIVE libIPSec_MB.a)
find_library(IPSEC_MB_LIBRARY IPSec_MB)
find_path(IPSEC_MB_INCLUDE intel-ipsec-mb.h)
if(IPSEC_MB_ARCHIVE AND IPSEC_MB_LIBRARY AND IPSEC_MB_INCLUDE)
  add_library(culvert_ipsec_mb INTERFACE)
  target_include_directories(culvert_ipsec_mb SYSTEM INTERFACE "${IPSEC_MB_INCLUDE}")
  target_link_libraries(culvert_ipsec_mb INTERFACE
    $<IF:$<BOOL:$<TARGET_PROPERTY:CULVERT_SELF_CONTAINED>>,${IPSEC_MB_ARCHIVE},${IPSEC_MB_LIBRARY}>)
endif()

# culvert_self_contained(TARGET): an executable that runs on other machines, with nothing but
# glibc and GnuTLS. Sanitizers bring a runtime of their own.
function(culvert_self_contained target)
  set_target_properties(${target} PROPERTIES CULVERT_SELF_CONTAINED ON)
  if(NOT CULVERT_SANITIZE)
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc
      -pie -Wl,-z,relro,-z,now -Wl,--build-id=sha1)
  endif()
endfunction()
