#include "gradus/table.h"

extern "C" const gr_table* gr_plugin(void) {
  static const gr_table table = {
      &table,
      GR_ABI_VERSION,
      GRADUS_PLUGIN_NAME,
#define GR_ENTRY(name) gr_##name,
      GR_FUNCTIONS(GR_ENTRY)
#undef GR_ENTRY
  };
  return &table;
}
