# Part of `cmake --install`: units that start the program where it is installed.
foreach(role IN ITEMS server client)
  set(unit "culvert-${role}@.service")
  file(READ "${source_directory}/contrib/systemd/${unit}" text)
  # As a list it would lose its semicolons; there are none.
  string(REPLACE "/usr/bin/culvert" "${CMAKE_INSTALL_PREFIX}/bin/culvert" text "${text}")
  file(WRITE "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${unit_directory}/${unit}" "${text}")
endforeach()
