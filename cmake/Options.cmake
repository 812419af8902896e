# Build options and the flags every target gets.
set(CULVERT_SANITIZE "" CACHE STRING "Sanitizers for every target, e.g. address,undefined or thread")
option(CULVERT_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(CULVERT_TESTS "Build tests" ON)

add_library(culvert_flags INTERFACE)
target_compile_options(culvert_flags INTERFACE -Wall -Wextra -Werror -fno-omit-frame-pointer)
# Designated initialisers name what differs from the defaults; the rest is meant to be left out.
target_compile_options(culvert_flags INTERFACE
  $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-designated-field-initializers>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-missing-field-initializers>)
# Some presets compile a dozen sources of a module as one (CMakePresets.json), and g++ takes a
# source that is included for a header.
if(CMAKE_UNITY_BUILD)
  target_compile_options(culvert_flags INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
# Sanitized code is slow whatever is done; compiled sooner, it takes less in all.
if(CULVERT_SANITIZE)
  target_compile_options(culvert_flags INTERFACE -O1)
endif()
# What a test judges by figures (times, rates, amounts held) is the same under every compiler and
# far slower under sanitizers, which look for faults: suites whose names end in Figures run in
# clang's ordinary builds only. The same goes for what counts over all seeds.
if(CULVERT_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(CULVERT_JUDGES_FIGURES OFF)
else()
  set(CULVERT_JUDGES_FIGURES ON)
endif()
# Rare branches say that they were taken (base/probe.h); only tests ask.
if(CULVERT_TESTS)
  target_compile_definitions(culvert_flags INTERFACE CULVERT_PROBES)
endif()
# g++ 12 takes members of aggregates, such as an empty std::optional or std::shared_ptr, for
# uninitialised where they are destroyed inline; clang and the sanitizers look for real ones.
target_compile_options(culvert_flags INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_include_directories(culvert_flags INTERFACE "${CMAKE_SOURCE_DIR}/src")
# The same bytes from every checkout: no path of the builder's machine, nor of a compiler cache
# that makes paths relative (CCACHE_BASEDIR).
file(RELATIVE_PATH up "${CMAKE_BINARY_DIR}" "${CMAKE_SOURCE_DIR}")
target_compile_options(culvert_flags INTERFACE
  "-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." "-ffile-prefix-map=${up}=./")
# What distributions harden their packages with. Sanitizers see more, and dislike _FORTIFY_SOURCE.
if(NOT CULVERT_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND
    NOT CMAKE_BUILD_TYPE MATCHES "^(Debug|Demo)$")
  target_compile_options(culvert_flags INTERFACE -fstack-protector-strong
    -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(culvert_flags INTERFACE -fcf-protection)
  endif()
endif()
if(CULVERT_SANITIZE)
  target_compile_options(culvert_flags INTERFACE
    -fsanitize=${CULVERT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(culvert_flags INTERFACE -fsanitize=${CULVERT_SANITIZE})
endif()
if(CULVERT_FUZZ)
  target_compile_options(culvert_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
