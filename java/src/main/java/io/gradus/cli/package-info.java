/**
 * The command line: {@code gradus train}, {@code eval}, {@code predict} and {@code devices}.
 *
 * <p>Results go to standard output, progress and errors to standard error. An error is one line;
 * bad use exits with 2, a failed run with 1. May import every other package.
 */
@NullMarked
package io.gradus.cli;

import org.jspecify.annotations.NullMarked;
