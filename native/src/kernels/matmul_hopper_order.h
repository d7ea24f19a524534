// The order in which the blocks of the Hopper product take tiles: persistent blocks, in clusters of one or two, each cluster every
// so-many-th unit of work. A unit is a tile for each block of the cluster, below one another, of one part of K of one matrix.
//
// Units go through a matrix in groups of rows, so that those at work at a time share operands in the L2 cache. A last unit that
// reaches below the matrix is computed all the same: its block's peer needs the columns that it loads.
#pragma once

#include "device/math.h"

namespace gradus {

struct HopperOrder {
  int units_m, units_n;  // of a matrix
  int splits, slices;    // parts of K, and slices of each
  int all_slices;        // of K
  int units;             // in all
  int cluster;           // blocks
};

struct HopperUnit {
  int row, column;  // of its tiles, in tiles of the cluster
  int batch, split;
  int first, last;  // slices
};

constexpr int kUnitGroup = 8;

GRADUS_DEVICE int unit_slices(const HopperOrder& order, int split) {
  return min(order.slices, order.all_slices - split * order.slices);
}

GRADUS_DEVICE HopperUnit unit_at(const HopperOrder& order, int index) {
  int matrix_units = order.units_m * order.units_n;
  int matrix = index / matrix_units;
  int at = index % matrix_units;
  int group = at / (kUnitGroup * order.units_n);
  int within = at % (kUnitGroup * order.units_n);
  int height = min(order.units_m - group * kUnitGroup, kUnitGroup);
  HopperUnit unit;
  unit.row = group * kUnitGroup + within % height;
  unit.column = within / height;
  unit.batch = matrix / order.splits;
  unit.split = matrix % order.splits;
  unit.first = unit.split * order.slices;
  unit.last = unit.first + unit_slices(order, unit.split);
  return unit;
}

}  // namespace gradus
