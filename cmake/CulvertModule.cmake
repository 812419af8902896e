# culvert_module(NAME
#   SOURCES a.cpp ...        library culvert_NAME
#   TESTS a_test.cpp ...     one gtest executable NAME_test
#   FUZZERS a_fuzz.cpp ...   each a libFuzzer target (CULVERT_FUZZ) and a replay test over its corpus
#   DEPS base crypto ...     other modules (must agree with src/LAYERS)
#   LIBS fmt::fmt ...        outside libraries (PRIVATE unless in PUBLIC_LIBS)
#   PUBLIC_LIBS ...
#   TEST_LIBS ...            what only the tests need
#   THREADED)                the tests run threads: they also run under ThreadSanitizer
# Every *_fuzz.cpp has its corpus in the directory of the same name without ".cpp" plus "_corpus".

# Groups for ./dev: `ninja fuzzers`, `ninja threaded_tests`.
add_custom_target(fuzzers)
add_custom_target(threaded_tests)

function(culvert_module name)
  cmake_parse_arguments(arg "THREADED" "" "SOURCES;TESTS;FUZZERS;DEPS;LIBS;PUBLIC_LIBS;TEST_LIBS" ${ARGN})
  set(target culvert_${name})
  add_library(${target} STATIC ${arg_SOURCES})
  target_link_libraries(${target} PUBLIC culvert_flags ${arg_PUBLIC_LIBS} PRIVATE ${arg_LIBS})
  foreach(dep IN LISTS arg_DEPS)
    target_link_libraries(${target} PUBLIC culvert_${dep})
  endforeach()

  if(CULVERT_TESTS AND arg_TESTS)
    add_executable(${name}_test ${arg_TESTS})
    target_link_libraries(${name}_test PRIVATE ${target} ${arg_TEST_LIBS} ${arg_LIBS}
      GTest::gtest GTest::gmock GTest::gtest_main)
    # Tests of a module include the same heavy headers: a dozen sources as one in every preset.
    set_target_properties(${name}_test PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
    add_test(NAME unit.${name} COMMAND ${name}_test)
    set_tests_properties(unit.${name} PROPERTIES TIMEOUT 300)
    if(NOT CULVERT_JUDGES_FIGURES)
      set_tests_properties(unit.${name} PROPERTIES ENVIRONMENT "GTEST_FILTER=-*Figures.*")
    endif()
    if(arg_THREADED)
      set_tests_properties(unit.${name} PROPERTIES LABELS threads)
      add_dependencies(threaded_tests ${name}_test)
    endif()
  endif()

  foreach(source IN LISTS arg_FUZZERS)
    culvert_fuzzer(${source} LINK ${target} ${arg_LIBS})
  endforeach()
endfunction()

# One fuzz target: libFuzzer when CULVERT_FUZZ, otherwise a replay of its corpus as a ctest.
function(culvert_fuzzer source)
  cmake_parse_arguments(arg "" "" "LINK" ${ARGN})
  get_filename_component(target ${source} NAME_WE)
  set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/${target}_corpus")
  if(CULVERT_FUZZ)
    add_executable(${target} ${source})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${target} PRIVATE ${arg_LINK})
    add_dependencies(fuzzers ${target})
  elseif(CULVERT_TESTS)
    add_executable(${target} ${source} "${CMAKE_SOURCE_DIR}/tests/fuzz_replay.cpp")
    target_link_libraries(${target} PRIVATE ${arg_LINK})
    add_test(NAME fuzz_replay.${target} COMMAND ${target} "${corpus}")
    set_tests_properties(fuzz_replay.${target} PROPERTIES TIMEOUT 300)
  endif()
endfunction()
