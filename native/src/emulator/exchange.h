// One warp operation in flight: the lanes that take part, and what each brought.
#pragma once

#include <cstdint>

#include "emulator/kernel_api.h"

namespace gradus::emulator {

struct Exchange {
  const char* operation;
  uint32_t mask;     // lanes named by the callers
  uint32_t arrived;
  uint32_t unread;   // lanes that may still look at the messages
  Site site;
  char sync;
  alignas(64) unsigned char data[32][kMessageBytes];
};

}  // namespace gradus::emulator
