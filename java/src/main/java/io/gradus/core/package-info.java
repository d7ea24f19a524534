/**
 * Vocabulary that every layer shares: element types, shapes and broadcasting rules, devices, typed
 * errors and argument checks.
 *
 * <p>Imports nothing of Gradus. Shape rules live here once, in Java; kernels see flat sizes.
 */
@NullMarked
package io.gradus.core;

import org.jspecify.annotations.NullMarked;
