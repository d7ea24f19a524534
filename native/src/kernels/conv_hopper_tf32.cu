// The Hopper convolution of float32, rounded to tf32: forward and backward to the input.
#include "kernels/conv_hopper.h"

namespace gradus::conv {

GRADUS_CONV_HOPPER_FLOAT(Multiply::tf32, Forward);
GRADUS_CONV_HOPPER_FLOAT(Multiply::tf32, BackwardInput);

}  // namespace gradus::conv
