# Kernels with one bug each: a line of their sources is taken out or changed, and the emulator must notice. The bug is planted in a
# copy that stands before the sources in the search path, so the kernel that is tested is the one that ships.
#
# gradus_mutant(NAME FILE LINE REPLACEMENT FINDING MODES...): LINE is found once in src/kernels/FILE; FINDING is what the report of
# the program made of `mutant_sources` must match in each of MODES (model, address, thread, initcheck: see planted_test.cpp).
include_guard()
function(gradus_mutant name file line replacement finding)
  set(source ${PROJECT_SOURCE_DIR}/src/kernels/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(READ ${source} text)
  string(FIND "${text}" "${line}" first)
  string(FIND "${text}" "${line}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "planted bug ${name}: ${file} must contain exactly once: ${line}")
  endif()
  if(NOT planted_mode IN_LIST ARGN)
    return()
  endif()
  string(REPLACE "${line}" "${replacement}" text "${text}")
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name})
  file(CONFIGURE OUTPUT ${folder}/kernels/${file} CONTENT "${text}" @ONLY)
  gradus_emulated_executable(mutant_${name} ${mutant_sources})
  target_include_directories(mutant_${name} BEFORE PRIVATE ${folder})
  target_include_directories(mutant_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_compile_options(mutant_${name} PRIVATE -g)
  add_test(NAME planted_${mutant_group}_${name} COMMAND mutant_${name})
  set_tests_properties(planted_${mutant_group}_${name} PROPERTIES ENVIRONMENT "${GRADUS_TEST_ENVIRONMENT}" TIMEOUT 300 PASS_REGULAR_EXPRESSION "${finding}")
endfunction()
