# Tools that make builds faster. Each is used when present and silently left out when not,
# so a preset names a compiler and nothing else. Values given with -D win.
find_program(CULVERT_CCACHE ccache)
if(CULVERT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CULVERT_CCACHE}")
endif()

find_program(CULVERT_MOLD mold)
if(CULVERT_MOLD AND NOT CMAKE_EXE_LINKER_FLAGS MATCHES "-fuse-ld=")
  add_link_options(-fuse-ld=mold)
endif()

# Line tables are what stack traces and perf need; full debug info doubles the size of the
# objects and adds a fifth to compile time. The debug preset has it all.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
# For ./dev demo on a machine that has built nothing yet; less still in CMakeLists.txt.
set(CMAKE_CXX_FLAGS_DEMO "-O1 -DNDEBUG")
