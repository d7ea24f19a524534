# The Hopper product and convolution with one bug each.
include(planted/Mutants.cmake)
set(mutant_group hopper)
set(mutant_sources planted/hopper_main.cpp)
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
gradus_mutant(wide_overwritten matmul_tile.h "if (arguments_.partial_adds)" "if (false)" "wrong" model)

set(mutant_sources planted/conv_hopper_main.cpp)
set(statistics_race "data race.*(conv_hopper|conv_rows|matmul_hopper_epilogue).h")
gradus_mutant(statistics_early conv_hopper.h "ptx::barrier_sync(barrier, kWarpgroup);  // the warps' statistics" "// the warps' statistics" "${statistics_race}" thread)
gradus_mutant(statistics_overwritten conv_hopper.h "ptx::barrier_sync(barrier, kWarpgroup);  // the statistics were merged" "// the statistics were merged" "${statistics_race}" thread)
gradus_mutant(box_of_rows conv_hopper_plan.h "(places[d] - 1) * stride[d] + 1 - extent[d]" "places[d] * stride[d] + 1 - extent[d]" "wrong result" model)
gradus_mutant(box_of_taps conv_hopper_plan.h "bool back = step[d] < 0;" "bool back = false;" "wrong result|outside of the im2col" model)
gradus_mutant(tap_of_patch conv_hopper_loads.h "v * patches_.step_w, u * patches_.step_h, full, 0)" "u * patches_.step_w, v * patches_.step_h, full, 0)" "wrong result" model)
set(prologue conv_hopper_prologue.h)
set(prologue_race "data race.*conv_hopper_prologue.h")
gradus_mutant(prologue_rows_unfenced ${prologue} "ptx::fence_proxy_async();  // of this thread's part of the rows" "(void)0;" "${prologue_race}" thread)
gradus_mutant(prologue_rows_early ${prologue} "ptx::barrier_sync(kConsumerBarrier + consumer_, Config::kWarpgroup);  // the rows" "// the rows"
  "${prologue_race}" thread)
gradus_mutant(prologue_columns_unfenced ${prologue} "ptx::fence_proxy_async();  // of this thread's part of B" "(void)0;" "${prologue_race}" thread)
gradus_mutant(prologue_columns_early ${prologue} "ptx::barrier_sync(Config::kPingPong ? kConsumerBarrier + consumer_ : kPreparedBarrier, kThreads);" "(void)0;"
  "${prologue_race}" thread)
gradus_mutant(prologue_made_up_pixels ${prologue} "if (line >= present) continue;" "(void)present;" "wrong result" model)
gradus_mutant(prologue_made_up_channels ${prologue} "if (channel >= norm_.channels) break;" "(void)0;" "wrong result|heap-buffer-overflow" address)

set(mutant_sources planted/conv_hopper_float_main.cpp)
gradus_mutant(rounded_parts conv_hopper.h "== 4 && !Config::kParts" "== 4" "wrong result" model)
gradus_mutant(transposed_early conv_support.h "__syncthreads();  // the tile is complete" "// the tile is complete" "wrong result|data race.*conv_support.h" model thread)
