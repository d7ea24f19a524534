/** JMH benchmarks of the engine; run them with {@code ./gradus bench}. */
@NullMarked
package io.gradus.benchmarks;

import org.jspecify.annotations.NullMarked;
