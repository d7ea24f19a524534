/* Random numbers and dropout. All bits come from Philox4x32-10 keyed by rng[0] with counter (block, rng[1] + number): a function
 * of the seed, the operation and the element alone, so that every backend draws the same.
 *
 * rng: INT64 [seed, base] on the device, so that a captured step draws anew. number: of the random operation since the seed was
 * set. p: probability of dropping, 0 to 1. Backward of a dropout is the same call on the gradient: the mask is drawn again.
 */
#ifndef GRADUS_RANDOM_H
#define GRADUS_RANDOM_H

#include "gradus/abi.h"

GR_BEGIN

/* out [n] = random numbers; kind is the ordinal of RandomKind; all types. Word i % 4 of block i / 4 makes element i; FLOAT64
 * uniforms take two words of block i / 2; normals pair words by Box and Muller.
 * uniform: a + (b - a) u, u on [0, 1); normal: mean a, standard deviation b; integer: on [a, b). */
int gr_random(int32_t kind, int64_t out, int64_t rng, int64_t n, int64_t number, double a, double b, int32_t dtype,
              int64_t stream);

/* y = x / (1 - p) where element i is kept, else 0: when the 16-bit value i % 8 of block i / 8 is at least p 2^16, rounded.
 * Floating types; y may be x. */
int gr_dropout(int64_t x, int64_t rng, int64_t y, int64_t n, int64_t number, double p, int32_t dtype, int64_t stream);

/* The mask of gr_dropout, one bit per element: bit i % 32 of 32-bit word i / 32 of mask [(n + 31) / 32] is 1 where element i is
 * kept, and 0 from n on. */
int gr_dropout_mask(int64_t rng, int64_t mask, int64_t n, int64_t number, double p, int64_t stream);

/* y = x / (1 - p) where the mask's bit is 1, else 0. Floating types; y may be x. */
int gr_dropout_apply(int64_t x, int64_t mask, int64_t y, int64_t n, double p, int32_t dtype, int64_t stream);

/* x, y [samples, positions, channels]: dropout of whole channels; (sample, channel) is kept where gr_dropout keeps element
 * sample * channels + channel. Floating types; y may be x. */
int gr_dropout_channels(int64_t x, int64_t rng, int64_t y, int64_t samples, int64_t positions, int64_t channels, int64_t number,
                        double p, int32_t dtype, int64_t stream);

/* y = dropout(x + bias) + residual, rounded once: x, residual, y [rows, cols], bias [cols]; bias and residual may be absent.
 * Floating types; y may be x or residual. */
int gr_bias_dropout_residual(int64_t x, int64_t bias, int64_t residual, int64_t rng, int64_t y, int64_t rows, int64_t cols,
                             int64_t number, double p, int32_t dtype, int64_t stream);

#define GR_RANDOM_FUNCTIONS(F) \
  F(random) F(dropout) F(dropout_mask) F(dropout_apply) F(dropout_channels) F(bias_dropout_residual)

GR_END

#endif
