# gradus_emulated_test(name sources...): an executable that runs kernels on the emulator, registered with CTest.
# gradus_test_orders(name): runs it in each thread order.
find_package(Threads REQUIRED)

set(GRADUS_TEST_ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0"
    "TSAN_OPTIONS=halt_on_error=0:report_thread_leaks=0:history_size=4" "UBSAN_OPTIONS=print_stacktrace=1")

function(gradus_emulated_executable name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE gradus_emulator)
  gradus_warnings(${name})
  gradus_sanitize(${name})
endfunction()

function(gradus_test_orders name)
  foreach(order forward reverse random:1 random:2)
    string(REPLACE ":" "_" suffix ${order})
    add_test(NAME ${name}_${suffix} COMMAND ${name})
    set_tests_properties(${name}_${suffix} PROPERTIES ENVIRONMENT "GRADUS_EMULATOR_ORDER=${order};${GRADUS_TEST_ENVIRONMENT}" TIMEOUT 300)
  endforeach()
endfunction()
