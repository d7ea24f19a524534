/* Optimizer steps over one arena of parameters in one launch, and what mixed precision needs around them: clipping by the norm
 * and dynamic loss scaling, all without a word from the host. */
#ifndef GRADUS_OPTIM_H
#define GRADUS_OPTIM_H

#include "gradus/abi.h"

/* A part of the arena with a weight decay of its own. Device memory. */
typedef struct gr_chunk {
  int64_t begin;  /* first element */
  int64_t length; /* elements */
  double weight_decay;
} gr_chunk;

/* What every optimizer folds into its launch; an address of 0 stands for an absent operand. Host memory. */
typedef struct gr_optim_extras {
  int64_t grad_scale;  /* FLOAT32 [1]: gradients are multiplied by it (the inverse of the loss scale) */
  int64_t clip;        /* FLOAT32 [1]: and by this */
  int64_t found_inf;   /* INT32 [1]: where it is not 0 the call changes nothing at all */
  int64_t ema;         /* [n] of the parameters' type: ema = ema_decay ema + (1 - ema_decay) param */
  int64_t half_copy;   /* [n] of half_dtype: receives the parameters, rounded */
  int64_t half_dtype;  /* GR_BFLOAT16 or GR_FLOAT16 */
  int64_t adopt_half;  /* not 0: where half_copy is not the rounded parameter before the step, somebody set it and it counts */
  int64_t grad_dtype;  /* 0 or dtype: the parameters' type; GR_BFLOAT16, GR_FLOAT16 */
  int64_t chunks;      /* gr_chunk [chunk_count], rising and disjoint, on the device: other elements stay as they are, and the
                          chunk's weight decay takes the place of the call's; 0: one chunk of n */
  int64_t chunk_count;
  double ema_decay;
} gr_optim_extras;

typedef struct gr_sgd_scalars {
  double momentum;
  double dampening;
  double weight_decay;
  int64_t nesterov;
} gr_sgd_scalars;

typedef struct gr_adam_scalars {
  double beta1;
  double beta2;
  double eps;
  double weight_decay;
  int64_t decoupled; /* AdamW: param is multiplied by 1 - lr weight_decay; else g = grad + weight_decay param */
} gr_adam_scalars;

typedef struct gr_rms_prop_scalars {
  double alpha;
  double eps;
  double momentum;
  double weight_decay;
} gr_rms_prop_scalars;

typedef struct gr_adagrad_scalars {
  double lr_decay;
  double eps;
  double weight_decay;
} gr_adagrad_scalars;

typedef struct gr_lion_scalars {
  double beta1;
  double beta2;
  double weight_decay;
} gr_lion_scalars;

GR_BEGIN

/* For all optimizers: grad, param and the states are [n]; param and states of dtype FLOAT32 or FLOAT64, updated. lr is FLOAT64
 * [1], step INT64 [1], the number of this step, from 1. What follows from them is computed in double precision and rounded
 * once to dtype. scalars is the host address of the struct, extras of a gr_optim_extras or 0. */

/* g = grad + weight_decay param; velocity = g at step 1, then momentum velocity + (1 - dampening) g;
 * param -= lr (nesterov ? g + momentum velocity : velocity). velocity may be 0: param -= lr g. */
int gr_sgd(int64_t grad, int64_t param, int64_t velocity, int64_t lr, int64_t step, int64_t n, int64_t scalars, int64_t extras,
           int32_t dtype, int64_t stream);

/* mean += (1 - beta1) (g - mean); variance = beta2 variance + (1 - beta2) g^2;
 * param -= lr / (1 - beta1^step) mean / (sqrt(variance) / sqrt(1 - beta2^step) + eps). */
int gr_adam(int64_t grad, int64_t param, int64_t mean, int64_t variance, int64_t lr, int64_t step, int64_t n, int64_t scalars,
            int64_t extras, int32_t dtype, int64_t stream);

/* g = grad + weight_decay param; square = alpha square + (1 - alpha) g^2; mean += (1 - alpha) (g - mean);
 * d = g / (sqrt(square - mean^2) + eps); velocity = momentum velocity + d; param -= lr velocity.
 * mean may be 0 (not centered) and velocity may be 0 (param -= lr d). */
int gr_rms_prop(int64_t grad, int64_t param, int64_t square, int64_t mean, int64_t velocity, int64_t lr, int64_t n,
                int64_t scalars, int64_t extras, int32_t dtype, int64_t stream);

/* g = grad + weight_decay param; sum += g^2; param -= lr / (1 + (step - 1) lr_decay) g / (sqrt(sum) + eps). */
int gr_adagrad(int64_t grad, int64_t param, int64_t sum, int64_t lr, int64_t step, int64_t n, int64_t scalars, int64_t extras,
               int32_t dtype, int64_t stream);

/* param = param (1 - lr weight_decay) - lr sign(beta1 mean + (1 - beta1) grad); mean = beta2 mean + (1 - beta2) grad. */
int gr_lion(int64_t grad, int64_t param, int64_t mean, int64_t lr, int64_t n, int64_t scalars, int64_t extras, int32_t dtype,
            int64_t stream);

/* norm = sqrt(sum_of_squares) grad_scale; factor = min(1, max_norm / (norm + eps)), NaN where the norm is. sum_of_squares is
 * FLOAT64 [1], grad_scale FLOAT32 [1] or 0 for 1, factor FLOAT32 [1] or 0, norm FLOAT64 [1] or 0; found_inf INT32 [1] or 0: set
 * to 1 when the norm is not finite, as it is when a gradient is not, so that no further pass over them need look. */
int gr_clip_factor(int64_t sum_of_squares, int64_t grad_scale, int64_t factor, int64_t norm, int64_t found_inf, double max_norm,
                   double eps, int64_t stream);

/* grad [n] is multiplied by grad_scale, FLOAT32 [1]; found_inf INT32 [1] is set to 1 when a product is not finite, and else
 * left as it is. */
int gr_unscale_check(int64_t grad, int64_t found_inf, int64_t grad_scale, int64_t n, int32_t dtype, int64_t stream);

/* step INT64 [n]: each grows by 1, unless found_inf, INT32 [1] or 0, is not 0. */
int gr_advance_step(int64_t step, int64_t found_inf, int64_t n, int64_t stream);

/* The dynamic loss scale after a step. Where found_inf is not 0: scale *= backoff, growth_tracker = 0; else growth_tracker += 1,
 * and when it reaches interval: scale *= growth if that is finite, growth_tracker = 0. Then inverse = 1 / scale, found_inf = 0.
 * scale FLOAT32 [1], inverse FLOAT32 [1] or 0, growth_tracker and found_inf INT32 [1]. */
int gr_loss_scale_update(int64_t scale, int64_t inverse, int64_t growth_tracker, int64_t found_inf, double growth, double backoff,
                         int64_t interval, int64_t stream);

#define GR_OPTIM_FUNCTIONS(F) \
  F(sgd) F(adam) F(rms_prop) F(adagrad) F(lion) F(clip_factor) F(unscale_check) F(advance_step) F(loss_scale_update)

GR_END

#endif
