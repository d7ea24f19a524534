# Batch normalisation on the chip with one bug each.
include(planted/Mutants.cmake)
set(mutant_group norm)
set(mutant_sources planted/norm_mutant.cpp)
set(resident norm_resident.h)
set(resident_race "data race.*norm_resident.h")

gradus_mutant(missing_grid_barrier ${resident} "if (t.members > 1) grid_sync();" "if (t.members > 1) __syncthreads();" "${resident_race}" thread)
gradus_mutant(early_reuse ${resident} "int64_t(round % 2) * gridDim.x" "int64_t(round % 1) * gridDim.x" "${resident_race}" thread)
gradus_mutant(early_totals ${resident} "__syncthreads();  // the totals are there" "// the totals are there" "${resident_race}" thread)
gradus_mutant(unlanded ${resident} "cp_async_wait<kResidentParts - 1 - Part>" "cp_async_wait<kResidentParts>" "cp.async in flight" model)
gradus_mutant(refetched_before_use ${resident} "use(first + i, i, held_[first + i]);
        if (next != nullptr) fetch_held(first + i, *next);" "if (next != nullptr) fetch_held(first + i, *next);
        use(first + i, i, held_[first + i]);" "wrong y" model)
