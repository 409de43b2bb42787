# A floor's folder is one library. It links only what docs/floors.txt lets it include.
#   sputnik_folder(NAME LINKS lower-folders... LIBRARIES third-party-targets...)
# Third-party libraries are private: no header of ours shows them unless listed under PUBLIC_LIBRARIES.
function(sputnik_folder name)
  cmake_parse_arguments(arg "" "" "LINKS;LIBRARIES;PUBLIC_LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$") # a program's, not the library's
  if(NOT sources)
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC sputnik_flags ${arg_PUBLIC_LIBRARIES} PRIVATE ${arg_LIBRARIES})
  foreach(lower IN LISTS arg_LINKS)
    if(TARGET ${lower})
      target_link_libraries(${name} PUBLIC ${lower})
    endif()
  endforeach()
endfunction()
