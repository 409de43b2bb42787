# One place for compiler flags. Numerics depend on two of them: contraction is off, so that a fused multiply-add happens
# only where the source says so, and nothing here may imply fast-math (docs/numerics.md).
add_library(sputnik_flags INTERFACE)
target_compile_options(sputnik_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -ffp-contract=off -fno-math-errno -fstack-protector-strong)
# Out of range is a clean stop, not silent damage; none of these changes a number.
target_compile_definitions(sputnik_flags INTERFACE _GLIBCXX_ASSERTIONS)
target_link_options(sputnik_flags INTERFACE -Wl,-z,relro,-z,now)
target_include_directories(sputnik_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)

if(SPUTNIK_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  set(SPUTNIK_SANITIZE "address,undefined")
endif()
set(SPUTNIK_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(SPUTNIK_SANITIZE)
  # A finding ends the program, so that a test fails by it. -O1 takes half the time to build.
  target_compile_options(sputnik_flags INTERFACE
    -fsanitize=${SPUTNIK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
  target_link_options(sputnik_flags INTERFACE -fsanitize=${SPUTNIK_SANITIZE})
else()
  target_compile_options(sputnik_flags INTERFACE $<$<CONFIG:Release>:-U_FORTIFY_SOURCE> $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
endif()
