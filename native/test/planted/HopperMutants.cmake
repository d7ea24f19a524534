# The Hopper product with one bug each: a line of its sources is taken out or changed, and the emulator must notice. The bug is
# planted in a copy that stands before the sources in the search path, so the kernel that is tested is the one that ships.
#
# gradus_mutant(NAME FILE LINE REPLACEMENT FINDING MODES...): LINE is found once in src/kernels/FILE; FINDING is what the report must
# match in each of MODES (model, address, thread, initcheck: see planted_test.cpp).
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
  gradus_emulated_executable(mutant_${name} planted/hopper_main.cpp)
  target_include_directories(mutant_${name} BEFORE PRIVATE ${folder})
  target_include_directories(mutant_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_compile_options(mutant_${name} PRIVATE -g)
  add_test(NAME planted_hopper_${name} COMMAND mutant_${name})
  set_tests_properties(planted_hopper_${name} PROPERTIES ENVIRONMENT "${GRADUS_TEST_ENVIRONMENT}" TIMEOUT 300 PASS_REGULAR_EXPRESSION "${finding}")
endfunction()

set(pipeline matmul_hopper_pipeline.h)
set(epilogue matmul_hopper_epilogue.h)
set(race "data race.*matmul_hopper_pipeline.h")
set(box_race "data race.*matmul_hopper_epilogue.h")

gradus_mutant(early_refill ${pipeline} "ptx::mbarrier_wait(shared.empty(at.stage), at.round ^ 1)" "(void)0" "more arrivals at the mbarrier" model)
gradus_mutant(early_read ${pipeline} "ptx::mbarrier_wait(shared.full(at.stage), at.round)" "(void)0" "more arrivals at the mbarrier" model)
gradus_mutant(early_give_back ${pipeline} "ptx::wgmma_wait<1>()" "(void)0" "${race}" thread)
gradus_mutant(wrong_bytes ${pipeline} "expect_tx(full, Config::kLoadBytes)" "expect_tx(full, Config::kLoadBytes + 16)"
  "transaction count of 16 bytes" model)
gradus_mutant(peer_not_asked ${pipeline} "unsigned(kReaders * cluster))" "unsigned(kReaders + 0 * cluster))" "more arrivals at the mbarrier" model)
gradus_mutant(peer_not_told ${pipeline} "ptx::mbarrier_arrive_remote(shared.empty(stage), lane)" "ptx::mbarrier_arrive_remote(shared.empty(stage), ptx::cluster_rank())"
  "${race}" thread)
gradus_mutant(forgotten_skip matmul_hopper_block.h "at.advance(unit.last - unit.first)" "(void)unit" "more arrivals at the mbarrier" model)
gradus_mutant(peer_gone matmul_hopper_block.h "cluster_sync();  // a peer arrives" "// a peer arrives" "exited|gone|shared memory of a block" model)
gradus_mutant(missing_proxy_fence ${epilogue} "ptx::fence_proxy_async()" "(void)0" "${box_race}" thread)
gradus_mutant(incomplete_box ${epilogue} "ptx::barrier_sync(kConsumerBarrier + consumer_, Config::kWarpgroup);  // the box is complete" "// the box is complete"
  "${box_race}" thread)
gradus_mutant(overwritten_box ${epilogue} "if (leader()) ptx::bulk_wait_read<1>()" "(void)0" "wrong" model)
gradus_mutant(unprepared matmul_hopper_prepare.h "ptx::barrier_sync(kPreparedBarrier, Config::kConsumers * Config::kWarpgroup)" "(void)0"
  "data race.*matmul_hopper_prepare.h" thread)
gradus_mutant(prepared_without_fence matmul_hopper_prepare.h "ptx::fence_proxy_async()" "(void)0" "data race.*matmul_hopper_prepare.h" thread)
gradus_mutant(early_row ${epilogue} "__syncwarp();  // the warp's rows" "// the warp's rows" "${box_race}" thread)
gradus_mutant(overwritten_row ${epilogue} "__syncwarp();  // the rows of the part before" "// the rows of the part before" "${box_race}" thread)
