package io.gradus.backend;

/**
 * What an allocator has done since it was made.
 *
 * @param liveBytes bytes of all allocations not yet returned
 * @param liveCount number of allocations not yet returned
 * @param peakBytes the highest value that liveBytes has had
 * @param cachedBytes bytes of freed memory kept for reuse
 * @param systemBytes bytes held of the system: live, cached, and lost to rounding
 * @param hits allocations served from freed memory
 * @param systemCalls how often memory was asked of the system
 */
public record AllocatorStatistics(
    long liveBytes,
    long liveCount,
    long peakBytes,
    long cachedBytes,
    long systemBytes,
    long hits,
    long systemCalls) {}
