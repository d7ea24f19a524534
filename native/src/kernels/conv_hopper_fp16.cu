// The Hopper convolution of float16.
#include "kernels/conv_hopper.h"

namespace gradus::conv {

GRADUS_CONV_HOPPER(float16)

}  // namespace gradus::conv
