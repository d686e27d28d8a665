# How a target of ours is compiled. Nothing here is global: a target takes part by capstan_target().

option(CAPSTAN_WERROR "Warnings are errors" OFF)
option(CAPSTAN_HARDENING "Compile and link with the hardening flags of the distribution" OFF)
option(CAPSTAN_LTO "Optimise across files when linking" OFF)
option(CAPSTAN_COVERAGE "Count which lines run (gcov)" OFF)
option(CAPSTAN_TESTS "Build the tests" ON)
option(CAPSTAN_PLAIN_RUNNER
  "Run the tests without Criterion, which cannot start under TSan and leaks under ASan" OFF)
option(CAPSTAN_BENCH "Build what tests/bench/compare runs; needs its packages" OFF)
option(CAPSTAN_FUZZ "Build the fuzz targets (clang)" OFF)
set(CAPSTAN_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined or thread")

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Kind of build" FORCE)
endif()

include(CheckPIESupported)
check_pie_supported()
if(CAPSTAN_LTO)
  include(CheckIPOSupported)
  check_ipo_supported()
endif()

# What everything is compiled with. The examples have no more than this: they see of the project
# what its users do.
add_library(capstan_build INTERFACE)
target_compile_options(capstan_build INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Wformat=2
  $<$<BOOL:${CAPSTAN_WERROR}>:-Werror>
  $<$<CONFIG:Debug>:-Og>)
if(CAPSTAN_HARDENING)
  target_compile_options(capstan_build INTERFACE
    -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection)
  target_link_options(capstan_build INTERFACE -Wl,-z,relro,-z,now)
endif()
if(CAPSTAN_COVERAGE)
  target_compile_options(capstan_build INTERFACE --coverage)
  target_link_options(capstan_build INTERFACE --coverage)
endif()
if(CAPSTAN_SANITIZE)
  target_compile_options(capstan_build INTERFACE
    -fsanitize=${CAPSTAN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(capstan_build INTERFACE -fsanitize=${CAPSTAN_SANITIZE})
endif()

add_library(capstan_flags INTERFACE)
target_link_libraries(capstan_flags INTERFACE capstan_build)
target_compile_features(capstan_flags INTERFACE c_std_11)
target_compile_definitions(capstan_flags INTERFACE _GNU_SOURCE)
target_include_directories(capstan_flags INTERFACE ${PROJECT_SOURCE_DIR}/include
  ${PROJECT_SOURCE_DIR})

if(CAPSTAN_FUZZ)
  target_compile_options(capstan_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The program and the library are optimised across files; tests are not: that optimisation drops
# what Criterion finds by linker sections.
function(capstan_target name)
  target_link_libraries(${name} PRIVATE capstan_flags)
  set_target_properties(${name} PROPERTIES
    C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON
    INTERPROCEDURAL_OPTIMIZATION ${CAPSTAN_LTO})
endfunction()

function(capstan_test_target name)
  capstan_target(${name})
  set_target_properties(${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
endfunction()
