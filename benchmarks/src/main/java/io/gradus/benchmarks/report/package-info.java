/**
 * What the benchmarks write: tables, JSON, CSV and charts, with the machine and the command beside
 * the figures. Knows neither engines nor kernels.
 */
@NullMarked
package io.gradus.benchmarks.report;

import org.jspecify.annotations.NullMarked;
