# GRADUS_SANITIZER = none | address | thread | undefined | initcheck, for the emulator and everything that runs on it.
#
# gradus_sanitize(target): for kernels and tests.
# gradus_sanitize_runtime(target): for the emulator's runtime. Under ThreadSanitizer it is left uninstrumented, since it moves
# threads between stacks and is not subject to CUDA's memory model, and its loops must not become calls of memcpy, which TSan
# would intercept.
#
# initcheck is the emulator's own check of shared memory (src/emulator/initcheck.h): the compiler's hooks for ThreadSanitizer
# without its library.
set(GRADUS_SANITIZER "none" CACHE STRING "none, address, thread, undefined or initcheck")
set_property(CACHE GRADUS_SANITIZER PROPERTY STRINGS none address thread undefined initcheck)
if(NOT GRADUS_SANITIZER MATCHES "^(none|address|thread|undefined|initcheck)$")
  message(FATAL_ERROR "GRADUS_SANITIZER is none, address, thread, undefined or initcheck, not '${GRADUS_SANITIZER}'")
endif()

function(gradus_sanitize target)
  if(GRADUS_SANITIZER STREQUAL "initcheck")
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer -g)
  elseif(NOT GRADUS_SANITIZER STREQUAL "none")
    target_compile_options(${target} PRIVATE -fsanitize=${GRADUS_SANITIZER} -fno-omit-frame-pointer -g)
    target_link_options(${target} PUBLIC -fsanitize=${GRADUS_SANITIZER})
    if(GRADUS_SANITIZER STREQUAL "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize-recover=undefined)
    endif()
  endif()
endfunction()

function(gradus_sanitize_runtime target)
  if(GRADUS_SANITIZER STREQUAL "thread")
    target_compile_definitions(${target} PRIVATE GRADUS_TSAN=1)
    target_compile_options(${target} PRIVATE -fno-tree-loop-distribute-patterns -fno-omit-frame-pointer -g)
    target_link_options(${target} PUBLIC -fsanitize=thread)
  elseif(GRADUS_SANITIZER STREQUAL "initcheck")
    target_compile_definitions(${target} PRIVATE GRADUS_INITCHECK=1)
    target_compile_options(${target} PRIVATE -fno-omit-frame-pointer -g)
    target_link_libraries(${target} PUBLIC ${CMAKE_DL_LIBS})
  else()
    gradus_sanitize(${target})
  endif()
endfunction()
