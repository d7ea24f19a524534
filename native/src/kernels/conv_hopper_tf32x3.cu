// The Hopper convolution of float32 by 3xTF32.
#include "kernels/conv_hopper.h"

namespace gradus::conv {

GRADUS_CONV_HOPPER_FLOAT(Multiply::tf32x3, Forward);
GRADUS_CONV_HOPPER_FLOAT(Multiply::tf32x3, BackwardInput);
GRADUS_CONV_HOPPER_FLOAT(Multiply::tf32x3, BackwardWeight);

}  // namespace gradus::conv
