/* The C ABI between the engine and its plug-ins: plain C types only, so that any foreign-function interface can bind it.
 *
 * - Every function returns a gr_status (or a size) and takes a handle as its last argument: a stream, or for functions that
 *   need none, the plug-in. The first word of whatever a handle points to is the plug-in's gr_table.
 * - Arguments come in the order inputs, outputs, scratch, sizes, scalars, handle: the order of the Java methods.
 * - Addresses are int64_t: of device memory unless a comment says host. 0 stands for an absent operand.
 * - Data are dense unless strides are given; element types are gr_dtype codes.
 * - Launchers check what would crash, never allocate, never exit, and return before the work is done.
 * - Structs of sizes and scalars are host memory, passed by address; they are defined before GR_BEGIN, and all of their fields have
 *   eight bytes.
 * - A function with scratch memory has a companion gr_<function>_scratch that gives the bytes it needs.
 * - GR_UNSUPPORTED means that this plug-in has no kernel for such arguments and nothing was done: the caller composes the
 *   operation from others.
 */
#ifndef GRADUS_ABI_H
#define GRADUS_ABI_H

#include <stdint.h>

#ifdef __cplusplus
#define GR_BEGIN extern "C" {
#define GR_END }
#else
#define GR_BEGIN
#define GR_END
#endif

/* Raised whenever a function or a struct changes its meaning. */
#define GR_ABI_VERSION 4

/* Outcome of a call; the message of all but the first is given by gr_error. */
typedef enum gr_status {
  GR_OK = 0,
  GR_ERROR = 1,
  GR_OUT_OF_MEMORY = 2,
  GR_UNSUPPORTED = 3,
  GR_DEVICE_LOST = 4 /* a fault that the device does not recover from: every later call fails */
} gr_status;

/* Element types: the ordinals of io.gradus.core.DType. */
typedef enum gr_dtype {
  GR_FLOAT32 = 0,
  GR_FLOAT64 = 1,
  GR_BFLOAT16 = 2,
  GR_FLOAT16 = 3,
  GR_INT32 = 4,
  GR_INT64 = 5,
  GR_UINT8 = 6,
  GR_BOOL = 7
} gr_dtype;

/* How float32 operands are multiplied. Other types have one way only: 16-bit types on tensor cores, summed in float32. */
typedef enum gr_precision {
  GR_PRECISION_EXACT = 0,  /* in float32 */
  GR_PRECISION_TF32 = 1,   /* operands rounded to 11 significant bits, sums in float32 */
  GR_PRECISION_TF32X3 = 2  /* three tf32 products in place of one: nearly float32's error; infinities give NaN */
} gr_precision;

/* What a fused operation applies to its result: the ordinals of io.gradus.backend.Activation. */
typedef enum gr_activation { GR_ACTIVATION_NONE = 0, GR_ACTIVATION_RELU = 1 } gr_activation;

#endif
