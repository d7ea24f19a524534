// TMA: one thread starts the copy of a box between global and shared memory. Loads complete on an mbarrier, stores in bulk
// groups of the issuing thread. What lies outside of the tensor is loaded as zero and not stored.
// Coordinates are in elements, innermost first. A store needs fence_proxy_async in every thread that wrote the box (fence.h).
// tma_load_im2col_4d reads the pixels of images [n, h, w, channels] that a convolution multiplies with one tap (tensor_map.h): from
// place (w, h) of image n on as many as the map says, each (offset_w, offset_h) further on, zero outside of the image. Offsets are
// 0 to 255.
// bulk_load and bulk_store copy bytes in a row: addresses and size are multiples of 16.
// Source: PTX ISA, cp.async.bulk, cp.async.bulk.tensor, cp.async.bulk.commit_group, cp.async.bulk.wait_group.
#pragma once

#include "device/ptx/address.h"
#include "device/ptx/tensor_map.h"

namespace gradus::ptx {

#if GRADUS_EMULATED

namespace model {

inline void load(void* shared, const tensor_map& map, const int* at, int rank, uint64_t* barrier, uint32_t multicast, Site site,
                 const uint16_t* offset = nullptr) {
  uint32_t address = emulator::shared_address(shared, site);
  emulator::touch_write(shared, emulator::tma_check(map, address, rank, offset != nullptr, site));  // in flight from here on
  emulator::tma_load(&map, address, at, offset, rank, emulator::shared_address(barrier, site), multicast, site);
}

}  // namespace model

inline void tma_load_2d(void* shared, const tensor_map& map, int x, int y, uint64_t* barrier, Site site = Site::here()) {
  int at[2] = {x, y};
  model::load(shared, map, at, 2, barrier, 0, site);
}
inline void tma_load_3d(void* shared, const tensor_map& map, int x, int y, int z, uint64_t* barrier, Site site = Site::here()) {
  int at[3] = {x, y, z};
  model::load(shared, map, at, 3, barrier, 0, site);
}
inline void tma_load_4d(void* shared, const tensor_map& map, int x, int y, int z, int w, uint64_t* barrier, Site site = Site::here()) {
  int at[4] = {x, y, z, w};
  model::load(shared, map, at, 4, barrier, 0, site);
}
inline void tma_load_2d_multicast(void* shared, const tensor_map& map, int x, int y, uint64_t* barrier, uint16_t ranks, Site site = Site::here()) {
  int at[2] = {x, y};
  if (ranks == 0) emulator::fail("tma_load_2d_multicast: no rank is named", site);
  model::load(shared, map, at, 2, barrier, ranks, site);
}
inline void tma_load_3d_multicast(void* shared, const tensor_map& map, int x, int y, int z, uint64_t* barrier, uint16_t ranks,
                                  Site site = Site::here()) {
  int at[3] = {x, y, z};
  if (ranks == 0) emulator::fail("tma_load_3d_multicast: no rank is named", site);
  model::load(shared, map, at, 3, barrier, ranks, site);
}
inline void tma_load_im2col_4d(void* shared, const tensor_map& map, int channel, int w, int h, int n, uint16_t offset_w,
                               uint16_t offset_h, uint64_t* barrier, Site site = Site::here()) {
  int at[4] = {channel, w, h, n};
  uint16_t offset[2] = {offset_w, offset_h};
  model::load(shared, map, at, 4, barrier, 0, site, offset);
}
inline void tma_load_im2col_4d_multicast(void* shared, const tensor_map& map, int channel, int w, int h, int n, uint16_t offset_w,
                                         uint16_t offset_h, uint64_t* barrier, uint16_t ranks, Site site = Site::here()) {
  int at[4] = {channel, w, h, n};
  uint16_t offset[2] = {offset_w, offset_h};
  if (ranks == 0) emulator::fail("tma_load_im2col_4d_multicast: no rank is named", site);
  model::load(shared, map, at, 4, barrier, ranks, site, offset);
}
inline void tma_store_2d(const tensor_map& map, const void* shared, int x, int y, Site site = Site::here()) {
  int at[2] = {x, y};
  emulator::tma_store(&map, emulator::shared_address(shared, site), at, 2, site);
}
inline void tma_store_3d(const tensor_map& map, const void* shared, int x, int y, int z, Site site = Site::here()) {
  int at[3] = {x, y, z};
  emulator::tma_store(&map, emulator::shared_address(shared, site), at, 3, site);
}
inline void tma_store_4d(const tensor_map& map, const void* shared, int x, int y, int z, int w, Site site = Site::here()) {
  int at[4] = {x, y, z, w};
  emulator::tma_store(&map, emulator::shared_address(shared, site), at, 4, site);
}
inline void bulk_load(void* shared, const void* global, unsigned bytes, uint64_t* barrier, Site site = Site::here()) {
  tensor_map map = emulator::linear_map(global, bytes, site);
  int at[1] = {0};
  model::load(shared, map, at, 1, barrier, 0, site);
}
inline void bulk_store(void* global, const void* shared, unsigned bytes, Site site = Site::here()) {
  tensor_map map = emulator::linear_map(global, bytes, site);
  int at[1] = {0};
  emulator::tma_store(&map, emulator::shared_address(shared, site), at, 1, site);
}
inline void bulk_commit() { emulator::bulk_commit(); }
template <int Pending>
inline void bulk_wait() {
  emulator::bulk_wait(Pending, false);
}
// The sources have been read and may be overwritten; the results may not be visible yet.
template <int Pending>
inline void bulk_wait_read() {
  emulator::bulk_wait(Pending, true);
}

#elif GRADUS_SM90

GRADUS_DEVICE void tma_load_2d(void* shared, const tensor_map& map, int x, int y, uint64_t* barrier, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               ::"r"(shared_address(shared)), "l"(&map), "r"(x), "r"(y), "r"(shared_address(barrier)) : "memory");
}
GRADUS_DEVICE void tma_load_3d(void* shared, const tensor_map& map, int x, int y, int z, uint64_t* barrier, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];"
               ::"r"(shared_address(shared)), "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(barrier)) : "memory");
}
GRADUS_DEVICE void tma_load_4d(void* shared, const tensor_map& map, int x, int y, int z, int w, uint64_t* barrier, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], [%6];"
               ::"r"(shared_address(shared)), "l"(&map), "r"(x), "r"(y), "r"(z), "r"(w), "r"(shared_address(barrier)) : "memory");
}
GRADUS_DEVICE void tma_load_2d_multicast(void* shared, const tensor_map& map, int x, int y, uint64_t* barrier, uint16_t ranks, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;"
               ::"r"(shared_address(shared)), "l"(&map), "r"(x), "r"(y), "r"(shared_address(barrier)), "h"(ranks) : "memory");
}
GRADUS_DEVICE void tma_load_3d_multicast(void* shared, const tensor_map& map, int x, int y, int z, uint64_t* barrier, uint16_t ranks,
                                         Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3, %4}], [%5], %6;"
               ::"r"(shared_address(shared)), "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(barrier)), "h"(ranks) : "memory");
}
GRADUS_DEVICE void tma_load_im2col_4d(void* shared, const tensor_map& map, int channel, int w, int h, int n, uint16_t offset_w,
                                      uint16_t offset_h, uint64_t* barrier, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8};"
               ::"r"(shared_address(shared)), "l"(&map), "r"(channel), "r"(w), "r"(h), "r"(n), "r"(shared_address(barrier)),
               "h"(offset_w), "h"(offset_h) : "memory");
}
GRADUS_DEVICE void tma_load_im2col_4d_multicast(void* shared, const tensor_map& map, int channel, int w, int h, int n, uint16_t offset_w,
                                                uint16_t offset_h, uint64_t* barrier, uint16_t ranks, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8}, %9;"
               ::"r"(shared_address(shared)), "l"(&map), "r"(channel), "r"(w), "r"(h), "r"(n), "r"(shared_address(barrier)),
               "h"(offset_w), "h"(offset_h), "h"(ranks) : "memory");
}
GRADUS_DEVICE void tma_store_2d(const tensor_map& map, const void* shared, int x, int y, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];"
               ::"l"(&map), "r"(x), "r"(y), "r"(shared_address(shared)) : "memory");
}
GRADUS_DEVICE void tma_store_3d(const tensor_map& map, const void* shared, int x, int y, int z, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3}], [%4];"
               ::"l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(shared)) : "memory");
}
GRADUS_DEVICE void tma_store_4d(const tensor_map& map, const void* shared, int x, int y, int z, int w, Site = Site::here()) {
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3, %4}], [%5];"
               ::"l"(&map), "r"(x), "r"(y), "r"(z), "r"(w), "r"(shared_address(shared)) : "memory");
}
GRADUS_DEVICE void bulk_load(void* shared, const void* global, unsigned bytes, uint64_t* barrier, Site = Site::here()) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               ::"r"(shared_address(shared)), "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(shared_address(barrier)) : "memory");
}
GRADUS_DEVICE void bulk_store(void* global, const void* shared, unsigned bytes, Site = Site::here()) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;"
               ::"l"(__cvta_generic_to_global(global)), "r"(shared_address(shared)), "r"(bytes) : "memory");
}
GRADUS_DEVICE void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
template <int Pending>
GRADUS_DEVICE void bulk_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(Pending) : "memory");
}
template <int Pending>
GRADUS_DEVICE void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(Pending) : "memory");
}

#endif

}  // namespace gradus::ptx
