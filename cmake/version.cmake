# The version that the program names: the nearest tag and commit if this is a git checkout, else the project's version.
# Compiled into one file (base/version.cc) and found anew when a commit moves the head.
set(SPUTNIK_VERSION "${PROJECT_VERSION}")
find_program(git_program git)
if(git_program)
  execute_process(COMMAND ${git_program} describe --tags --always --dirty
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed AND described)
    # Without a tag git gives the bare commit; the project's version goes before it.
    if(NOT described MATCHES "^v?[0-9]+\\.[0-9]+")
      set(described "${PROJECT_VERSION}-g${described}")
    endif()
    set(SPUTNIK_VERSION "${described}")
    execute_process(COMMAND ${git_program} rev-parse --git-path logs/HEAD
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    cmake_path(ABSOLUTE_PATH head BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
    if(EXISTS "${head}")
      set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${head}")
    endif()
  endif()
endif()
