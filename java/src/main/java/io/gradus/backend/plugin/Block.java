package io.gradus.backend.plugin;

/**
 * A piece of device memory.
 *
 * @param address device address, aligned to 256 bytes
 * @param bytes its size
 * @param segment what it was cut from
 */
record Block(long address, long bytes, Segment segment) {}
