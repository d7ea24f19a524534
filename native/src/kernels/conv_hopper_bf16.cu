// The Hopper convolution of bfloat16.
#include "kernels/conv_hopper.h"

namespace gradus::conv {

GRADUS_CONV_HOPPER(bfloat16)

}  // namespace gradus::conv
