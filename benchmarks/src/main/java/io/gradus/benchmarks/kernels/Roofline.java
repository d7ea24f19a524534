package io.gradus.benchmarks.kernels;

import java.awt.Color;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Rate over arithmetic intensity, with the device's limits as a roof. Source: Williams, Waterman
 * and Patterson, Roofline: an insightful visual performance model (CACM 52(4), 2009).
 */
final class Roofline {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 600;

  private Roofline() {}

  static XYChart chart(String device, Limits limits, List<KernelResult> results) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title("Kernels on " + device + ", float32")
            .xAxisTitle("operations a byte")
            .yAxisTitle("GFLOP/s")
            .build();
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    chart.getStyler().setXAxisLogarithmic(true);
    chart.getStyler().setYAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
    Map<String, List<KernelResult>> groups = new LinkedHashMap<>();
    for (KernelResult result : results) {
      if (!result.kernel().dtype().isHalf()) {
        groups.computeIfAbsent(result.kernel().group(), g -> new ArrayList<>()).add(result);
      }
    }
    double least = results.stream().mapToDouble(r -> r.kernel().intensity()).min().orElse(1);
    double most = results.stream().mapToDouble(r -> r.kernel().intensity()).max().orElse(1);
    double ridge = limits.flops() / limits.bytes();
    double[] x = {Math.min(least, ridge) / 2, ridge, Math.max(most, ridge) * 2};
    double[] y = {
      x[0] * limits.bytes() * 1e-9, limits.flops() * 1e-9, limits.flops() * 1e-9,
    };
    chart.addSeries("limit", x, y).setMarker(SeriesMarkers.NONE);
    groups.forEach(
        (group, points) ->
            chart
                .addSeries(
                    group,
                    points.stream().mapToDouble(r -> r.kernel().intensity()).toArray(),
                    points.stream().mapToDouble(KernelResult::gflops).toArray())
                .setXYSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter));
    return chart;
  }
}
