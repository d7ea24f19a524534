# Bugs in the Hopper kernels of attention; see Mutants.cmake.
include(planted/Mutants.cmake)
set(mutant_group hopper)

set(tiles attention_hopper_tiles.h)

set(mutant_sources planted/attention_forward_main.cpp)
set(forward attention_hopper_forward.h)
gradus_mutant(attention_early_refill ${forward} "ptx::mbarrier_wait(shared.k_empty(at.stage), at.round ^ 1)" "(void)0" "more arrivals at the mbarrier|wrong" model)
gradus_mutant(attention_wrong_phase ${forward} "ptx::mbarrier_wait(shared.v_empty(at.stage), at.round ^ 1)" "ptx::mbarrier_wait(shared.v_empty(at.stage), at.round)"
  "deadlock" model)
gradus_mutant(attention_overwritten_queries ${forward} "ptx::mbarrier_wait(shared.q_empty(), q_at.round ^ 1)" "(void)0" "more arrivals at the mbarrier|wrong" model)
gradus_mutant(attention_early_keys ${forward} "ptx::mbarrier_wait(shared_.k_full(at_.stage), at_.round);
      ptx::barrier_sync" "ptx::barrier_sync" "more arrivals at the mbarrier|wrong" model)
gradus_mutant(attention_early_values ${forward} "ptx::mbarrier_wait(shared_.v_full(before.stage), before.round)" "(void)0" "data race" thread)
gradus_mutant(attention_early_logits ${forward} "ptx::wgmma_wait<1>();  // the logits" "// the logits" "before the wait|wrong" model)
gradus_mutant(attention_early_sum ${forward} "ptx::wgmma_wait<0>();  // the values are summed" "// the values are summed" "before the wait|wrong" model)
gradus_mutant(attention_unfenced ${forward} "// the other has issued its products
      ptx::wgmma_fence();" "// the other has issued its products" "without a wgmma fence" model)
gradus_mutant(attention_no_turn ${forward} "ptx::barrier_arrive(kTurnBarrier + 1 - consumer_, kBoth)" "(void)0" "deadlock" model)
gradus_mutant(attention_early_give_back ${forward} "ptx::wgmma_wait<0>();  // the values are summed
      ptx::wgmma_results(out);
      warp_arrives(shared_.v_empty(before.stage));" "warp_arrives(shared_.v_empty(before.stage));
      ptx::wgmma_wait<0>();
      ptx::wgmma_results(out);" "data race.*attention_hopper" thread)
gradus_mutant(attention_overwritten_panel ${tiles} "if (leader()) ptx::bulk_wait_read<0>();
    ptx::barrier_sync" "ptx::barrier_sync" "wrong" model)
gradus_mutant(attention_missing_proxy_fence ${tiles} "ptx::fence_proxy_async()" "(void)0" "data race.*attention_hopper_tiles.h" thread)
gradus_mutant(attention_incomplete_panel ${tiles} "ptx::barrier_sync(barrier_, kWarpgroup);  // the panels are complete" "// the panels are complete"
  "data race.*attention_hopper_tiles.h" thread)

set(mutant_sources planted/attention_backward_main.cpp)
set(stream attention_hopper_stream.h)
set(backward attention_hopper_backward.h)
gradus_mutant(attention_overwritten_held ${stream} "ptx::mbarrier_wait(shared.held_empty(), held_at.round ^ 1)" "(void)0" "more arrivals at the mbarrier|wrong" model)
gradus_mutant(attention_uncounted_numbers ${stream} "kLoadBytes = kStageBytes + kNumberBytes" "kLoadBytes = kStageBytes" "transaction count of -512 bytes|deadlock" model)
gradus_mutant(attention_early_gradient ${backward} "ptx::wgmma_wait<0>();  // dP is there" "// dP is there" "before the wait|wrong" model)
gradus_mutant(attention_early_stage ${backward} "ptx::wgmma_wait<1>();  // dQ is summed, and S is there
      ptx::wgmma_results(sum);
      warp_arrives(shared.empty(before));" "warp_arrives(shared.empty(before));
      ptx::wgmma_wait<1>();
      ptx::wgmma_results(sum);" "data race.*attention_hopper" thread)
