/* The function table that a plug-in exports. Its layout follows from the lists at the end of the group headers. */
#ifndef GRADUS_TABLE_H
#define GRADUS_TABLE_H

#include "gradus/attention.h"
#include "gradus/conv.h"
#include "gradus/elementwise.h"
#include "gradus/image.h"
#include "gradus/indexing.h"
#include "gradus/loss.h"
#include "gradus/matmul.h"
#include "gradus/norm.h"
#include "gradus/optim.h"
#include "gradus/pool.h"
#include "gradus/random.h"
#include "gradus/reduce.h"
#include "gradus/runtime.h"
#include "gradus/softmax.h"

/* What computes; its last argument is a stream. */
#define GR_OPERATIONS(F) \
  GR_ATTENTION_FUNCTIONS(F) \
  GR_CONV_FUNCTIONS(F) \
  GR_ELEMENTWISE_FUNCTIONS(F) \
  GR_IMAGE_FUNCTIONS(F) \
  GR_INDEXING_FUNCTIONS(F) \
  GR_LOSS_FUNCTIONS(F) \
  GR_MATMUL_FUNCTIONS(F) \
  GR_NORM_FUNCTIONS(F) \
  GR_OPTIM_FUNCTIONS(F) \
  GR_POOL_FUNCTIONS(F) \
  GR_RANDOM_FUNCTIONS(F) \
  GR_REDUCE_FUNCTIONS(F) \
  GR_SOFTMAX_FUNCTIONS(F)

#define GR_FUNCTIONS(F) \
  GR_RUNTIME_FUNCTIONS(F) \
  GR_OPERATIONS(F)

GR_BEGIN

typedef struct gr_table {
  const struct gr_table* self; /* so that the address of a table is a handle too */
  int64_t abi;                 /* GR_ABI_VERSION */
  const char* name;            /* cuda, emulated, cpu */
#define GR_MEMBER(name) __typeof__(gr_##name)* name;
  GR_FUNCTIONS(GR_MEMBER) /* 0 where the plug-in has no such function */
#undef GR_MEMBER
} gr_table;

/* The only symbol that a plug-in exports. */
__attribute__((visibility("default"))) const gr_table* gr_plugin(void);

GR_END

#endif
