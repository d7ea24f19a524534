// Synchronisation beyond the block: cooperative grids and clusters.
//
// grid_sync() needs LaunchConfig::cooperative(); clusters need LaunchConfig::cluster(n) and sm_90. A block must not exit while a
// peer may still touch its shared memory: end with cluster_sync().
#pragma once

#include "device/portable.h"
#include "device/ptx/cluster.h"

#if !GRADUS_EMULATED
#include <cooperative_groups.h>
#endif

namespace gradus {

GRADUS_DEVICE void grid_sync(Site site = Site::here()) {
  (void)site;
#if GRADUS_EMULATED
  emulator::grid_barrier(site);
#else
  cooperative_groups::this_grid().sync();
#endif
}

GRADUS_DEVICE void cluster_sync(Site site = Site::here()) {
  ptx::cluster_arrive(site);
  ptx::cluster_wait(site);
}

// The same variable in the shared memory of another block of the cluster.
template <class T>
GRADUS_DEVICE T* cluster_peer(T* shared, unsigned rank, Site site = Site::here()) {
  return static_cast<T*>(ptx::map_shared(shared, rank, site));
}

}  // namespace gradus
