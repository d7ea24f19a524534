#include "gradus/table.h"

#ifdef GRADUS_PARTIAL  // functions that the plug-in does not define are left out of its table
#define GR_WEAK(name) extern "C" __attribute__((weak)) __typeof__(gr_##name) gr_##name;
GR_FUNCTIONS(GR_WEAK)
#undef GR_WEAK
#endif

#ifdef GRADUS_RECORDS_CALLS
#include "plugin/recorded_call.h"
#define GR_OPERATION(name) &gr_##name == nullptr ? nullptr : gradus::RecordedCall<gr_##name>::call,
#else
#define GR_OPERATION(name) gr_##name,
#endif

#ifndef GRADUS_TABLE
#define GRADUS_TABLE gr_plugin
#endif

extern "C" const gr_table* GRADUS_TABLE(void) {
  static const gr_table table = {
      &table,
      GR_ABI_VERSION,
      GRADUS_PLUGIN_NAME,
#define GR_ENTRY(name) gr_##name,
      GR_RUNTIME_FUNCTIONS(GR_ENTRY)
#undef GR_ENTRY
      GR_OPERATIONS(GR_OPERATION)
  };
  return &table;
}
