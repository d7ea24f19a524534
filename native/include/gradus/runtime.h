/* Devices, memory, streams, events and graphs. Mechanism only: which memory is reused when is decided by the engine. */
#ifndef GRADUS_RUNTIME_H
#define GRADUS_RUNTIME_H

#include "gradus/abi.h"

/* Host memory, filled by gr_device_info. */
typedef struct gr_device_properties {
  char name[128];
  int64_t capability;     /* 10 major + minor; 0 where the idea does not apply */
  int64_t memory_total;   /* bytes */
  int64_t memory_free;    /* bytes, now */
  int64_t processors;     /* streaming multiprocessors, or threads */
  int64_t driver_version; /* 1000 major + 10 minor, as CUDA counts; 0 where there is none */
  int64_t built_for;      /* the version of the interface that the plug-in was built against, counted alike */
} gr_device_properties;

GR_BEGIN

/* Stores the number of usable devices at count (host, int64_t); 0 with GR_ERROR and a message when there are none and why. */
int gr_device_count(int64_t count, int64_t plugin);

/* Fills properties (host, gr_device_properties) of a device. */
int gr_device_info(int32_t device, int64_t properties, int64_t plugin);

/* Sets how many threads of the host kernels run on; 0: as many as there are processors. GR_UNSUPPORTED where that is not the
 * engine's to say. Results do not depend on it. */
int gr_set_threads(int64_t n, int64_t plugin);

/* Copies the calling thread's last message, cut to capacity with a final 0, to text (host). */
int gr_error(int64_t text, int64_t capacity, int64_t plugin);

/* Stores the address of new device memory, aligned to 256 bytes, at address (host, int64_t). */
int gr_allocate(int32_t device, int64_t bytes, int64_t address, int64_t plugin);

/* Frees device memory; waits for the work that uses it. */
int gr_free(int32_t device, int64_t memory, int64_t plugin);

/* Host memory that the device copies from and to without staging. */
int gr_host_allocate(int64_t bytes, int64_t address, int64_t plugin);
int gr_host_free(int64_t memory, int64_t plugin);

/* Stores the handle of a new stream of a device at stream (host, int64_t). */
int gr_stream_create(int32_t device, int64_t stream, int64_t plugin);
int gr_stream_destroy(int64_t stream);

/* Waits until everything enqueued so far is done; reports the errors of that work. */
int gr_stream_synchronize(int64_t stream);

/* Copies between host and device. The host memory must stay until the stream has passed the copy. */
int gr_upload(int64_t host, int64_t device, int64_t bytes, int64_t stream);
int gr_download(int64_t device, int64_t host, int64_t bytes, int64_t stream);

/* Copies bytes on the device; the ranges must not overlap. */
int gr_device_copy(int64_t src, int64_t dst, int64_t bytes, int64_t stream);

/* Events: marks in a stream that another stream, or the host, can wait for. */
int gr_event_create(int64_t event, int64_t plugin);
int gr_event_destroy(int64_t event, int64_t plugin);
int gr_event_record(int64_t event, int64_t stream);
int gr_event_wait(int64_t event, int64_t stream);       /* what is enqueued later waits for the event */
int gr_event_synchronize(int64_t event, int64_t plugin); /* the host waits */

/* Stores 1 at done (host, int64_t) when the work before the event is done, else 0. */
int gr_event_query(int64_t event, int64_t done, int64_t plugin);

/* Stores the time between two recorded events in milliseconds at elapsed (host, double). */
int gr_event_elapsed(int64_t start, int64_t end, int64_t elapsed, int64_t plugin);

/* Graphs: work of a stream, recorded once and launched as often as wanted with the cost of one call.
 *
 * From gr_capture_begin on, what is enqueued in the stream is recorded: kernels with their addresses, sizes and scalars as they
 * are, structs with their contents, copies with the addresses of both sides, so that a copy from or to host memory reads or writes
 * it anew at each launch. What changes from launch to launch therefore lies in device memory. Recorded memory must stay where it
 * is as long as the graph. A call that is refused with GR_UNSUPPORTED or fails is not recorded. Nothing may wait for the stream
 * meanwhile, neither the host nor another stream, and one thread alone enqueues in it; other streams, and allocations, are as ever.
 * GR_UNSUPPORTED where the plug-in records nothing.
 *
 * structs: the host memory [structs, structs + bytes) is where calls of the stream get their structs in; it is written over
 * between calls. */
int gr_capture_begin(int64_t structs, int64_t bytes, int64_t stream);

/* Ends it and stores the graph's handle at graph (host, int64_t), and at ran (host, int64_t) 1 where the plug-in did the work
 * while it recorded it, 0 where it waits for the first launch. A graph of 0 throws away what was recorded. */
int gr_capture_end(int64_t graph, int64_t ran, int64_t stream);

/* Enqueues all that was recorded. A graph may be launched again before it is done: the launches run one after the other. */
int gr_graph_launch(int64_t graph, int64_t stream);

/* Frees a graph that is not running. */
int gr_graph_destroy(int64_t graph, int64_t plugin);

/* Launches a kernel that does nothing: what a call costs. */
int gr_noop(int64_t a, int64_t b, int64_t c, int64_t n, int64_t stream);

#define GR_RUNTIME_FUNCTIONS(F)                                                                                     \
  F(device_count) F(device_info) F(set_threads) F(error) F(allocate) F(free) F(host_allocate) F(host_free)           \
  F(stream_create) F(stream_destroy) F(stream_synchronize) F(upload) F(download) F(device_copy) F(event_create) F(event_destroy)     \
  F(event_record) F(event_wait) F(event_synchronize) F(event_query) F(event_elapsed) F(capture_begin) F(capture_end)                 \
  F(graph_launch) F(graph_destroy) F(noop)

GR_END

#endif
