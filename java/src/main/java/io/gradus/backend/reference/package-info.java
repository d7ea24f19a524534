/**
 * The reference backend: plain Java on primitive arrays, every element type, multi-threaded, no
 * native code. It is the oracle that the native plug-ins are held against; it is found by {@link
 * java.util.ServiceLoader} and imported by nobody.
 *
 * <p>Imports {@code core} and {@code backend}.
 */
@NullMarked
package io.gradus.backend.reference;

import org.jspecify.annotations.NullMarked;
