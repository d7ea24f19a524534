/* What the JNI library does itself: loads plug-ins side by side and lends memory to Java. */
#ifndef GRADUS_LOADER_H
#define GRADUS_LOADER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the plug-in of a path and stores its handle at handle (host, int64_t); a gr_status. */
int gr_load(const char* path, int64_t handle);

/* Why gr_load failed in the calling thread. */
const char* gr_load_error(void);

/* An address as a pointer, to make a buffer of. */
void* gr_pointer(int64_t address);

#ifdef __cplusplus
}
#endif

#endif
