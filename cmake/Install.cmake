# What is installed, and where: once for `cmake --install`, the tarball and the Debian package
# (tools/package). Manual pages and completions are written by the program just built.
include(GNUInstallDirs)
install(TARGETS culvert RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES contrib/grafana/culvert.json
  DESTINATION ${CMAKE_INSTALL_DATADIR}/culvert RENAME grafana.json)
install(FILES contrib/examples/server.toml contrib/examples/client.toml
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/culvert/examples)
install(FILES README.md docs/settings.md docs/multipath.md docs/control-api.md docs/counters.md
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/culvert)
set(CULVERT_UNIT_DIRECTORY lib/systemd/system)

if(CMAKE_CROSSCOMPILING)
  message(STATUS "Cross-compiling: no manual pages and completions are installed")
else()
  install(CODE "set(culvert \"$<TARGET_FILE:culvert>\")")
  install(SCRIPT cmake/install_generated.cmake)
endif()
install(CODE "set(source_directory \"${CMAKE_SOURCE_DIR}\")
set(unit_directory \"${CULVERT_UNIT_DIRECTORY}\")")
install(SCRIPT cmake/install_units.cmake)
